"""Bring your own socket: a whole streaming client on tokenwire.wire, which does no I/O.

    OPENAI_API_KEY=... python examples/own_socket.py "Write a poem about the moon."

The same few calls stand in any event loop, over any byte stream: what to send comes out
as bytes; what was received goes into a buffer that the kernel writes into; body framing
and server-sent events are offsets in that buffer, so a token's bytes are not copied
before json.loads.
"""

import json
import os
import socket
import ssl
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

from tokenwire.wire import ClientConnection, Decoder

URL = urlsplit(os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1"))
HOST = URL.hostname or ""


def connect() -> socket.socket:
    if URL.scheme == "http":
        return socket.create_connection((HOST, URL.port or 80))
    sock = socket.create_connection((HOST, URL.port or 443))
    return ssl.create_default_context().wrap_socket(sock, server_hostname=HOST)


def receive(sock: socket.socket, http: ClientConnection) -> None:
    http.buffer.reclaim()
    count = sock.recv_into(http.buffer.get_buffer())
    if count:
        http.buffer.buffer_updated(count)
        return
    http.receive_eof()
    missing = "its head" if http.body is None else http.body.eof()
    if missing:
        sys.exit(f"the answer was cut: {missing} is missing")


def events(sock: socket.socket, http: ClientConnection) -> Iterator[bytes]:
    """The payload of each server-sent event of one response."""
    assert http.body is not None  # since its head came
    decoder = Decoder()
    while not http.finished:
        spans: list[tuple[int, int]] = []
        frames: list[tuple[bytes, str, str, int | None]] = []
        http.body.read(http.buffer, spans)
        decoder.scan(http.buffer.data, spans, frames)
        for data, _event, _id, _retry in frames:
            yield data
        if not http.finished:
            receive(sock, http)


def main(prompt: str) -> None:
    question = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": prompt}], "stream": True}
    body = json.dumps(question).encode()
    headers = [
        (b"host", URL.netloc.encode()),
        (b"authorization", b"Bearer " + os.environ["OPENAI_API_KEY"].encode()),
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    http = ClientConnection()
    with connect() as sock:
        sock.sendall(http.send_request("POST", f"{URL.path}/chat/completions", headers, body))
        while (head := http.receive_head()) is None:
            receive(sock, http)
        if head.status_code != 200:
            sys.exit(f"the server says {head.status_code} {head.reason}")
        for data in events(sock, http):
            if data == b"[DONE]":
                break
            for choice in json.loads(data)["choices"]:
                print(choice["delta"].get("content") or "", end="", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])

"""tokenwire.wire is public: what its front page promises, used as a stranger would, with sockets of one's own."""

from __future__ import annotations

import socket
import threading

import tokenwire.wire
from tokenwire.wire import ClientConnection, Decoder, ReceiveBuffer, ServerConnection, ServerSentEvent, encode

EVENTS = [
    ServerSentEvent(b'{"a": 1}', "first"),
    ServerSentEvent(b"two\nlines", "", "7"),
    ServerSentEvent(b"x" * 100_000, "large", "7", None),
    ServerSentEvent(b"[DONE]", "", "7"),
]


def test_every_name_of_the_rooms_is_on_the_front_page() -> None:
    from tokenwire.wire import body, buffer, coding, heads, http1, sse

    rooms = {name for room in (body, buffer, coding, heads, http1, sse) for name in room.__all__}
    # Types of offsets and of undecoded frames are for the pipeline; what heads and trailers share is for heads.
    assert set(tokenwire.wire.__all__) == rooms - {"Frame", "Span", "check_lines", "fields_of"}
    for name in tokenwire.wire.__all__:
        assert getattr(tokenwire.wire, name).__module__.startswith("tokenwire.wire.")


def receive(sock: socket.socket, buffer: ReceiveBuffer) -> int:
    buffer.reclaim()
    count = sock.recv_into(buffer.get_buffer())
    buffer.buffer_updated(count)
    return count


def serve(sock: socket.socket, requests: int) -> None:
    server = ServerConnection()
    with sock:
        for _ in range(requests):
            while server.receive_head() is None:
                assert receive(sock, server.buffer)
            assert server.body is not None
            while not server.body.complete:
                server.body.read(server.buffer, [])
                if not server.body.complete:
                    assert receive(sock, server.buffer)
            sock.sendall(server.send_response(200, [(b"content-type", b"text/event-stream")]))
            for event in EVENTS:
                name, last_id = event.event, "7" if event.data == b"two\nlines" else None
                sock.sendall(server.send_data(encode(event.data, event=name, id=last_id)))
            sock.sendall(server.send_end())
            assert server.reusable


def test_a_stream_over_sockets_of_ones_own() -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(20)
    theirs.settimeout(20)
    server = threading.Thread(target=serve, args=(theirs, 2))
    server.start()
    with ours:
        client = ClientConnection()
        for _ in range(2):
            body = b"{}" * 30_000
            ours.sendall(
                client.send_request(
                    "POST", "/v1", [(b"host", b"x"), (b"content-length", b"%d" % len(body))], body
                )
            )
            while (head := client.receive_head()) is None:
                assert receive(ours, client.buffer)
            assert head.headers["content-type"] == "text/event-stream"
            decoder, got = Decoder(), []
            while True:
                spans: list[tuple[int, int]] = []
                assert client.body is not None
                client.body.read(client.buffer, spans)
                frames: list[tuple[object, str, str, int | None]] = []
                decoder.scan(client.buffer.data, spans, frames)
                got += [ServerSentEvent._make(frame) for frame in frames]
                if client.finished:
                    break
                assert receive(ours, client.buffer)
            assert got == EVENTS
            assert client.reusable
        assert client.cycles == 2
    server.join(20)
    assert not server.is_alive()

"""The feature table of README.md: each cell is tried, on tokenwire and on each rival, over real sockets.

A cell that begins with "yes" must hold, and one that begins with "no" must not. So a
rival that learns something makes this test fail, and the table is mended.
"""

from __future__ import annotations

import asyncio
import gc
import json
import re
import select
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import httpx_sse
import openai
import pydantic
import pytest
import trio

import tokenwire
from support.replay import PATIENCE, Played, Replay, replaying
from support.rivals import ASK, RESPOND, RIVALS, aiohttp_lines, read

README = Path(__file__).parents[1] / "README.md"
#: How long a client is to wait without a data event.
SECONDS = 0.4

pytestmark = pytest.mark.skipif(not README.is_file(), reason="README.md is not beside these tests")


# -- What the server says ------------------------------------------------------


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def head(kind: str = "text/event-stream", status: str = "200 OK", *fields: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-type: {kind}", "transfer-encoding: chunked", *fields, "", ""]
    return "\r\n".join(lines).encode()


def sse(*events: dict[str, Any] | str, end: str = "\n") -> bytes:
    found = b""
    for event in events:
        name = f"event: {event['type']}{end}" if isinstance(event, dict) and "type" in event else ""
        data = event if isinstance(event, str) else json.dumps(event)
        found += chunk(f"{name}data: {data}{end}{end}".encode())
    return found


def delta(text: str, finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


LAST = b"0\r\n\r\n"
TOKENS = [delta("mo"), delta("on")]
WHOLE = [*TOKENS, delta("", "stop"), "[DONE]"]
ERROR = {"error": {"message": "the engine is overloaded", "type": "server_error", "code": "overloaded"}}
WORDS = "the engine is overloaded"
SHAPES = [
    ERROR,
    {"error": WORDS},
    {"type": "error", "message": WORDS, "code": "overloaded"},
    {"object": "error", "message": WORDS, "code": 50301},
]
NOVEL = {"type": "response.novel", "sequence_number": 1, "deep": {"er": [{"x": 1}]}}
RESPONSE: dict[str, Any] = {"id": "r", "object": "response", "status": "in_progress", "output": [], "novel": {"y": 2}}
RESPONDED = [
    {"type": "response.created", "sequence_number": 0, "response": RESPONSE},
    NOVEL,
    {"type": "response.output_text.delta", "sequence_number": 2, "item_id": "i", "output_index": 0, "content_index": 0,
     "delta": "moon", "logprobs": []},
    {"type": "response.completed", "sequence_number": 3, "response": {**RESPONSE, "status": "completed"}},
]  # fmt: skip


class KeepAlive(Played):
    """Comments alone, for a good while longer than anybody should wait; then the answer. gap: the longest pause."""

    gap = 0.0

    def play(self, sock: socket.socket) -> None:
        KeepAlive.gap = 0.0
        sock.sendall(head())
        begun = last = time.monotonic()
        while last < begun + 1.4 * SECONDS:
            sock.sendall(chunk(b": keep-alive\n\n"))
            select.select([], [], [], SECONDS / 40)
            now = time.monotonic()
            KeepAlive.gap, last = max(KeepAlive.gap, now - last), now
        sock.sendall(self.data)


class Firehose(Played):
    """More than any kernel buffers, as fast as it is taken; `held` once nothing was taken for a while."""

    held = threading.Event()

    def play(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        sock.sendall(head())
        tokens = memoryview(sse(delta("x" * 10_000)))
        for _ in range(6_400):  # 64 MB
            rest = tokens
            while rest:
                if not select.select([], [sock], [], 0.3)[1]:
                    self.held.set()
                    return
                rest = rest[sock.send(rest, socket.MSG_DONTWAIT) :]


def cases() -> dict[str, Callable[[int], Played]]:
    """Path -> the answer to its nth request."""
    page = head("text/html") + chunk(b"<html><title>Sign in to the hotel's network</title></html>") + LAST
    busy = head("application/json", "503 Busy", "retry-after-ms: 1") + chunk(json.dumps(ERROR).encode()) + LAST
    broken = head() + sse(*RESPONDED[:2])
    return {
        "whole": lambda n: Played(head() + sse(*WHOLE) + LAST),
        "cut": lambda n: Played(head() + sse(*TOKENS) + LAST),
        "error": lambda n: Played(head() + sse(*TOKENS, ERROR) + LAST),
        **{f"shape-{k}": lambda n, e=shape: Played(head() + sse(*TOKENS, e) + LAST) for k, shape in enumerate(SHAPES)},
        "html": lambda n: Played(page),
        "keep-alive": lambda n: KeepAlive(sse(*WHOLE) + LAST),
        "responded": lambda n: Played(head() + sse(*RESPONDED) + LAST),
        "cr": lambda n: Played(head() + sse(*WHOLE, end="\r") + LAST),
        "busy": lambda n: Played(busy if n == 0 else head() + sse(*WHOLE) + LAST),
        "firehose": lambda n: Firehose(b"", "eof"),
        "broken": lambda n: Played(broken, "eof") if n == 0 else Played(head() + sse(*RESPONDED[2:]) + LAST),
        "json": lambda n: Played(head() + sse(delta('{"x":'), delta(" 7}"), delta("", "stop"), "[DONE]") + LAST),
    }


@pytest.fixture(scope="module")
def server() -> Iterator[Replay]:
    known, asked = cases(), dict[str, int]()

    def answer(head: bytes, body: bytes) -> Played:
        _, rival, case, *_ = head.split(b" ")[1].decode().split("/")
        number = asked.setdefault(f"{rival}/{case}", 0)
        asked[f"{rival}/{case}"] += 1
        return known[case](number)

    with replaying(answer) as server:
        server.url = server.url.removesuffix("/v1")
        yield server


# -- The rows ------------------------------------------------------------------
# Each check: (rival, base URL of a case) -> whether the rival does it.


def tells_a_cut(rival: str, url: str) -> bool:
    outcome = read(rival, url + "/cut")
    assert outcome.text == "moon"
    return outcome.error is not None


def raises_errors_inside_a_200(rival: str, url: str) -> bool:
    outcome = read(rival, url + "/error")
    assert outcome.text == "moon"
    return "overloaded" in str(outcome.error)


def has_the_servers_words(rival: str, url: str) -> bool:
    outcomes = [read(rival, f"{url}/shape-{number}") for number in range(len(SHAPES))]
    return all(WORDS in str(outcome.error) for outcome in outcomes)


def refuses_a_page(rival: str, url: str) -> bool:
    outcome = read(rival, url + "/html")
    assert outcome.events == []
    return outcome.error is not None


def knows_keep_alives_from_progress(rival: str, url: str) -> bool:
    for _ in range(10):
        outcome = read(rival, url + "/keep-alive", timeout=SECONDS)
        if KeepAlive.gap < SECONDS / 2:
            break  # else this machine held the server for so long that any client may give up
    assert (outcome.text == "moon") == (outcome.error is None)
    return outcome.error is not None


def reads_every_line_end(rival: str, url: str) -> bool:
    return read(rival, url + "/cr").text == "moon"


def keeps_what_it_does_not_know(rival: str, url: str) -> bool:
    events = read(rival, url + "/responded", family="responses").events
    return [event if isinstance(event, dict) else event.to_dict() for event in events] == RESPONDED


def types_events(rival: str, url: str) -> bool:
    chat = read(rival, url + "/whole").events[0]
    responses = read(rival, url + "/responded", family="responses").events[2]
    plain = [isinstance(event, (dict, str, bytes)) for event in (chat, responses)]
    assert plain[0] == plain[1]
    return not plain[0] and responses.delta == "moon" and chat.choices[0].delta.content == "mo"


class Number(pydantic.BaseModel):
    x: int


def parses_structured_output(rival: str, url: str) -> bool:
    if rival in ("httpx-sse", "aiohttp"):
        return not isinstance(read(rival, url + "/json").events[0], dict)  # JSON, to be put together by hand
    library: Any = tokenwire if rival == "tokenwire" else openai
    with (
        library.OpenAI(api_key="k", base_url=url + "/json") as client,
        client.chat.completions.stream(model="m", messages=ASK["messages"], response_format=Number) as stream,
    ):
        return bool(stream.get_final_completion().choices[0].message.parsed == Number(x=7))


def asks_again(rival: str, url: str) -> bool:
    return read(rival, url + "/busy", retry=True).text == "moon"


def goes_on_where_it_broke(rival: str, url: str) -> bool:
    url += "/broken"
    if rival == "tokenwire":
        with tokenwire.Client(api_key="k", base_url=url) as client:
            events = list(client.responses.create(**RESPOND, background=True, resume=True))
            return [event.to_dict() for event in events] == RESPONDED
    outcome = read(rival, url, family="responses", retry=True)
    return len(outcome.events) == len(RESPONDED)


def blocks(rival: str, url: str) -> bool:
    if rival != "aiohttp":
        return read(rival, url + "/whole").text == "moon"  # no event loop anywhere
    with pytest.raises(RuntimeError, match="no running event loop"):
        aiohttp.ClientSession()
    return False


async def first_of(rival: str, url: str) -> None:
    """Read one event, and leave the loop."""
    if rival == "aiohttp":
        async for _ in aiohttp_lines(url + "/whole/chat/completions", ASK, PATIENCE):
            return
    if rival == "httpx-sse":
        async with (
            httpx.AsyncClient(trust_env=False, verify=False) as client,
            httpx_sse.aconnect_sse(client, "POST", url + "/whole/chat/completions", json=ASK) as source,
        ):
            async for _ in source.aiter_sse():
                return
    library: Any = tokenwire if rival == "tokenwire" else openai
    async with library.AsyncOpenAI(api_key="k", base_url=url + "/whole") as client:
        async for _ in await client.chat.completions.create(**ASK):
            return


def runs_on_trio(rival: str, url: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the next row's
        try:
            trio.run(first_of, rival, url)
            gc.collect()
        except RuntimeError as error:
            return "no running event loop" not in str(error)
    return True


def leaves_nothing_behind(rival: str, url: str) -> bool:
    """What Python says of a loop that was left: nothing, or that something was not closed."""
    if not runs_on_trio(rival, url):
        return False
    heard: list[Any] = []
    hook, sys.unraisablehook = sys.unraisablehook, heard.append
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            trio.run(first_of, rival, url)
            gc.collect()
    finally:
        sys.unraisablehook = hook
    return not told and not heard


def gives_one_list_for_each_read(rival: str, url: str) -> bool:
    if rival == "tokenwire":
        with tokenwire.Client(api_key="k", base_url=url + "/whole") as client:
            batches = list(client.chat.completions.create(**ASK).batches())
        return all(isinstance(batch, list) for batch in batches) and sum(map(len, batches)) == 3
    return isinstance(read(rival, url + "/whole").events[0], list)


def relays_without_a_copy(rival: str, url: str) -> bool:
    """An event's payload is a view of the memory that the kernel wrote it into."""
    payload: Any
    if rival == "tokenwire":
        with tokenwire.Client(api_key="k", base_url=url + "/whole") as client:
            payload = next(client.chat.completions.create(**ASK).raw()).data
    elif rival == "openai":
        with (
            openai.OpenAI(api_key="k", base_url=url + "/whole") as official,
            official.chat.completions.with_streaming_response.create(**ASK) as response,
        ):
            payload = next(response.iter_lines())
    elif rival == "httpx-sse":
        with (
            httpx.Client(trust_env=False, verify=False) as client,
            httpx_sse.connect_sse(client, "POST", url + "/whole/chat/completions", json=ASK) as source,
        ):
            payload = next(source.iter_sse()).data
    else:

        async def first() -> Any:
            return await anext(aiohttp_lines(url + "/whole/chat/completions", ASK, PATIENCE))

        payload = asyncio.run(first())
    assert b"mo" in (payload.encode() if isinstance(payload, str) else bytes(payload))
    return isinstance(payload, memoryview)


def holds_the_server(rival: str, url: str) -> bool:
    """A consumer that stops reading stops the server, and nothing piles up in between."""
    url += "/firehose"
    Firehose.held.clear()

    async def stop(stream: Any) -> None:
        async for _ in stream:
            await asyncio.to_thread(Firehose.held.wait, PATIENCE)
            return

    async def main() -> None:
        if rival == "tokenwire":
            async with tokenwire.AsyncClient(api_key="k", base_url=url) as client:
                await stop(await client.chat.completions.create(**ASK))
        elif rival == "openai":
            async with openai.AsyncOpenAI(api_key="k", base_url=url) as official:
                await stop(await official.chat.completions.create(**ASK))
        elif rival == "httpx-sse":
            async with (
                httpx.AsyncClient(trust_env=False, verify=False) as plain,
                httpx_sse.aconnect_sse(plain, "POST", url + "/chat/completions", json=ASK) as source,
            ):
                await stop(source.aiter_sse())
        else:
            await stop(aiohttp_lines(url + "/chat/completions", ASK, PATIENCE))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        asyncio.run(main())
        gc.collect()
    return Firehose.held.is_set()


CHECKS: dict[str, Callable[[str, str], bool]] = {
    "A stream that ends before its end marker is an error": tells_a_cut,
    "An error inside a 200 is raised": raises_errors_inside_a_200,
    "... in each shape that servers use, with the server's words": has_the_servers_words,
    "A web page in place of a stream is an error": refuses_a_page,
    "Keep-alives are not progress: they hold off no timeout": knows_keep_alives_from_progress,
    "All line ends of the specification, CR too": reads_every_line_end,
    "Unknown events and fields are kept, to the letter": keeps_what_it_does_not_know,
    "Typed events, both endpoint families": types_events,
    "Accumulates; structured output": parses_structured_output,
    "Retries before the first event": asks_again,
    "A background response's stream goes on where it broke": goes_on_where_it_broke,
    "Blocking code": blocks,
    "trio": runs_on_trio,
    "`break` leaves nothing behind, on trio": leaves_nothing_behind,
    "A list of events per read": gives_one_list_for_each_read,
    "Raw events without a copy": relays_without_a_copy,
    "A slow reader holds the server": holds_the_server,
}


def table() -> dict[str, dict[str, str]]:
    """Row -> rival -> cell."""
    (block,) = re.findall(r"(?m)^\| +\|.*\n\|[-|: ]+\|\n((?:\|.*\n)+)", README.read_text("utf-8"))
    (titles,) = re.findall(r"(?m)^\| +\|(.*)\|$", README.read_text("utf-8"))
    rivals = [title.strip() for title in titles.split("|")]
    assert tuple(rivals) == RIVALS
    rows = {}
    for line in block.splitlines():
        name, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert len(cells) == len(rivals), line
        rows[name] = dict(zip(rivals, cells, strict=True))
    return rows


def test_the_table_and_the_checks_have_the_same_rows() -> None:
    assert list(table()) == list(CHECKS)
    assert {cell for row in table().values() for cell in row.values()} == {"yes", "no"}


@pytest.mark.parametrize("rival", RIVALS)
@pytest.mark.parametrize("row", CHECKS)
def test_cell(row: str, rival: str, server: Replay) -> None:
    said = table()[row][rival]
    found = CHECKS[row](rival, f"{server.url}/{rival}")
    assert ("yes" if found else "no") == said, f"{row}, {rival}: the table says {said}"

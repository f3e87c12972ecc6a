"""What must come out of a recording that is cut: told by h11, zlib and the events' own lines, not by us."""

from __future__ import annotations

import json
import re
import zlib
from bisect import bisect_right
from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

import h11

from support import outcome, vectors
from support.vectors import Vector
from tokenwire import errors

_ENDS = ("completed", "incomplete", "failed", "cancelled")


class Cut(NamedTuple):
    """After `at` bytes. begun: the head is whole. over: so is the message. content: bytes of body, without framing
    and coding."""

    at: int
    begun: bool
    over: bool
    content: int


def cuts(vector: Vector, offsets: Iterable[int]) -> list[Cut]:
    """What has come at each of these places, in order. By h11 and zlib."""
    machine = h11.Connection(h11.CLIENT, max_incomplete_event_size=1_000_000)
    machine.send(h11.Request(method="POST", target="/", headers=[("host", "test"), ("content-length", "0")]))
    machine.send(h11.EndOfMessage())
    found: list[Cut] = []
    begun = over = broken = False
    content, before = 0, 0
    unpack: Any = None
    for at in sorted(offsets):
        if at > before:
            machine.receive_data(vector.data[before:at])
            before = at
        while not (broken or over):
            try:
                event = machine.next_event()
            except h11.RemoteProtocolError:
                broken = True
                break
            if isinstance(event, h11.Response):
                begun = True
                if dict(event.headers).get(b"content-encoding") in (b"gzip", b"deflate"):
                    unpack = zlib.decompressobj(zlib.MAX_WBITS | 32)
            elif isinstance(event, h11.Data):
                data = bytes(event.data)
                content += len(data if unpack is None else unpack.decompress(data))
            elif isinstance(event, h11.EndOfMessage):
                over = True
            elif not isinstance(event, h11.InformationalResponse):
                break
        found.append(Cut(at, begun, over, content))
    return found


def offsets(vector: Vector, long: int | None, ends: int) -> list[int]:
    """Behind every byte; where it is longer than long: of both ends, so many each, and behind each 97th between."""
    size = len(vector.data)
    if long is None or size <= long:
        return list(range(size + 1))
    return [*range(ends), *range(ends, size - ends, 97), *range(size - ends, size + 1)]


class Payload(NamedTuple):
    """One event on the wire. needs: how much of the content must have come for it to be delivered at the end."""

    text: str
    needs: int


_LINE = re.compile(rb"([^\r\n]*)(\r\n|\r|\n)")


@cache
def payloads(name: str) -> tuple[Payload, ...]:
    """Every event with data, [DONE] included, in order.

    A stream's end completes an event whose JSON (or [DONE]) is whole; any other waits for its blank line.
    """
    _, content = vectors.body(vectors.load(name))
    found: list[Payload] = []
    data: list[str] = []
    last = at = 0
    for match in _LINE.finditer(content + b"\n\n"):
        line, at = match[1].removeprefix(b"\xef\xbb\xbf" if not match.start() else b""), match.end()
        if line.startswith(b"data:"):
            data.append(line[5:].decode(errors="replace").removeprefix(" "))
            last = match.start() + len(match[1].rstrip())
        elif not line and data:
            text = "\n".join(data)
            if text.strip() == "[DONE]" or _is_whole(text):
                found.append(Payload(text, last))
            elif at <= len(content):
                found.append(Payload(text, at))
            data = []
    return tuple(found)


def _is_whole(text: str) -> bool:
    try:
        return isinstance(json.loads(text), (dict, list))
    except ValueError:
        return False


class Verdict(NamedTuple):
    """What the first payloads of a stream are: "complete", "error" or "truncated", and events: how many are events."""

    word: str
    events: int


@cache
def _verdicts(name: str) -> tuple[list[int], list[Verdict]]:
    """What each payload needs; and the verdict on none of them, on the first, on the first two ..."""
    responses = vectors.load(name).family != "chat"
    word, events = "truncated", 0
    seen: set[int] = set()
    ended: set[int] = set()
    found = [Verdict(word, events)]
    for text, _ in payloads(name):
        event = None if text.strip() == "[DONE]" else json.loads(text)
        if word == "error":
            pass  # what an error says is the last word
        elif event is None:
            word = "complete"
        elif event.get("error") or event.get("type") == "error":
            word = "error"
        else:
            events += 1
            choices = event.get("choices", ())
            seen.update(choice.get("index", 0) for choice in choices)
            ended.update(choice.get("index", 0) for choice in choices if choice.get("finish_reason"))
            over = event["type"].removeprefix("response.") in _ENDS if responses else seen == ended != set()
            word = "complete" if over else "truncated"
        found.append(Verdict(word, events))
    return [one.needs for one in payloads(name)], found


def verdict(name: str, content: int) -> Verdict:
    """What has come, once so much of the content has come: by its own words (wire facts)."""
    needs, verdicts = _verdicts(name)
    return verdicts[bisect_right(needs, content)]


# -- what came of it ----------------------------------------------------------------


class Found(NamedTuple):
    """What came of a call. answer: the whole object, where none was streamed."""

    events: list[Any]
    answer: Any
    failure: Exception | None


def take(client: Any, vector: Vector) -> Found:
    """Make the call that the recording answers, with the blocking client."""
    got: list[Any] = []
    try:
        if not vector.asked_to_stream:
            return Found(got, outcome.ask(client, vector, stream=False), None)
        for event in outcome.ask(client, vector, stream=True):
            got.append(event)  # what came before a failure counts
    except errors.TokenwireError as error:
        return Found(got, None, error)
    return Found(got, None, None)


async def atake(client: Any, vector: Vector) -> Found:
    """As `take`, with the async client."""
    got: list[Any] = []
    try:
        if not vector.asked_to_stream:
            return Found(got, await outcome.ask(client, vector, stream=False), None)
        async for event in await outcome.ask(client, vector, stream=True):
            got.append(event)
    except errors.TokenwireError as error:
        return Found(got, None, error)
    return Found(got, None, None)


def judge(vector: Vector, cut: Cut, how: str, whole: Found, found: Found) -> None:
    """Hold what came of one cut to what must come of it. how: "FIN" or "RST". whole: what came of the uncut answer."""
    try:
        _judge(vector, cut, how, whole, found)
    except AssertionError as error:
        told = f"{len(found.events)} events, then {found.failure!r}"
        error.add_note(f"{vector.name}, cut after {cut.at} bytes by {how}: {told}")
        raise


def _judge(vector: Vector, cut: Cut, how: str, whole: Found, found: Found) -> None:
    got, answer, failure = found
    if not cut.begun:
        assert got == []
        assert isinstance(failure, errors.APIConnectionError)
        assert not isinstance(failure, (errors.StreamTruncatedError, errors.APITimeoutError))
        return
    status = vector.expected["http_status"]
    if status != 200:
        assert got == []
        assert type(failure) is outcome.STATUS[status]
        return
    if not vector.asked_to_stream:
        # A body whose only end is the connection's is judged by its JSON: half of it is an error, too.
        if cut.over or (how == "FIN" and cut.at == len(vector.data)):
            assert failure is None
            assert answer == whole.answer
        else:
            assert isinstance(failure, errors.APIError)
            assert not isinstance(failure, errors.APIStatusError)
        return
    word, count = verdict(vector.name, cut.content)
    assert got == whole.events[:count]
    if word == "complete":
        assert failure is None
    elif word == "error":
        assert type(failure) is errors.APIError
        assert failure.message == vector.expected["error"]["message"]
    else:
        assert type(failure) is errors.StreamTruncatedError
        assert failure.events == count
        assert failure.snapshot is not None


def line_ends(vector: Vector) -> list[int]:
    """The places on both sides of each byte that ends a line, of the head, the framing or the events."""
    data = vector.data
    ends = [at for at in range(len(data)) if data[at] in b"\r\n"]
    return sorted({0, len(data), *ends, *(at + 1 for at in ends)})

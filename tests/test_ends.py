"""Every answer cut after every byte: a whole stream or a typed error, every event before the cut, no slot lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

import tokenwire
from support.answers import answer, chunk, completion, delta, ended, js, positions, sse, usage_chunk
from tokenwire.backends.memory import EOF, MemoryBackend

CUTS = {"FIN": EOF, "RST": ConnectionResetError(104, "Connection reset by peer")}


@dataclass
class Case:
    """An answer: its payloads, whether [DONE] comes behind them, and at which of them it is complete."""

    name: str
    family: str
    payloads: list[Any]
    done: bool
    complete_at: int | None  # how many payloads make it complete; None: only [DONE] does
    eol: str = "\n"
    named: bool = False
    body: bytes = field(init=False)
    ends: list[int] = field(init=False)  # where in the body each payload is whole

    def __post_init__(self) -> None:
        self.body, self.ends = b"", []
        for payload in [*self.payloads, *(["[DONE]"] * self.done)]:
            if self.named and isinstance(payload, dict):
                self.body += f"event: {payload['type']}{self.eol}".encode()
            one = sse(payload, eol=self.eol)
            self.body += one
            self.ends.append(len(self.body) - 2 * len(self.eol))

    def __str__(self) -> str:
        return self.name


CALL = [{"index": 0, "id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
TOOL = {"id": "c", "choices": [{"index": 0, "delta": {"tool_calls": CALL}}]}
TWO = [chunk("a"), chunk("b", index=1), chunk(None, "stop"), chunk(None, "stop", index=1)]

CASES = [
    Case("chat", "chat", [chunk("H"), chunk("é😀"), chunk(None, "stop"), usage_chunk()], True, 3),
    Case("chat, CR LF, no [DONE]", "chat", [chunk("H"), TOOL, chunk(None, "tool_calls")], False, 3, "\r\n"),
    Case("chat, two choices", "chat", TWO, True, 4, "\r"),
    Case("chat, Ollama", "chat", [chunk("H"), chunk("i")], True, None),
    Case("responses", "responses", [delta("H"), delta("é😀"), ended()], False, 3, named=True),
    Case("responses, LiteLLM", "responses", [delta("H"), ended("incomplete")], True, 2, "\r\n"),
]


def opened(client: Any, family: str) -> Any:
    if family == "chat":
        return client.chat.completions.create(model="m", messages=[], stream=True)
    return client.responses.create(model="m", input="x", stream=True)


@pytest.mark.parametrize("how", CUTS)
@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_cut_after_every_byte(case: Case, framing: str, how: str) -> None:
    wire = answer(case.body, framing)
    begin = wire.index(b"\r\n\r\n") + 4
    place = positions(case.body, framing, begin)
    whole_at = [place[end - 1] + 1 for end in case.ends]
    expected = [js(payload) for payload in case.payloads]
    peer = MemoryBackend([wire[:at], CUTS[how]] for at in range(len(wire) + 1))
    client = tokenwire.Client(api_key="k", base_url="http://test/v1", backend=peer, max_retries=0)
    for at in range(len(wire) + 1):
        got: list[str] = []
        failure: Exception | None = None
        stream = None
        try:
            stream = opened(client, case.family)
            for event in stream:
                got.append(event.to_json())
        except tokenwire.TokenwireError as error:
            failure = error
        arrived = sum(end <= at for end in whole_at)
        marked = case.done and arrived == len(whole_at)
        told = min(arrived, len(expected))
        if case.family == "responses":
            told = min(told, case.complete_at or told)
        assert got == expected[:told], at
        complete = marked or (case.complete_at is not None and arrived >= case.complete_at)
        if complete:
            assert failure is None, at
        elif stream is None:
            # Before the head is whole there is no stream.
            assert at < begin, at
            assert isinstance(failure, tokenwire.APIConnectionError), at
            assert not isinstance(failure, tokenwire.StreamTruncatedError), at
        else:
            assert type(failure) is tokenwire.StreamTruncatedError, at
            assert failure.events == told, at
            assert failure.snapshot == stream.snapshot, at
        if stream is not None:
            assert list(stream) == [], "after the failure the iteration is over"
        pool = client._pools.pool
        assert pool is not None
        counts = pool.counts()
        assert counts["active"] == counts["waiting"] == 0, at
        assert complete or counts["idle"] == counts["draining"] == 0, at
        # Kept only where the answer was complete; the next request then finds that it is dead.
        assert sum(not transport.closed for transport in peer.connections) <= 1, at
    assert len(peer.connections) == len(wire) + 1


@pytest.mark.parametrize("case", CASES, ids=str)
def test_raw_cut_after_every_byte(case: Case) -> None:
    wire = answer(case.body, "chunked")
    place = positions(case.body, "chunked", wire.index(b"\r\n\r\n") + 4)
    whole_at = [place[end - 1] + 1 for end in case.ends]
    expected = [js(payload).encode() for payload in case.payloads] + [b"[DONE]"] * case.done
    peer = MemoryBackend([wire[:at], EOF] for at in range(len(wire) + 1))
    client = tokenwire.Client(api_key="k", base_url="http://test/v1", backend=peer, max_retries=0)
    for at in range(len(wire) + 1):
        got: list[bytes] = []
        failure: Exception | None = None
        try:
            for event in opened(client, case.family).raw():
                got.append(bytes(event.data))
        except tokenwire.TokenwireError as error:
            failure = error
        arrived = sum(end <= at for end in whole_at)
        assert got == expected[:arrived], at
        if at < wire.index(b"\r\n\r\n") + 4:
            assert type(failure) is tokenwire.RemoteProtocolError, at
        elif (case.done and arrived == len(expected)) or at == len(wire):
            assert failure is None, at
        else:
            assert type(failure) is tokenwire.StreamTruncatedError, at
            assert (failure.events, failure.snapshot) == (arrived, None), at


@pytest.mark.parametrize("how", CUTS)
@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_a_whole_answer_cut_after_every_byte(framing: str, how: str) -> None:
    body = js(completion("Hi")).encode()
    wire = answer(body, framing, kind="application/json")
    begin = wire.index(b"\r\n\r\n") + 4
    peer = MemoryBackend([wire[:at], CUTS[how]] for at in range(len(wire) + 1))
    client = tokenwire.Client(api_key="k", base_url="http://test/v1", backend=peer, max_retries=0)
    for at in range(len(wire) + 1):
        failure = None
        try:
            found = client.chat.completions.create(model="m", messages=[])
        except tokenwire.TokenwireError as error:
            failure = error
        else:
            assert found.to_json() == body.decode()
        if at == len(wire) and not (framing == "close" and how == "RST"):
            assert failure is None
        elif framing == "close" and how == "FIN" and at >= begin:
            # Nothing but the JSON itself tells.
            assert type(failure) is tokenwire.APIResponseValidationError, at
        else:
            assert isinstance(failure, tokenwire.APIConnectionError), at
        pool = client._pools.pool
        assert pool is not None
        assert pool.counts()["active"] == pool.counts()["waiting"] == 0, at


@pytest.mark.parametrize("how", CUTS)
@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_a_refusal_cut_after_every_byte(framing: str, how: str) -> None:
    """Once its head is there its status is what is raised, with whatever came of the body."""
    body = js({"error": {"message": "no such model", "code": "nope"}}).encode()
    wire = answer(body, framing, status="404 Not Found", kind="application/json")
    begin = wire.index(b"\r\n\r\n") + 4
    peer = MemoryBackend([wire[:at], CUTS[how]] for at in range(len(wire) + 1))
    client = tokenwire.Client(api_key="k", base_url="http://test/v1", backend=peer, max_retries=0)
    for at in range(len(wire) + 1):
        with pytest.raises(tokenwire.APIError) as caught:
            opened(client, "chat")
        assert (type(caught.value) is tokenwire.NotFoundError) == (at >= begin), at
        if at == len(wire):
            assert caught.value.code == "nope"
        pool = client._pools.pool
        assert pool is not None
        assert pool.counts()["active"] == pool.counts()["waiting"] == 0, at

"""Other clients, each used as its own documentation says, and tokenwire beside them: one way to read a stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NamedTuple

import aiohttp
import httpx
import httpx_sse
import openai

import tokenwire

RIVALS = ("tokenwire", "openai", "httpx-sse", "aiohttp")
ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "the moon"}], "stream": True}
RESPOND: dict[str, Any] = {"model": "m", "input": "the moon", "stream": True}


class Outcome(NamedTuple):
    """What a stream gave: its events as the client hands them out, and how it ended."""

    events: list[Any]
    error: Exception | None

    @property
    def text(self) -> str:
        """Of Chat Completions."""
        found = ""
        for event in self.events:
            chunk = event if isinstance(event, dict) else event.to_dict()
            for choice in chunk.get("choices", ()):
                found += choice["delta"].get("content") or ""
        return found


def collect(events: Iterator[Any]) -> Outcome:
    found: list[Any] = []
    try:
        found.extend(events)
    except Exception as error:
        return Outcome(found, error)
    return Outcome(found, None)


def read(rival: str, url: str, *, family: str = "chat", timeout: float = 30.0, retry: bool = False) -> Outcome:
    """Read one stream to its end. retry: leave the retries as they are, else none."""
    return collect(_READERS[rival](url, family, timeout, retry))


def _official(client: Any, family: str) -> Iterator[Any]:
    with client, client.chat.completions.create(**ASK) if family == "chat" else client.responses.create(**RESPOND) as s:
        yield from s


def _tokenwire(url: str, family: str, timeout: float, retry: bool) -> Iterator[Any]:
    options: dict[str, Any] = {} if retry else {"max_retries": 0}
    return _official(tokenwire.Client(api_key="k", base_url=url, timeout=timeout, **options), family)


def _openai(url: str, family: str, timeout: float, retry: bool) -> Iterator[Any]:
    options: dict[str, Any] = {} if retry else {"max_retries": 0}
    return _official(openai.OpenAI(api_key="k", base_url=url, timeout=timeout, **options), family)


def _asked(url: str, family: str) -> tuple[str, dict[str, Any]]:
    return (f"{url}/chat/completions", ASK) if family == "chat" else (f"{url}/responses", RESPOND)


def _httpx_sse(url: str, family: str, timeout: float, retry: bool) -> Iterator[Any]:
    url, body = _asked(url, family)
    with (
        httpx.Client(timeout=timeout, trust_env=False, verify=False) as client,
        httpx_sse.connect_sse(client, "POST", url, json=body) as source,
    ):
        source.response.raise_for_status()
        for event in source.iter_sse():
            if event.data == "[DONE]":
                return
            yield json.loads(event.data)


async def aiohttp_lines(url: str, body: dict[str, Any], timeout: float) -> AsyncIterator[bytes]:
    limits = aiohttp.ClientTimeout(total=None, sock_read=timeout)
    async with aiohttp.ClientSession(timeout=limits) as session, session.post(url, json=body) as response:
        response.raise_for_status()
        async for line in response.content:
            yield line


def _aiohttp(url: str, family: str, timeout: float, retry: bool) -> Iterator[Any]:
    url, body = _asked(url, family)
    found: list[Any] = []

    async def main() -> None:
        async for line in aiohttp_lines(url, body, timeout):
            data = line.removeprefix(b"data: ").strip()
            if data == b"[DONE]":
                return
            if data.startswith(b"{"):
                found.append(json.loads(data))

    try:
        asyncio.run(main())
    finally:
        yield from found


_READERS: dict[str, Callable[[str, str, float, bool], Iterator[Any]]] = {
    "tokenwire": _tokenwire,
    "openai": _openai,
    "httpx-sse": _httpx_sse,
    "aiohttp": _aiohttp,
}

"""The reciting handler: a deterministic source of tokens for an endpoint without a model.

It is no language model and does not pretend to be one: it answers as
`tokenwire-recite-1`, whatever model was asked for, with public-domain verse that
the prompt's words pick. The same request brings the same tokens.

What else a client can ask of an endpoint, it does in the same spirit: a tool that
must be called is called, and a JSON schema is satisfied, with verse for strings;
reasoning is given where an effort is asked for; token limits are kept.
"""

from __future__ import annotations

import itertools
import re
import zlib
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from tokenwire.server.problem import RequestError
from tokenwire.server.request import Request
from tokenwire.server.schema import sample
from tokenwire.server.tokens import Finish, Reasoning, Text, Token, ToolCall, Usage
from tokenwire.server.verse import POEMS, Poem

__all__ = ["MODEL", "Reciter", "recite", "tokens"]

MODEL: Final = "tokenwire-recite-1"

# Like a model's vocabulary: a word goes with the space before it; punctuation and line ends stand alone.
_TOKEN: Final = re.compile(r" ?\w+(?:['\u2019]\w+)*| ?[^\w\s]+|\n+|\s")
_WORD: Final = re.compile(r"\w+(?:['\u2019]\w+)*")

#: How much of a prompt is searched for the names of tools: each of them in all of it would be the product of the two.
_READ: Final = 10_000


def tokens(text: str) -> list[str]:
    """The text, cut as a model's tokenizer would: joined, they are the text again."""
    return _TOKEN.findall(text)


class Reciter:
    """A handler that recites.

    tokens_per_second: the pace, kept by the request's clock; None for no pause at
    all (and so for a request without a clock).
    """

    model: Final = MODEL

    def __init__(self, *, tokens_per_second: float | None = None) -> None:
        if tokens_per_second is not None and not tokens_per_second > 0:
            raise ValueError(f"tokens_per_second must be positive, not {tokens_per_second!r}")
        self.tokens_per_second = tokens_per_second

    def __call__(self, request: Request) -> Recital:
        """The answer. Raises RequestError (400) for a JSON schema that it cannot satisfy, and for a tool that it
        must call where none is a function."""
        return Recital(request, self.tokens_per_second)


class Recital:
    """One answer: an async iterator of tokens. It holds nothing that would have to be closed."""

    def __init__(self, request: Request, tokens_per_second: float | None) -> None:
        self._tokens = iter(_recital(request))
        self._clock = request.clock
        self._pace = tokens_per_second
        self._started: float | None = None
        self._said = 0

    def __aiter__(self) -> Recital:
        return self

    async def __anext__(self) -> Token:
        """The next token. A checkpoint where there is a pace, and the token is not due yet."""
        token = next(self._tokens, None)
        if token is None:
            raise StopAsyncIteration
        if self._pace is not None and self._clock is not None and not isinstance(token, (Usage, Finish)):
            now = self._clock.now()
            if self._started is None:
                self._started = now
            self._said += 1
            # Due by the count from the start: sleeps that last too long do not add up.
            due = self._started + self._said / self._pace
            if due > now:
                await self._clock.sleep(due - now)
        return token


recite: Final = Reciter()


# -- What is said --------------------------------------------------------------


def _recital(request: Request) -> list[Token]:
    poem = pick(request.prompt)
    said: list[Token] = []
    reasoned = 0
    if request.reasoning is not None:
        thoughts = tokens(_thought(request, poem))
        said += [Reasoning(piece, summary=request.reasoning_summary is not None) for piece in thoughts]
        reasoned = len(thoughts)
    said += _call(request, poem) if request.tool_choice == "required" else _answer(request, poem)
    most = request.max_tokens
    cut = most is not None and most < len(said)
    said = said[:most]
    count = len(said)
    choices = [*said]
    for choice in range(1, request.n):
        choices += [_of_choice(token, choice) for token in said]
    if cut:
        choices += [Finish("length", choice) for choice in range(request.n)]
    prompt = sum(
        len(tokens(message.text)) + sum(len(tokens(call.arguments)) for call in message.calls)
        for message in request.messages
    )
    usage = Usage(
        input_tokens=prompt,
        output_tokens=count * request.n,
        reasoning_tokens=min(reasoned, count) * request.n,
    )
    return [*choices, usage]


def _of_choice(token: Token, choice: int) -> Token:
    if isinstance(token, str):
        return Text(token, choice)
    return token if isinstance(token, Usage) else msgspec.structs.replace(token, choice=choice)


def pick(prompt: str) -> Poem:
    """The poem that most of the prompt's words call for; the prompt's checksum decides between equals."""
    words = {word.lower() for word in _WORD.findall(prompt)}
    words |= {word[:-1] for word in words if word.endswith("s")}
    scores = [len(words.intersection(poem.about)) for poem in POEMS]
    best = [poem for poem, score in zip(POEMS, scores, strict=True) if score == max(scores)]
    return best[zlib.crc32(prompt.encode(errors="replace")) % len(best)]


def _thought(request: Request, poem: Poem) -> str:
    called = [word for word in dict.fromkeys(_WORD.findall(request.prompt.lower())) if word in poem.about]
    why = (
        f"The prompt speaks of {' and '.join(called)}"
        if called
        else "Nothing in the prompt calls for a poem of its own"
    )
    return f"{why}; I recite “{poem.title}” ({poem.source})."


def _answer(request: Request, poem: Poem) -> list[Token]:
    if request.format == "json_schema":
        return [*_json_tokens(sample(request.schema or {}, _words(poem)))]
    if request.format == "json_object":
        found = {"title": poem.title, "author": poem.author, "lines": poem.lines.split("\n")}
        return [*_json_tokens(found)]
    return [*tokens(poem.text)]


def _call(request: Request, poem: Poem) -> list[Token]:
    """A call of the tool that must be called, or that the prompt speaks of, or else the first."""
    names = [tool.name for tool in request.tools]
    if not names:
        raise RequestError(
            400,
            "The reciting model calls functions only, and none of the 'tools' is one.",
            param="tool_choice",
            code="unsupported_value",
        )
    spoken = request.prompt[:_READ]
    wanted = request.tool_name or next((name for name in names if name in spoken), names[0])
    tool = request.tools[names.index(wanted)]
    arguments = sample({"type": "object", **tool.schema}, _words(poem))
    return [ToolCall(tool.name), *(ToolCall(arguments=piece) for piece in _json_tokens(arguments))]


def _json_tokens(value: Any) -> list[str]:
    return tokens(msgspec.json.encode(value).decode())


def _words(poem: Poem) -> Iterator[str]:
    """The words of the verse, round and round."""
    return itertools.cycle(_WORD.findall(poem.lines))

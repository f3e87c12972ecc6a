"""What a stream of chat chunks adds up to.

Theory of operation. Nearly every chunk of a stream is plain: one choice, one
piece of content, and nothing else. `Accumulator.add` recognizes it by the fields
that must be None, and appends its text to that choice's buffer; a chunk that is
`_open` may hold anything anywhere, and is never plain. Every other chunk takes the
slow path, which believes nothing about shapes. Nothing is built before
`snapshot()` is called.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from .chat_calls import Log, says
from .chat_choice import Change, ChoiceLog
from .chat_types import ChatCompletion, ChatCompletionChunk, ChoiceDelta, ChunkChoice, CompletionUsage
from .partial import GrowingText

__all__ = ["Accumulator"]

_others: Final = operator.attrgetter(
    "tool_calls", "refusal", "reasoning_content", "reasoning", "reasoning_details", "function_call", "audio"
)


def _brings_text_alone(event: ChatCompletionChunk) -> bool:
    """Whether a second chunk like this one would add its text to a choice, and nothing else anywhere.

    It has one choice, and no other object in itself (see alike.py). Unknown fields of its own may be there: of those
    the latest word is believed.
    """
    choice = event.choices[0]
    delta: Any = choice.delta
    if type(delta) is not ChoiceDelta:
        return False
    if choice.__dict__ or delta.__dict__ or choice.finish_reason or choice.logprobs or any(_others(delta)):
        return False
    return type(choice.index) is int and type(delta.content) is str


class Accumulator:
    """What the chunks so far add up to. `add` (or `take`) never raises; `snapshot()` is a value.

    content, arguments: make what keeps them (GrowingJSON where they are to be read on the way).
    """

    __slots__ = (
        "_created",
        "_extras",
        "_id",
        "_latest",
        "_like",
        "_log_of_arguments",
        "_log_of_content",
        "_model",
        "_write",
        "choices",
    )

    terminal = False  # a usage chunk may follow the last choice's end, so no event ends the iteration

    def __init__(
        self, content: Callable[[], Log] = GrowingText, arguments: Callable[[], Log] = GrowingText
    ) -> None:
        self.choices: dict[int, ChoiceLog] = {}
        self._log_of_content, self._log_of_arguments = content, arguments
        self._id = ""
        self._model = ""
        self._created = 0
        self._latest: dict[str, Any] = {}
        self._extras: dict[str, Any] | None = None
        # What plain chunks had in common, and where their content went: see alike.py.
        self._like: object = None
        self._write: Callable[[str], object] | None = None

    def take(self, event: ChatCompletionChunk) -> ChoiceLog | list[tuple[ChoiceLog, list[Change]]]:
        """Take a chunk in.

        Gives the choice to whose content it appended, where it did nothing else; else what it did to which.
        """
        if not event._open and event.usage is None and event.moderation is None:
            choices = event.choices
            if len(choices) == 1:
                choice = choices[0]
                delta = choice.delta
                content = delta.content
                if (
                    content.__class__ is str
                    and choice.finish_reason is None
                    and choice.logprobs is None
                    and delta.tool_calls is None
                    and delta.refusal is None
                    and delta.reasoning_content is None
                    and delta.reasoning is None
                    and delta.reasoning_details is None
                    and delta.function_call is None
                    and delta.audio is None
                ):
                    log = self.choices.get(choice.index)
                    if log is not None and (extend := log.extend_content) is not None:
                        extend(content)
                        return log
        return self._add_any(event)

    if TYPE_CHECKING:

        def add(self, event: Any) -> None:
            """Take a chunk in."""
    else:
        add = take  # the port's name for it: one call, not two, for each token

    def add_run(
        self, events: list[ChatCompletionChunk], like: object = None, texts: Sequence[str] = ()
    ) -> list[ChatCompletionChunk]:
        """Take each of these in, and give them back. like, texts: what is common to them, and not (see alike.py)."""
        if like is not None and like is self._like and self._write is not None:
            self._write("".join(texts))
            return events
        self._like = None  # what comes now may say otherwise, and behind it theirs is the latest word again
        take = self.take
        for event in events:
            take(event)
        if like is not None and _brings_text_alone(event):
            # Those to come are like this one: their text goes where its text went.
            self._like, self._write = like, self.log_of(event.choices[0].index).extend_content
        return events

    def _add_any(self, event: ChatCompletionChunk) -> list[tuple[ChoiceLog, list[Change]]]:
        """Take a chunk of any shape in."""
        if not self._id and isinstance(event.id, str):
            self._id = event.id
        if not self._model and isinstance(event.model, str):
            self._model = sys.intern(str(event.model))  # as below: one string for all the streams that wait
        if not self._created and isinstance(event.created, int):
            self._created = event.created
        latest = self._latest
        usage: Any = event.usage
        if isinstance(usage, CompletionUsage):
            latest["usage"] = usage
        for name in ("system_fingerprint", "service_tier"):
            said: Any = getattr(event, name)
            if said is not None:
                latest[name] = sys.intern(said) if type(said) is str else said
        if event.moderation is not None:
            latest["moderation"] = event.moderation
        if event._open:
            for name, value in event.__dict__.items():
                if says(value):
                    if self._extras is None:
                        self._extras = {}
                    self._extras[name] = value
        changed = []
        choices: Any = event.choices
        if isinstance(choices, list):
            for place, choice in enumerate(choices):
                if isinstance(choice, ChunkChoice):
                    index: Any = choice.index
                    log = self.log_of(index if type(index) is int else place)
                    changed.append((log, log.add(choice, event._open)))
        return changed

    def log_of(self, index: int) -> ChoiceLog:
        """The log of the choice with that index."""
        log = self.choices.get(index)
        if log is None:
            log = self.choices[index] = ChoiceLog(index, self._log_of_content, self._log_of_arguments)
        return log

    @property
    def complete(self) -> bool:
        """Whether at least one choice was seen, and each choice that was seen has ended."""
        return bool(self.choices) and all(log.finish_reason is not None for log in self.choices.values())

    def snapshot(self) -> ChatCompletion:
        """The completion as far as it came: a value, built for this call."""
        completion = ChatCompletion(
            id=self._id,
            choices=[log.build() for log in sorted(self.choices.values(), key=lambda log: log.index)],
            created=self._created,
            model=self._model,
            **self._latest,
        )
        if self._extras:
            completion.__dict__.update(self._extras)
        return completion

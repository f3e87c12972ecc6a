"""What came of a call, told in the words of a recording's `expected`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import tokenwire
from support.vectors import Vector
from tokenwire import errors

STATUS = {
    400: errors.BadRequestError,
    401: errors.AuthenticationError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    409: errors.ConflictError,
    422: errors.UnprocessableEntityError,
    429: errors.RateLimitError,
    500: errors.InternalServerError,
    502: errors.InternalServerError,
}


class Outcome:
    """The events of one call, in order, what they add up to, and what it raised behind them."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.text: list[str] = []
        self.snapshot: Any = None
        self.error: tokenwire.APIError | None = None
        self.stats: Any = None  # of a stream

    def plain(self) -> tuple[list[dict[str, Any]], str, dict[str, Any] | None]:
        """For comparisons: every event as JSON, the error's class and, where it is the server's own, its words."""
        told = ""
        if self.error is not None:
            told = type(self.error).__name__
            if not isinstance(self.error, errors.APIConnectionError):
                told += f": {self.error.message} {self.error.body!r}"
        snapshot = None if self.snapshot is None else self.snapshot.to_dict()
        return [event.to_dict() for event in self.events], told, snapshot


def ask(client: Any, vector: Vector, stream: bool) -> Any:
    """Begin the call that the recording answers, or await it. A GET's bytes are taken for a POST's answer."""
    if vector.family == "chat":
        messages = [{"role": "user", "content": "the moon"}]
        return client.chat.completions.create(model="m", messages=messages, stream=stream)
    return client.responses.create(model="m", input="the moon", stream=stream)


def _nobody(count: int) -> None:
    pass


def call(client: tokenwire.Client, vector: Vector, seen: Callable[[int], object] = _nobody) -> Outcome:
    """Through the blocking client. seen: told after each event how many there have been."""
    outcome = Outcome()
    try:
        if not vector.asked_to_stream:
            outcome.snapshot = ask(client, vector, stream=False)
            return outcome
        with ask(client, vector, stream=True) as stream:
            try:
                for event in stream:
                    outcome.events.append(event)
                    seen(len(outcome.events))
            finally:
                outcome.snapshot, outcome.stats = stream.snapshot, stream.stats
    except tokenwire.APIError as error:
        outcome.error = error
    return outcome


async def acall(
    client: tokenwire.AsyncClient, vector: Vector, seen: Callable[[int], object] = _nobody
) -> Outcome:
    """Through the async client. As `call`."""
    outcome = Outcome()
    try:
        if not vector.asked_to_stream:
            outcome.snapshot = await ask(client, vector, stream=False)
            return outcome
        async with await ask(client, vector, stream=True) as stream:
            try:
                async for event in stream:
                    outcome.events.append(event)
                    seen(len(outcome.events))
            finally:
                outcome.snapshot, outcome.stats = stream.snapshot, stream.stats
    except tokenwire.APIError as error:
        outcome.error = error
    return outcome


def check(outcome: Outcome, vector: Vector) -> None:
    """Hold what came of a call to the recording's expectation."""
    expected = vector.expected
    check_end(outcome, vector)
    if expected["outcome"] == "http_error":
        assert outcome.events == []
        return
    if vector.asked_to_stream:
        # The error object is the last JSON on the wire, and an exception here.
        count = expected["json_events"] - (expected["outcome"] == "error")
        assert len(outcome.events) == count
    if vector.family == "chat":
        check_chat(outcome, vector)
    else:
        check_responses(outcome, vector)


def check_end(outcome: Outcome, vector: Vector) -> None:
    expected, error = vector.expected, outcome.error
    match expected["outcome"]:
        case "complete":
            assert error is None, repr(error)
        case "truncated":
            assert type(error) is tokenwire.StreamTruncatedError, repr(error)
            assert error.events == expected["json_events"]
        case "error":
            assert type(error) is tokenwire.APIError, repr(error)
            assert error.message == expected["error"]["message"]
            assert error.body == expected["error"]
            check_fields(error, expected["error"])
        case "http_error":
            assert isinstance(error, tokenwire.APIStatusError), repr(error)
            status = expected["http_status"]
            assert type(error) is STATUS[status]
            assert error.status_code == error.response.status_code == status
            check_http_error(error, expected["error"])
        case other:
            raise AssertionError(other)


def check_http_error(error: tokenwire.APIStatusError, said: Any) -> None:
    """The server's own words, in whatever shape it put them."""
    if isinstance(said, str):  # {"detail": "..."}, {"error": "..."}
        assert said in error.message
    elif "non_json_body" in said:
        assert error.body == said["non_json_body"]
        assert said["non_json_body"].strip()[:100] in error.message
    elif "html-message" in said:  # the tags taken out, as a reader sees it
        for word in said["html-message"].split():
            assert word in str(error.body)
    else:
        assert said["message"] in error.message
        assert error.body == said
        check_fields(error, said)


def check_fields(error: tokenwire.APIError, said: dict[str, Any]) -> None:
    for name in ("code", "param", "type"):
        value = said.get(name)
        assert getattr(error, name) == (None if value is None else str(value))


def check_chat(outcome: Outcome, vector: Vector) -> None:
    expected, whole = vector.expected, outcome.snapshot
    choices = {choice.index: choice for choice in whole.choices}
    first = choices[0]
    message = first.message
    assert (message.content or "") == expected["text"]
    assert (message.refusal or "") == expected["refusal"]
    assert (message.reasoning_content or message.reasoning or "") == expected["reasoning"]
    # A whole object cannot be without a finish reason; what it says in its place is its own affair.
    if expected["finish_reason"] is not None:
        assert first.finish_reason == expected["finish_reason"]
    assert (None if whole.usage is None else whole.usage.to_dict()) == expected["usage"]
    calls = [
        {"index": at, "id": one.id, "name": one.function.name, "arguments": one.function.arguments}
        for at, one in enumerate(message.tool_calls or [])
    ]
    assert calls == expected["tool_calls"]
    for choice in expected.get("choices", []):
        assert choices[choice["index"]].message.content == choice["text"]
        assert choices[choice["index"]].finish_reason == choice["finish_reason"]
    if not vector.asked_to_stream:
        return
    check_deltas(outcome.events, expected)


def check_deltas(events: list[Any], expected: dict[str, Any]) -> None:
    """The same, out of the chunks themselves: nothing but concatenation."""
    choices = [choice for event in events for choice in event.choices]
    deltas = [choice.delta for choice in choices if choice.index == 0 and choice.delta is not None]
    assert "".join(delta.content or "" for delta in deltas) == expected["text"]
    assert "".join(delta.reasoning_content or delta.reasoning or "" for delta in deltas) == expected["reasoning"]
    reasons = [choice.finish_reason for choice in choices if choice.index == 0 and choice.finish_reason]
    assert reasons[-1:] == ([] if expected["finish_reason"] is None else [expected["finish_reason"]])
    usages = [event.usage.to_dict() for event in events if event.usage is not None]
    assert usages[-1:] == ([] if expected["usage"] is None else [expected["usage"]])
    if "logprobs_tokens" in expected:
        logprobs = [choice.logprobs for choice in choices if choice.logprobs is not None]
        assert sum(len(one.content or []) for one in logprobs) == expected["logprobs_tokens"]


def check_responses(outcome: Outcome, vector: Vector) -> None:
    expected, whole, events = vector.expected, outcome.snapshot, outcome.events
    types = Counter(event.type for event in events)
    in_a_word = Counter(expected["event_types"])
    if expected["outcome"] == "error":
        in_a_word["message"] -= 1  # the error, which has no type
    assert types == +in_a_word
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == expected["text"]
    assert whole.output_text == expected["text"]
    if expected["status"] is not None:
        assert whole.status == expected["status"]
        assert events[-1].response.status == expected["status"]
    incomplete = None if whole.incomplete_details is None else whole.incomplete_details.to_dict()
    assert incomplete == expected["incomplete_details"]
    assert (None if whole.usage is None else whole.usage.to_dict()) == expected["usage"]
    calls = [item for item in whole.output if item.type == "function_call"]
    assert [(one.name, one.arguments) for one in calls] == [
        (one["name"], one["arguments"]) for one in expected["tool_calls"]
    ]
    assert [one.call_id for one in calls] == [one["id"] for one in expected["tool_calls"]]

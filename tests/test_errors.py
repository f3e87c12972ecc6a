"""The exception tree: drawn in the module's docstring, and so in fact."""

from __future__ import annotations

import copy
import pickle
import re
from types import SimpleNamespace
from typing import Any

import httpx
import openai
import pytest

import tokenwire
from tokenwire import errors
from tokenwire.errors import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    ContentFilterFinishReasonError,
    LengthFinishReasonError,
    LimitExceededError,
    LocalProtocolError,
    OpenAIError,
    PoolTimeoutError,
    ProxyError,
    RemoteProtocolError,
    StreamTruncatedError,
    TokenwireError,
    status_error,
)
from tokenwire.wire.heads import Headers, ResponseHead

HEAD = ResponseHead(429, "Too Many", Headers([(b"x-request-id", b"req_1")]), "1.1")


def drawn() -> dict[str, str | None]:
    """Each class of the drawing, and its parent there."""
    assert errors.__doc__ is not None
    parents: dict[str, str | None] = {}
    above: list[tuple[int, str]] = []
    for line in errors.__doc__.splitlines():
        match = re.match(r"    ((?:[| ]   )*)(?:\+-- )?([A-Z]\w+(?:Error|Exceeded))\b", line)
        if match is None:
            continue
        depth = line.index(match[2])
        while above and above[-1][0] >= depth:
            above.pop()
        parents[match[2]] = above[-1][1] if above else None
        above.append((depth, match[2]))
    return parents


def test_the_drawing_is_the_tree() -> None:
    classes = {
        name: value
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception) and name != "OpenAIError"
    }
    assert drawn() == {
        name: None if cls is TokenwireError else cls.__bases__[0].__name__ for name, cls in classes.items()
    }
    assert len(classes) > 20


def test_names_of_the_official_package() -> None:
    import openai

    for name in errors.__all__:
        theirs = getattr(openai, name, None)
        if theirs is None or name == "OpenAIError":
            continue
        ours = getattr(errors, name)
        # Who catches a base of theirs catches ours by the same name.
        for base in theirs.__mro__[1:]:
            if base.__module__.startswith("openai") and hasattr(errors, base.__name__):
                assert issubclass(ours, getattr(errors, base.__name__)), (name, base.__name__)
    assert OpenAIError is TokenwireError


@pytest.mark.parametrize(
    ("body", "code", "param", "kind"),
    [
        (None, None, None, None),
        ("text", None, None, None),
        ([1], None, None, None),
        ({}, None, None, None),
        ({"code": "c", "param": "p", "type": "t"}, "c", "p", "t"),
        ({"code": 500, "param": None, "type": ["odd"]}, "500", None, "['odd']"),
        ({"code": 0}, "0", None, None),
    ],
)
def test_what_an_api_error_takes_from_its_body(body: Any, code: Any, param: Any, kind: Any) -> None:
    error = APIError("words", body=body)
    assert (str(error), error.message, error.body) == ("words", "words", body)
    assert (error.code, error.param, error.type) == (code, param, kind)


BY_STATUS = {
    400: "BadRequestError",
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    409: "ConflictError",
    422: "UnprocessableEntityError",
    429: "RateLimitError",
}


REQUEST = httpx.Request("POST", "http://test/v1")
LIMITED = httpx.Response(429, request=REQUEST, headers={"X-Request-Id": "req_2"})


@pytest.mark.parametrize("package", [openai, tokenwire])
def test_errors_are_made_as_people_make_them_in_their_tests(package: Any) -> None:
    """By the official SDK's arguments, with what httpx has."""
    for error in (
        package.APIConnectionError(request=REQUEST),
        package.APIConnectionError(message="Connection error.", request=REQUEST),
        package.APITimeoutError(request=REQUEST),
        package.APIError("The engine died.", request=REQUEST, body=None),
        package.APIError("The engine died.", REQUEST, body=None),
    ):
        assert error.request is REQUEST
        assert str(error) == error.message != ""
        assert error.body is None
    error = package.RateLimitError("Slow down.", response=LIMITED, body={"code": "rate_limited"})
    assert (error.status_code, error.request_id, error.code) == (429, "req_2", "rate_limited")
    assert (error.response, error.request, error.message) == (LIMITED, REQUEST, "Slow down.")


def test_the_class_for_every_status() -> None:
    for status in range(400, 600):
        response = SimpleNamespace(status_code=status, headers={"x-request-id": "req_1"})
        error = status_error("words", response=response, body={"code": "c"})
        expected = BY_STATUS.get(status, "InternalServerError" if status >= 500 else "APIStatusError")
        assert type(error).__name__ == expected
        assert isinstance(error, APIStatusError)
        assert (error.status_code, error.request_id, error.code) == (status, "req_1", "c")
        assert error.response is response


def test_what_the_others_say_of_themselves() -> None:
    assert str(APIConnectionError()) == "Connection error."
    timeout = APITimeoutError("no byte for 5 s", clock="read", seconds=5.0)
    assert (str(timeout), timeout.clock, timeout.seconds) == ("no byte for 5 s", "read", 5.0)
    assert str(APITimeoutError()) == "Request timed out."
    limit = LimitExceededError("too much", limit="event_bytes", allowed=3)
    assert (str(limit), limit.limit, limit.allowed) == ("too much", "event_bytes", 3)
    cut = StreamTruncatedError("cut off", snapshot={"a": 1}, events=7)
    assert (str(cut), cut.snapshot, cut.events) == ("cut off", {"a": 1}, 7)
    whole = APIResponseValidationError("no object", response=HEAD, body="text")
    assert (whole.response, whole.status_code, whole.body) == (HEAD, 429, "text")
    length = LengthFinishReasonError(completion=SimpleNamespace(usage="12 tokens"))
    assert str(length) == "Could not parse response content as the length limit was reached - 12 tokens"
    assert str(LengthFinishReasonError(completion=None)).endswith("was reached")
    assert "content filter" in str(ContentFilterFinishReasonError())
    assert isinstance(LocalProtocolError("bad header"), ValueError)


ONE_OF_EACH: list[TokenwireError] = [
    TokenwireError("words"),
    APIError("words", body={"code": "c"}),
    status_error("words", response=HEAD, body={"type": "t"}),
    APIResponseValidationError("words", response=HEAD),
    APIConnectionError(),
    APITimeoutError("words", clock="read", seconds=1.0),
    PoolTimeoutError("words"),
    ProxyError("words", proxy="p:80", status_code=407),
    RemoteProtocolError("words"),
    LimitExceededError("words", limit="event_bytes", allowed=5),
    StreamTruncatedError("words", snapshot={"a": 1}, events=3),
    LocalProtocolError("words"),
    LengthFinishReasonError(completion={"a": 1}),
    ContentFilterFinishReasonError(completion={"a": 1}),
]


@pytest.mark.parametrize("error", ONE_OF_EACH, ids=lambda error: type(error).__name__)
def test_an_error_survives_a_process_boundary(error: TokenwireError) -> None:
    for other in (copy.copy(error), *(pickle.loads(pickle.dumps(error, protocol)) for protocol in (2, 5))):
        assert type(other) is type(error)
        assert (str(other), other.args) == (str(error), error.args)
        ours, theirs = dict(vars(error)), dict(vars(other))
        head, copied = ours.pop("response", None), theirs.pop("response", None)
        assert ours == theirs
        if head is not None:
            assert (copied.status_code, copied.request_id, copied.headers) == (429, "req_1", HEAD.headers)

"""Every exception that tokenwire raises on purpose.

    TokenwireError                      (alias: OpenAIError)
    +-- APIError                        the API, or the way to it, failed; message, body, code, param, type
    |   +-- APIStatusError              an answer with a status of 300 or more; response, status_code, request_id
    |   |   +-- BadRequestError         400
    |   |   +-- AuthenticationError     401
    |   |   +-- PermissionDeniedError   403
    |   |   +-- NotFoundError           404
    |   |   +-- ConflictError           409
    |   |   +-- UnprocessableEntityError 422
    |   |   +-- RateLimitError          429
    |   |   +-- InternalServerError     500 and above
    |   +-- APIResponseValidationError  a whole answer that is not the JSON object that was asked for
    |   +-- StreamDecodeError           one event of a stream that cannot be read: not UTF-8, not JSON
    |   +-- APIConnectionError          no connection, or it broke
    |       +-- APITimeoutError         one of the clocks of Timeouts ran out; the message names it
    |       +-- PoolTimeoutError        no connection became free in time
    |       +-- ProxyError              a proxy did not let us through; proxy, status_code
    |       +-- RemoteProtocolError     the peer broke the rules of HTTP
    |       |   +-- LimitExceededError  the peer sent more than a bound in Limits allows; limit, allowed
    |       +-- StreamTruncatedError    the stream ended before its terminal event; snapshot
    +-- LocalProtocolError              we were asked to send what must not be sent (also a ValueError)
    +-- BusyResourceError               a second consumer met a stream that has one already
    +-- StreamConsumedError             a stream was read again, or in a second way, after its end
    +-- LengthFinishReasonError         the answer was cut at the length limit, so its schema cannot hold
    +-- ContentFilterFinishReasonError  the answer was withheld, so its schema cannot hold

The names are the official SDK's wherever it has one. No message, attribute or
repr of these holds an API key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "BusyResourceError",
    "ConflictError",
    "ContentFilterFinishReasonError",
    "InternalServerError",
    "LengthFinishReasonError",
    "LimitExceededError",
    "LocalProtocolError",
    "NotFoundError",
    "OpenAIError",
    "PermissionDeniedError",
    "PoolTimeoutError",
    "ProxyError",
    "RateLimitError",
    "RemoteProtocolError",
    "StreamConsumedError",
    "StreamDecodeError",
    "StreamTruncatedError",
    "TokenwireError",
    "UnprocessableEntityError",
    "status_error",
]


class TokenwireError(Exception):
    """The base of every exception that tokenwire raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception's own way calls the class with args alone, and so loses what is passed by name:
        # a process pool would break on the error in place of handing it on.
        return _restore, (type(self), self.args, self.__dict__)


def _restore(kind: type[TokenwireError], args: tuple[Any, ...], state: dict[str, Any]) -> TokenwireError:
    """An exception out of its pickle."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


OpenAIError = TokenwireError


class APIError(TokenwireError):
    """The API, or the way to it, failed.

    message: what went wrong, in the server's own words where it had any.
    body: the server's error object (a dict), else the body's text, else None.
    code, param, type: taken from body where it has them, else None.
    request: what one who made this exception gave it, in tests as a rule, as with the official SDK; else None.
    """

    message: str
    body: object | None
    code: str | None
    param: str | None
    type: str | None
    request: Any

    def __init__(self, message: str, request: Any = None, *, body: object | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.request = request
        self.body = body
        known = body if isinstance(body, dict) else {}
        code, param, kind = known.get("code"), known.get("param"), known.get("type")
        self.code = None if code is None else str(code)
        self.param = None if param is None else str(param)
        self.type = None if kind is None else str(kind)


class Answer(Protocol):
    """The head of an answer: wire.ResponseHead."""

    status_code: int
    reason: str

    @property
    def headers(self) -> Mapping[str, str]:
        """By their names in any case."""

    @property
    def request_id(self) -> str | None:
        """The server's name for the request (`x-request-id`), or None."""


class APIStatusError(APIError):
    """The server answered with a status of 300 or more: a redirect is not followed.

    response: status_code, headers and request_id of that answer. Its body was read: it is in `body`.
    """

    response: Answer
    status_code: int
    request_id: str | None

    def __init__(self, message: str, *, response: Answer, body: object | None = None) -> None:
        super().__init__(message, getattr(response, "request", None), body=body)
        self.response = response
        self.status_code = response.status_code
        self.request_id = response.headers.get("x-request-id")  # also of an httpx.Response, in somebody's tests


class BadRequestError(APIStatusError):
    """Status 400."""


class AuthenticationError(APIStatusError):
    """Status 401."""


class PermissionDeniedError(APIStatusError):
    """Status 403."""


class NotFoundError(APIStatusError):
    """Status 404."""


class ConflictError(APIStatusError):
    """Status 409."""


class UnprocessableEntityError(APIStatusError):
    """Status 422."""


class RateLimitError(APIStatusError):
    """Status 429."""


class InternalServerError(APIStatusError):
    """Status 500 and above."""


_BY_STATUS: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}


def status_error(message: str, *, response: Answer, body: object | None = None) -> APIStatusError:
    """The exception that an answer's status calls for."""
    status = response.status_code
    fallback = InternalServerError if status >= 500 else APIStatusError
    return _BY_STATUS.get(status, fallback)(message, response=response, body=body)


class APIResponseValidationError(APIError):
    """A whole (not streamed) answer is not the JSON object that was asked for."""

    def __init__(self, message: str, *, response: Answer, body: object | None = None) -> None:
        super().__init__(message, body=body)
        self.response = response
        self.status_code = response.status_code


class StreamDecodeError(APIError):
    """One event of a stream cannot be read: not UTF-8, or not JSON.

    body: the first bytes of that event, decoded with replacement characters.
    """


class APIConnectionError(APIError):
    """No connection could be made, or it broke."""

    def __init__(
        self, message: str = "Connection error.", *, request: Any = None, body: object | None = None
    ) -> None:
        super().__init__(message, request, body=body)


class APITimeoutError(APIConnectionError):
    """One of the clocks of `Timeouts` ran out.

    clock: its name there, or None. seconds: how long it was set to, or None.
    """

    def __init__(
        self,
        message: str = "Request timed out.",
        *,
        request: Any = None,
        clock: str | None = None,
        seconds: float | None = None,
    ) -> None:
        super().__init__(message, request=request)
        self.clock = clock
        self.seconds = seconds


class PoolTimeoutError(APIConnectionError):
    """No connection became free within `Limits.pool_timeout` seconds."""


class ProxyError(APIConnectionError):
    """A proxy answered in its own name, and did not let us through.

    proxy: its host:port. status_code: of its answer: 407 where it wants other credentials.
    """

    def __init__(self, message: str, *, proxy: str, status_code: int) -> None:
        super().__init__(message)
        self.proxy = proxy
        self.status_code = status_code


class RemoteProtocolError(APIConnectionError):
    """The peer broke the rules of HTTP."""


class LimitExceededError(RemoteProtocolError):
    """The peer sent more than a bound in `Limits` allows.

    limit: the bound's name there. allowed: its value.
    """

    def __init__(self, message: str, *, limit: str, allowed: float) -> None:
        super().__init__(message)
        self.limit = limit
        self.allowed = allowed


class StreamTruncatedError(APIConnectionError):
    """The stream ended before its terminal event: the answer is not whole.

    Every event that had arrived was delivered first. snapshot: what they add up
    to, the family's whole object (ChatCompletion or Response), or None where
    nothing was typed (`raw()`). events: how many were delivered.
    """

    def __init__(self, message: str, *, snapshot: Any = None, events: int = 0) -> None:
        super().__init__(message)
        self.snapshot = snapshot
        self.events = events


class LocalProtocolError(TokenwireError, ValueError):
    """We were asked to send what must not be sent: a header with a newline, say.

    Raised before a byte of it leaves.
    """


class BusyResourceError(TokenwireError):
    """A stream belongs to one consumer, and a second one tried to read it."""


class StreamConsumedError(TokenwireError):
    """A stream was asked to be read again, or in another way, after its reading had begun or ended."""


class LengthFinishReasonError(TokenwireError):
    """The answer was cut at the length limit, so that the schema asked for cannot hold.

    completion: the answer as far as it came.
    """

    def __init__(self, *, completion: Any) -> None:
        usage = getattr(completion, "usage", None)
        super().__init__(
            "Could not parse response content as the length limit was reached" + (f" - {usage}" if usage else "")
        )
        self.completion = completion


class ContentFilterFinishReasonError(TokenwireError):
    """The answer was withheld by a content filter, so that the schema asked for cannot hold.

    completion: the answer as far as it came.
    """

    def __init__(self, *, completion: Any = None) -> None:
        super().__init__("Could not parse response content as the request was rejected by the content filter")
        self.completion = completion

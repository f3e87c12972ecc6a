"""RequestError: an answer that is an error, in the API's own shape.

    {"error": {"message": ..., "type": ..., "param": ..., "code": ...}}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tokenwire.errors import TokenwireError
from tokenwire.wire.heads import bad_header

__all__ = ["RequestError", "as_request_error", "body_late", "body_too_large"]

_TYPES: Mapping[int, str] = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
}

#: What a head says of the body and its framing. Those of another answer (an upstream's) are not those of this one.
_OWN: Final = {"content-encoding", "content-length", "content-type", "transfer-encoding"}


class RequestError(TokenwireError):
    """An error that the client is told: raised by the session, or by a handler.

    status: the HTTP status, 400 to 599. Once tokens have left, the status has left
    too: then the rest travels as the family's error event.
    type: the kind of error; from the status where it is None. param: the request's
    field at fault. code: for programs. headers: more fields of the answer's head, without those
    of its body. Raises TypeError or ValueError for what cannot be told.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str | None = None,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        if not 400 <= status <= 599:
            raise ValueError(f"an error's status is 400 to 599, not {status}")
        # Told now, where it is made: a client could not be told of what is no JSON.
        for said, value in (("message", message), ("type", type), ("param", param), ("code", code)):
            if not (isinstance(value, str) or (value is None and said != "message")):
                raise TypeError(f"an error's {said} is a str, not {value.__class__.__name__}")
        message = message.encode(errors="backslashreplace").decode()  # a lone surrogate
        super().__init__(message)
        self.status = status
        self.message = message
        if type is None:
            type = "server_error" if status >= 500 else _TYPES.get(status, "invalid_request_error")
        self.type = type
        self.param = param
        self.code = code
        self.headers = _checked(headers or {})

    def error(self) -> dict[str, Any]:
        """The API's error object: message, type, param, code."""
        return {"message": self.message, "type": self.type, "param": self.param, "code": self.code}

    def body(self) -> bytes:
        """The JSON of the answer."""
        return msgspec.json.encode({"error": self.error()})


def _checked(headers: Mapping[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        for one in (name, value):
            if not isinstance(one, str):
                raise TypeError(f"an error's headers are strings: {name!r} has {one.__class__.__name__}")
        if name.lower() in _OWN:
            raise ValueError(f"an error's headers are without those of its body: {name!r}")
        if bad := bad_header([(name.encode(), value.encode())]):
            raise ValueError(bad)
    return dict(headers)


def as_request_error(error: BaseException) -> RequestError:
    """What the client is told about a failure: a RequestError's own words, else no details."""
    if isinstance(error, RequestError):
        return error
    return RequestError(500, "The server had an error while processing your request.", code="internal_error")


def body_too_large(most: int) -> RequestError:
    """413: the request's body is larger than `ServerLimits.body_bytes`."""
    return RequestError(413, f"The request's body is larger than {most} bytes.", code="body_too_large")


def body_late() -> RequestError:
    """408: the request's body was not whole within `ServerLimits.body` seconds."""
    return RequestError(408, "The request's body did not come in time.", code="timeout")

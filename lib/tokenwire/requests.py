"""Requests: a client's settings and a call's arguments become what is sent."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec

from tokenwire._version import __version__
from tokenwire.backends.base import Origin
from tokenwire.errors import LocalProtocolError
from tokenwire.families.chat_events import HelperEvent
from tokenwire.families.record import Record
from tokenwire.policy import Limits, Retry, Timeouts
from tokenwire.proxy import Proxy
from tokenwire.settings import NOT_GIVEN, NotGiven, Settings
from tokenwire.wire.heads import RawHeaders

__all__ = ["Request", "build_request", "omitted", "without_omitted"]


class Request:
    """What is to be sent, kept whole so that it can be sent again."""

    __slots__ = ("body", "headers", "limits", "method", "origin", "retry", "target", "timeouts")

    def __init__(
        self,
        method: str,
        origin: Origin,
        target: str,
        headers: RawHeaders,
        body: bytes,
        *,
        timeouts: Timeouts,
        limits: Limits,
        retry: Retry,
    ) -> None:
        self.method = method
        self.origin = origin
        self.target = target
        self.headers = headers
        self.body = body
        self.timeouts = timeouts
        self.limits = limits
        self.retry = retry

    @property
    def forwarder(self) -> Proxy | None:
        """The proxy that reads the request itself, and forwards it; None where there is none, or a tunnel."""
        return self.origin.proxy if self.origin.scheme == "http" else None

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.origin.host}:{self.origin.port}{self.target.split('?')[0]}>"


def omitted(value: object) -> bool:
    """Whether an argument stands for none: ours, or the official SDK's own marks, which have these names."""
    return type(value).__name__ in ("NotGiven", "Omit")


def without_omitted(params: Mapping[str, Any]) -> dict[str, Any]:
    """Only the parameters that a caller gave a value."""
    return {name: value for name, value in params.items() if not omitted(value)}


_USER_AGENT = f"tokenwire/{__version__} Python/{platform.python_version()}"


def _encodable(value: Any) -> Any:
    """What msgspec does not know: pydantic models, and iterables of messages."""
    dump = getattr(value, "model_dump", None)
    if dump is not None:
        return dump(mode="json", exclude_unset=True, by_alias=True)
    if isinstance(value, Mapping):
        return _with_plain_records(dict(value))
    if isinstance(value, Iterable):
        return _with_plain_records(list(value))
    raise TypeError(f"a request cannot hold a {type(value).__name__}")


def _with_plain_records(value: Any) -> Any:
    """The same value, with what a server sent us as the server sent it: unknown fields kept, nothing added."""
    if type(value) is str:
        return value
    if isinstance(value, (Record, HelperEvent)):
        return value.to_dict()
    if isinstance(value, dict):
        return {name: _with_plain_records(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_plain_records(item) for item in value]
    return value


def _body(fields: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(_with_plain_records(fields), enc_hook=_encodable)
    except UnicodeEncodeError as error:
        raise LocalProtocolError(f"the request holds text that is not Unicode: {error.reason}") from None
    except RecursionError:
        raise TypeError("the request holds a value that is nested too deeply, or holds itself") from None


def _headers(config: Settings, asked: Mapping[str, str], extra: Mapping[str, Any]) -> RawHeaders:
    """Ours, then the client's, then the call's: later ones win, and a mark of absence takes one out."""
    merged: dict[str, tuple[str, Any]] = {name.lower(): (name, value) for name, value in asked.items()}
    for name, value in (*config.headers.items(), *extra.items()):
        if name.lower() in _OURS:
            raise LocalProtocolError(f"the header {name!r} says how the request is framed: it cannot be set")
        merged[name.lower()] = (name, value)
    found: RawHeaders = []
    for name, value in merged.values():
        if value is None or omitted(value):
            continue
        if not isinstance(value, str):
            raise TypeError(f"the header {name!r} must be a string, not a {type(value).__name__}")
        try:
            found.append((name.encode("ascii"), value.encode("latin-1")))
        except UnicodeEncodeError:
            raise LocalProtocolError(f"the header {name!r} has characters that HTTP forbids") from None
    return found


_OURS = ("content-length", "transfer-encoding")


def _query(*parts: Mapping[str, object]) -> str:
    asked: list[tuple[str, object]] = []
    for name, value in {name: value for part in parts for name, value in part.items()}.items():
        for item in value if isinstance(value, (list, tuple)) else [value]:
            if item is not None and not omitted(item):
                asked.append((name, str(item).lower() if isinstance(item, bool) else item))
    return f"?{urlencode(asked)}" if asked else ""


def build_request(
    config: Settings,
    method: str,
    path: str,
    params: Mapping[str, Any] | None,
    *,
    stream: bool,
    extra_headers: Mapping[str, Any] | None = None,
    extra_query: Mapping[str, object] | None = None,
    extra_body: Mapping[str, Any] | None = None,
    timeout: Timeouts | float | NotGiven | None = NOT_GIVEN,
    query: Mapping[str, object] | None = None,
) -> Request:
    """One request out of a client's settings and a call's arguments. Raises TypeError for what is not JSON."""
    body = b""
    headers: dict[str, str] = {
        "Host": config.host_header,
        "Accept": "text/event-stream" if stream else "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": _USER_AGENT,
    }
    if config.api_key:
        headers["Authorization"] = f"Bearer {config.api_key}"
    if config.organization:
        headers["OpenAI-Organization"] = config.organization
    if config.project:
        headers["OpenAI-Project"] = config.project
    if params is not None:
        fields = {**without_omitted(params), **(extra_body or {})}
        if stream:
            fields["stream"] = True
        body = _body(fields)
        headers["Content-Type"] = "application/json"
    raw = _headers(config, headers, extra_headers or {})
    if params is not None or method == "POST":
        raw.append((b"Content-Length", b"%d" % len(body)))
    target = f"{config.path}{path}" + _query(config.url_query, config.query, query or {}, extra_query or {})
    return Request(
        method,
        config.origin,
        target,
        raw,
        body,
        timeouts=config.timeouts if isinstance(timeout, NotGiven) else Timeouts.of(timeout),
        limits=config.limits,
        retry=config.retry,
    )

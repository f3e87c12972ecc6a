"""Requests: a client's settings and a call's arguments become what is sent.

What does not change from call to call is made and judged once for each client: the head,
but for its target and the body's length, and the query. What a call brings of its own is
encoded and judged when it comes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from tokenwire._version import __version__
from tokenwire.backends.base import Origin
from tokenwire.errors import LocalProtocolError
from tokenwire.policy import HttpTimeout, Limits, Retry, Timeouts
from tokenwire.proxy import Proxy
from tokenwire.settings import NOT_GIVEN, NotGiven, Settings, lowered, spare
from tokenwire.wire.heads import RawHeaders, RequestTemplate

__all__ = ["Request", "build_request", "omitted", "without_omitted"]


class Request:
    """What is to be sent, kept whole so that it can be sent again.

    rest: it asks for the rest of a stream, of which nothing may be left.
    """

    __slots__ = ("body", "coalesce", "limits", "origin", "rest", "retry", "target", "template", "timeouts")

    def __init__(
        self,
        template: RequestTemplate,
        origin: Origin,
        target: str,
        body: bytes,
        *,
        timeouts: Timeouts,
        limits: Limits,
        retry: Retry,
        coalesce: float | None = None,
        rest: bool = False,
    ) -> None:
        self.template = template
        self.origin = origin
        self.target = target
        self.body = body
        self.timeouts = timeouts
        self.limits = limits
        self.retry = retry
        self.coalesce = coalesce
        self.rest = rest

    @property
    def forwarder(self) -> Proxy | None:
        """The proxy that reads the request itself, and forwards it; None where there is none, or a tunnel."""
        return _forwarder(self.origin)

    def __repr__(self) -> str:
        where = f"{self.origin.host}:{self.origin.port}{self.target.split('?')[0]}"
        return f"<Request {self.template.method.decode()} {where}>"


def _forwarder(origin: Origin) -> Proxy | None:
    return origin.proxy if origin.scheme == "http" else None


# -- arguments -----------------------------------------------------------------------

#: Kinds of value that are certainly no mark of absence.
_GIVEN: Final = frozenset((str, int, float, bool, type(None), dict, list, tuple))


def omitted(value: object) -> bool:
    """Whether an argument stands for none: ours, or the official SDK's own marks, which have these names."""
    return type(value).__name__ in ("NotGiven", "Omit")


def without_omitted(params: Mapping[str, Any]) -> dict[str, Any]:
    """Only the parameters that a caller gave a value."""
    return {name: value for name, value in params.items() if type(value) in _GIVEN or not omitted(value)}


# -- the head ------------------------------------------------------------------------

_USER_AGENT = f"tokenwire/{__version__} Python/{sys.version.split()[0]}"

_FRAMING: Final = ("content-length", "transfer-encoding")


def _raw_headers(merged: Mapping[str, tuple[str, Any]]) -> RawHeaders:
    """The headers to send, out of (name, value) by the name in lower case; a mark of absence takes one out."""
    found: RawHeaders = []
    for low, (name, value) in merged.items():
        if low in _FRAMING:
            raise LocalProtocolError(f"the header {name!r} says how the request is framed: it cannot be set")
        if value is None or omitted(value):
            continue
        if not isinstance(value, str):
            raise TypeError(f"the header {name!r} must be a string, not a {type(value).__name__}")
        try:
            found.append((name.encode("ascii"), value.encode("latin-1")))
        except UnicodeEncodeError:
            raise LocalProtocolError(f"the header {name!r} has characters that HTTP forbids") from None
    return found


def _headers(settings: Settings, stream: bool, json: bool) -> dict[str, tuple[str, Any]]:
    """A client's headers: ours, then those it was given, which win."""
    asked: dict[str, str | None] = {
        "Host": settings.host_header,
        "Accept": "text/event-stream" if stream else "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": _USER_AGENT,
    }
    if settings.api_key:
        asked["Authorization"] = f"Bearer {settings.api_key}"
    if settings.organization:
        asked["OpenAI-Organization"] = settings.organization
    if settings.project:
        asked["OpenAI-Project"] = settings.project
    if json:
        asked["Content-Type"] = "application/json"
    return {name.lower(): (name, value) for name, value in (*asked.items(), *settings.headers.items())}


def _template(
    settings: Settings, method: str, stream: bool, json: bool, extra: Mapping[str, Any] | None
) -> RequestTemplate:
    """The head of such a call. extra: the call's own headers, which win."""
    key = (method, stream, json)
    known = settings.templates.get(key)
    if known is None or extra:
        merged = _headers(settings, stream, json)
        own = {lowered(name): (name, value) for name, value in (extra or {}).items()}
        if known is not None and merged.keys().isdisjoint(own):
            longer = known.plus(_raw_headers(own))
            if longer is not None:
                return longer
        raw = _raw_headers({**merged, **own})
        proxy = _forwarder(settings.origin)
        if proxy is not None:
            raw += proxy.headers
        known = RequestTemplate(method, raw, sized=json or method == "POST")
        if not extra:
            settings.templates[key] = known
    return known


# -- the target ----------------------------------------------------------------------


def _query(own: Mapping[str, list[str]], *parts: Mapping[str, object]) -> str:
    """own: the base URL's, which is sent as it stands there."""
    asked: list[tuple[str, object]] = []
    for name, value in {name: value for part in (own, *parts) for name, value in part.items()}.items():
        kept = own.get(name)
        asked += [(name, each) for each in kept] if kept is not None and value is kept else _asked(name, value)
    return f"?{urlencode(asked)}" if asked else ""


def _asked(name: str, value: object) -> Iterator[tuple[str, object]]:
    """One parameter, as the official SDK spells it: name[key] for what a mapping holds, name[] for what a list does."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _asked(f"{name}[{key}]", inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _asked(f"{name}[]", inner)
    elif value is not None and not omitted(value):
        yield name, str(value).lower() if isinstance(value, bool) else value


def build_request(
    settings: Settings,
    method: str,
    path: str,
    params: Mapping[str, Any] | None,
    *,
    stream: bool,
    extra_headers: Mapping[str, Any] | None = None,
    extra_query: Mapping[str, object] | None = None,
    extra_body: Mapping[str, Any] | None = None,
    timeout: Timeouts | HttpTimeout | float | NotGiven | None = NOT_GIVEN,
    coalesce: float | NotGiven | None = NOT_GIVEN,
    query: Mapping[str, object] | None = None,
    rest: bool = False,
) -> Request:
    """One request out of a client's settings and a call's arguments.

    Raises TypeError for what is not JSON, LocalProtocolError for what HTTP cannot carry, ValueError for a bad option.
    """
    body = b""
    json = params is not None or bool(extra_body)
    if json:
        fields = without_omitted(params or {})
        if extra_body:
            fields.update(extra_body)
        if stream and params is not None:  # else the query says so
            fields["stream"] = True
        # Here, since it brings msgspec and the families' types, which a client that is only made does not need.
        from tokenwire.bodies import encoded

        body = encoded(fields)
    target = settings.path + path
    if params is not None:
        target = settings.targets.setdefault(path, target)
    if query or extra_query or settings.url_query or settings.query:
        target += _query(settings.url_query, settings.query, query or {}, extra_query or {})
    return Request(
        _template(settings, method, stream, json, extra_headers),
        settings.origin,
        target,
        body,
        timeouts=settings.timeouts if isinstance(timeout, NotGiven) else Timeouts.of(timeout),
        limits=settings.limits,
        retry=settings.retry,
        coalesce=settings.coalesce if isinstance(coalesce, NotGiven) else spare(coalesce),
        rest=rest,
    )

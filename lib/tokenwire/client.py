"""AsyncClient and Client: names and defaults only.

What they can be asked is in resources/; what happens then, in exchange.py and streams.py.
"""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from tokenwire._version import __version__
from tokenwire.backends import detect, named
from tokenwire.backends.base import Backend, Origin
from tokenwire.errors import LocalProtocolError, TokenwireError
from tokenwire.exchange import Exchange, Request
from tokenwire.families.chat_events import HelperEvent
from tokenwire.families.record import Record
from tokenwire.policy import DEFAULT_LIMITS, DEFAULT_TIMEOUTS, Limits, Retry, Timeouts
from tokenwire.pool import Pool
from tokenwire.proxy import choose
from tokenwire.resources import AsyncChat, AsyncResponses, Chat, Responses
from tokenwire.resources.calls import NOT_GIVEN, NotGiven, omitted, without_omitted
from tokenwire.wire.http1 import RawHeaders

if TYPE_CHECKING:
    import ssl

__all__ = ["NOT_GIVEN", "AsyncClient", "Client", "NotGiven"]

# -- keys and URLs ---------------------------------------------------------------

# Two pairs of environment variables; the first whose key is set is taken.
_PAIRS = (
    ("MUME_API_KEY", "MUME_BASE_URL", "https://mume.ai/api/v1"),
    ("OPENAI_API_KEY", "OPENAI_BASE_URL", "https://api.openai.com/v1"),
)


def _place(url: str) -> tuple[str, int | None]:
    """The host and the port that a URL leads to."""
    parts = urlsplit(url)
    return (parts.hostname or "").lower().rstrip("."), parts.port or _PORTS.get(parts.scheme)


_PORTS = {"http": 80, "https": 443}


def resolve(api_key: str | None, base_url: str | None, environ: Mapping[str, str]) -> tuple[str, str]:
    """The key and the URL to use. Explicit arguments win, then the environment's first pair that has a key.

    A key found in the environment is never sent to the other pair's URL. Raises
    TokenwireError where there is no key.
    """
    pairs = [(environ.get(key) or None, environ.get(url) or default) for key, url, default in _PAIRS]
    if base_url is None:
        for (key, url), (_, url_name, _) in zip(pairs, _PAIRS, strict=True):
            if key is not None or (api_key is not None and environ.get(url_name)):
                return (key or "") if api_key is None else api_key, url
        if api_key is not None:
            return api_key, pairs[-1][1]
        raise TokenwireError("no API key: pass api_key=, or set MUME_API_KEY or OPENAI_API_KEY in the environment")
    if api_key is not None:
        return api_key, base_url
    place = _place(base_url)
    for chosen, (key, own) in enumerate(pairs):
        _, other = pairs[1 - chosen]
        # The other pair's public host is its own on every port.
        theirs = place == _place(other) or place[0] == _place(_PAIRS[1 - chosen][2])[0]
        if key is not None and (place == _place(own) or not theirs):
            return key, base_url
    raise TokenwireError(f"no API key for {place[0]}: pass api_key=, or set the one that belongs there")


class _Config:
    """A client's settings. Immutable by convention; with_options makes another."""

    def __init__(
        self,
        *,
        api_key: str | None,
        base_url: str | None,
        organization: str | None,
        project: str | None,
        timeout: Timeouts | float | NotGiven | None,
        max_retries: int,
        default_headers: Mapping[str, str] | None,
        default_query: Mapping[str, object] | None,
        limits: Limits | None,
        uds: str | None,
        proxy: str | bool | None,
    ) -> None:
        if uds is not None and proxy:
            raise ValueError("uds= and proxy= are two ways to connect: give one of them")
        self.proxy = proxy
        self.given_key = api_key  # None: the environment's, which belongs to one place
        self.api_key, url = resolve(api_key, base_url, os.environ)
        self.organization = organization if organization is not None else os.environ.get("OPENAI_ORG_ID")
        self.project = project if project is not None else os.environ.get("OPENAI_PROJECT_ID")
        self.timeouts = DEFAULT_TIMEOUTS if isinstance(timeout, NotGiven) else Timeouts.of(timeout)
        self.retry = _retry(max_retries)
        self.headers = dict(default_headers or {})
        self.query = dict(default_query or {})
        self.limits = limits or DEFAULT_LIMITS
        self.set_url(url, uds)

    def set_url(self, url: str, uds: str | None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError(f"base_url must be an http or https URL with a host; its scheme is {parts.scheme!r}")
        if parts.username is not None or parts.password is not None:
            raise ValueError("base_url must not hold a user name or a password")
        try:
            host = parts.hostname.encode("idna").decode("ascii")
        except UnicodeError:
            raise ValueError(f"base_url has no valid host: {parts.hostname!r}") from None
        port = parts.port or _PORTS[parts.scheme]
        through = choose(self.proxy, parts.scheme, host, port, os.environ) if uds is None else None
        self.origin = Origin(parts.scheme, host, port, uds, through)
        self.path = parts.path.rstrip("/")
        self.url_query = dict(parse_qsl(parts.query, keep_blank_values=True))
        self.host_header = f"[{host}]" if ":" in host else host
        if parts.port is not None:
            self.host_header += f":{port}"
        # Without its query, which may hold a secret.
        self.base_url = f"{parts.scheme}://{self.host_header}{self.path}"

    def copy(self) -> _Config:
        other = object.__new__(_Config)
        other.__dict__.update(self.__dict__)
        other.headers, other.query = dict(self.headers), dict(self.query)
        return other


def _retry(max_retries: int) -> Retry:
    if not isinstance(max_retries, int) or max_retries < 0:
        raise ValueError(f"max_retries must be an integer of 0 or more, not {max_retries!r}")
    return Retry(max_retries=max_retries)


# -- requests ----------------------------------------------------------------------

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


def _headers(config: _Config, asked: Mapping[str, str], extra: Mapping[str, Any]) -> RawHeaders:
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
    config: _Config,
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


# -- the two clients ---------------------------------------------------------------


class _Pools:
    """A client's pool, made at its first use, and shared by all that with_options makes of it."""

    def __init__(self, backend: Backend | str | None, limits: Limits, ssl_context: ssl.SSLContext | None) -> None:
        self._backend = named(backend) if isinstance(backend, str) else backend
        self._limits = limits
        self._ssl_context = ssl_context
        self._lock = threading.Lock()
        self.pool: Pool | None = None
        self.closed = False

    def get(self) -> Pool:
        with self._lock:
            if self.closed:
                raise RuntimeError("this client is closed")
            if self.pool is None:
                self.pool = Pool(self._backend or detect(), self._limits, self._ssl_context)
            return self.pool

    def close(self) -> None:
        with self._lock:
            self.closed = True
        if self.pool is not None:
            self.pool.close()


class _ClientBase:
    _default_backend: str | None = None

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        organization: str | None = None,
        project: str | None = None,
        timeout: Timeouts | float | NotGiven | None = NOT_GIVEN,
        max_retries: int = 2,
        default_headers: Mapping[str, str] | None = None,
        default_query: Mapping[str, object] | None = None,
        limits: Limits | None = None,
        backend: Backend | str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        uds: str | None = None,
        proxy: str | bool | None = None,
    ) -> None:
        self._config = _Config(
            api_key=api_key,
            base_url=base_url,
            organization=organization,
            project=project,
            timeout=timeout,
            max_retries=max_retries,
            default_headers=default_headers,
            default_query=default_query,
            limits=limits,
            uds=uds,
            proxy=proxy,
        )
        self._pools = _Pools(backend or self._default_backend, self._config.limits, ssl_context)

    def with_options(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        organization: str | None = None,
        project: str | None = None,
        timeout: Timeouts | float | NotGiven | None = NOT_GIVEN,
        max_retries: int | None = None,
        default_headers: Mapping[str, str] | None = None,
        default_query: Mapping[str, object] | None = None,
    ) -> Self:
        """Another client with these settings changed; it shares this one's connections.

        default_headers and default_query are added to those that are set.
        """
        other = object.__new__(type(self))
        other._pools = self._pools
        other._config = config = self._config.copy()
        if api_key is not None:
            config.given_key = config.api_key = api_key
        if base_url is not None:
            config.api_key, _ = resolve(config.given_key, base_url, os.environ)
            config.set_url(base_url, config.origin.uds)
        if organization is not None:
            config.organization = organization
        if project is not None:
            config.project = project
        if not isinstance(timeout, NotGiven):
            config.timeouts = Timeouts.of(timeout)
        if max_retries is not None:
            config.retry = _retry(max_retries)
        config.headers.update(default_headers or {})
        config.query.update(default_query or {})
        return other

    copy = with_options

    @property
    def base_url(self) -> str:
        """Where requests go, without a slash at its end."""
        return self._config.base_url

    @property
    def timeout(self) -> Timeouts:
        """The clocks of each call."""
        return self._config.timeouts

    @property
    def max_retries(self) -> int:
        """Tries after the first."""
        return self._config.retry.max_retries

    def __repr__(self) -> str:
        return f"<tokenwire.{type(self).__name__} {self._config.base_url}>"

    def _exchange(self, method: str, path: str, params: Mapping[str, Any] | None, **options: Any) -> Exchange:
        return Exchange(self._pools.get(), build_request(self._config, method, path, params, **options))


class AsyncClient(_ClientBase):
    """A client for asyncio, uvloop, trio and anyio code. Alias: AsyncOpenAI.

    It belongs to the event loop that first uses it. api_key, base_url: see resolve.
    timeout: Timeouts, or seconds for each of its clocks but total, or None for no clock.
    max_retries: tries after the first. backend: "asyncio", "trio", "anyio" or a backend
    object; by default the library that is running. ssl_context: instead of the
    platform's trust store; client certificates are loaded into it. uds: the path of a
    Unix socket to connect to. proxy: the URL of an HTTP proxy, http:// or https://, with
    user:password@ where it wants them; "" or False for none; by default what HTTPS_PROXY,
    HTTP_PROXY, ALL_PROXY and NO_PROXY say (see proxy.py). An https base_url is reached
    through a tunnel, TLS inside; requests to an http one are forwarded by the proxy.

    Raises TokenwireError where no key is found, ValueError for a bad argument.
    """

    # Made for each call: a client that held them would be a cycle, and its sockets would wait for the collector.

    @property
    def chat(self) -> AsyncChat:
        """`chat.completions`: POST /chat/completions."""
        return AsyncChat(self)

    @property
    def responses(self) -> AsyncResponses:
        """POST /responses, GET /responses/{id}."""
        return AsyncResponses(self)

    async def aclose(self) -> None:
        """Close every unused connection. Idempotent."""
        self._pools.close()

    close = aclose

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pools.close()


class Client(_ClientBase):
    """A client for blocking code, for any number of threads at once. Alias: OpenAI. See AsyncClient."""

    _default_backend = "sync"

    @property
    def chat(self) -> Chat:
        """`chat.completions`: POST /chat/completions."""
        return Chat(self)

    @property
    def responses(self) -> Responses:
        """POST /responses, GET /responses/{id}."""
        return Responses(self)

    def close(self) -> None:
        """Close every unused connection. Idempotent."""
        self._pools.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pools.close()

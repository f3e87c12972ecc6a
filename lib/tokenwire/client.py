"""AsyncClient and Client: names and defaults only.

What they can be asked is in resources/; what happens then, in exchange.py and streams.py.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tokenwire.backends import detect, named
from tokenwire.backends.base import Backend
from tokenwire.exchange import Exchange
from tokenwire.policy import HttpTimeout, Limits, Timeouts
from tokenwire.pool import Pool
from tokenwire.requests import build_request
from tokenwire.settings import NOT_GIVEN, NotGiven, Settings, checked_key, resolve, retries, spare

if TYPE_CHECKING:
    import ssl

    from tokenwire.resources.chat import AsyncChat, Chat
    from tokenwire.resources.responses import AsyncResponses, Responses

__all__ = ["NOT_GIVEN", "AsyncClient", "Client", "NotGiven"]


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
        timeout: Timeouts | HttpTimeout | float | NotGiven | None = NOT_GIVEN,
        max_retries: int = 2,
        default_headers: Mapping[str, str | NotGiven | None] | None = None,
        default_query: Mapping[str, object] | None = None,
        limits: Limits | None = None,
        backend: Backend | str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        uds: str | None = None,
        proxy: str | bool | None = None,
        coalesce: float | None = None,
        http_client: None = None,
    ) -> None:
        if http_client is not None:
            raise TypeError(
                "http_client= is the official SDK's: tokenwire has no HTTP library below it. What one is configured "
                "for goes by proxy=, ssl_context=, uds=, limits=, timeout=, default_headers= and, in tests, backend="
            )
        self._config = Settings(
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
            coalesce=coalesce,
        )
        self._pools = _Pools(backend or self._default_backend, self._config.limits, ssl_context)
        if isinstance(backend, str) and (backend == "sync") != (self._default_backend == "sync"):
            kind = "blocking" if backend == "sync" else "async"
            raise ValueError(f"backend={backend!r} is for {kind} code: {type(self).__name__} cannot run on it")

    def with_options(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        organization: str | None = None,
        project: str | None = None,
        timeout: Timeouts | HttpTimeout | float | NotGiven | None = NOT_GIVEN,
        max_retries: int | None = None,
        default_headers: Mapping[str, str | NotGiven | None] | None = None,
        default_query: Mapping[str, object] | None = None,
        coalesce: float | NotGiven | None = NOT_GIVEN,
    ) -> Self:
        """Another client with these settings changed; it shares this one's connections.

        default_headers and default_query are added to those that are set. Closing either
        closes the connections of both. Raises as the class does.
        """
        other = object.__new__(type(self))
        other._pools = self._pools
        other._config = config = self._config.copy()
        if api_key is not None:
            config.given_key = checked_key(api_key)
            config.api_key = api_key
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
            config.retry = retries(max_retries)
        if not isinstance(coalesce, NotGiven):
            config.coalesce = spare(coalesce)
        config.add_headers(default_headers)
        config.query.update(default_query or {})
        return other

    copy = with_options

    # Each of these may be set, as with the official SDK: for what is asked of this very client from then on.

    def _change(self, **settings: object) -> None:
        config = self._config.copy()  # a request in another thread goes by the old ones, or by the new ones
        for name, value in settings.items():
            setattr(config, name, value)
        self._config = config

    @property
    def api_key(self) -> str:
        """The key that each call sends. May be set: a token that is renewed, say."""
        return self._config.api_key

    @api_key.setter
    def api_key(self, api_key: str) -> None:
        if api_key is None:
            raise TypeError('api_key must be a string: "" is for a server that wants none')
        self._change(given_key=checked_key(api_key), api_key=api_key)

    @property
    def base_url(self) -> str:
        """Where requests go, without a slash at its end. May be set."""
        return self._config.base_url

    @base_url.setter
    def base_url(self, base_url: str) -> None:
        if base_url is None:
            raise TypeError("base_url must be a string")
        self._config = self.with_options(base_url=base_url)._config

    @property
    def organization(self) -> str | None:
        """The header field OpenAI-Organization, or None. May be set."""
        return self._config.organization

    @organization.setter
    def organization(self, organization: str | None) -> None:
        self._change(organization=organization)

    @property
    def project(self) -> str | None:
        """The header field OpenAI-Project, or None. May be set."""
        return self._config.project

    @project.setter
    def project(self, project: str | None) -> None:
        self._change(project=project)

    @property
    def timeout(self) -> Timeouts:
        """The clocks of each call. May be set, to whatever the argument may be."""
        return self._config.timeouts

    @timeout.setter
    def timeout(self, timeout: Timeouts | HttpTimeout | float | None) -> None:
        self._change(timeouts=Timeouts.of(timeout))

    @property
    def max_retries(self) -> int:
        """Tries after the first. May be set."""
        return self._config.retry.max_retries

    @max_retries.setter
    def max_retries(self, max_retries: int) -> None:
        self._change(retry=retries(max_retries))

    def is_closed(self) -> bool:
        """Whether it was closed, or another that shares its connections."""
        return self._pools.closed

    def __repr__(self) -> str:
        return f"<tokenwire.{type(self).__name__} {self._config.base_url}>"

    def _exchange(self, method: str, path: str, params: Mapping[str, Any] | None, **options: Any) -> Exchange:
        return Exchange(self._pools.get(), build_request(self._config, method, path, params, **options))


class AsyncClient(_ClientBase):
    """A client for asyncio, uvloop, trio and anyio code. Alias: AsyncOpenAI.

    It belongs to the event loop that first uses it. Making one opens nothing and starts nothing.

    api_key, base_url: arguments win; else MUME_API_KEY with MUME_BASE_URL, else OPENAI_API_KEY with
        OPENAI_BASE_URL. A key found in the environment is never sent to the other pair's URL.
    organization, project: header fields of the official API; else OPENAI_ORG_ID, OPENAI_PROJECT_ID.
    timeout: Timeouts, or seconds for each of its clocks but total, or None for no clock, or an httpx.Timeout.
    max_retries: tries after the first. Only what has given no event yet is tried again.
    default_headers, default_query: sent with every call. A header of None is not sent: `Authorization` of a server
        that wants its key elsewhere.
    limits: Limits: sizes, and how many connections there may be.
    backend: "asyncio", "trio", "anyio" or a backend object; by default the library that is running.
    ssl_context: instead of the platform's trust store; client certificates are loaded into it.
    uds: the path of a Unix socket to connect to.
    proxy: the URL of an HTTP proxy, http:// or https://, with user:password@ where it wants them; "" or
        False for none; by default what HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY say (see proxy.py).
        An https base_url is reached through a tunnel, TLS inside; requests to an http one are forwarded.
    coalesce: seconds of latency that you can spare for less CPU, 0.1 say, 1 at the most; None or 0 for none. Streams
        are then read in ticks, many by one wake-up, and a token is told of up to so many seconds after it came,
        as far as the machine keeps up; the first token at once. It pays where many streams are open, and most where it
        is longer than the gap between two tokens of one, which then come in one read. On asyncio, uvloop and trio,
        TLS included; on other backends, over Unix sockets under asyncio, and where there is no epoll (macOS,
        Windows), each stream's reads are put off by so long instead. A peer in memory and a
        backend of your own are read as ever.

    http_client: refused, and says what stands in its place.

    `async with` closes it at the end, as aclose. Raises TokenwireError where no key is found, ValueError or TypeError
    for a bad argument.
    """

    # Made for each call: a client that held them would be a cycle, and its sockets would wait for the collector.

    @property
    def chat(self) -> AsyncChat:
        """`chat.completions`: POST /chat/completions."""
        from tokenwire.resources.chat import AsyncChat

        return AsyncChat(self)

    @property
    def responses(self) -> AsyncResponses:
        """POST /responses, GET /responses/{id}."""
        from tokenwire.resources.responses import AsyncResponses

        return AsyncResponses(self)

    async def aclose(self) -> None:
        """Close every unused connection, and take no more calls; a stream under way closes its own. Idempotent.

        Not a checkpoint: nothing in it waits.
        """
        self._pools.close()

    close = aclose

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pools.close()


class Client(_ClientBase):
    """A client for blocking code, for any number of threads at once. Alias: OpenAI.

    The arguments are AsyncClient's. A stream belongs to one thread; a call waits for a connection where
    Limits.max_connections are in use. After a fork, the child has connections of its own.
    """

    _default_backend = "sync"

    @property
    def chat(self) -> Chat:
        """`chat.completions`: POST /chat/completions."""
        from tokenwire.resources.chat import Chat

        return Chat(self)

    @property
    def responses(self) -> Responses:
        """POST /responses, GET /responses/{id}."""
        from tokenwire.resources.responses import Responses

        return Responses(self)

    def close(self) -> None:
        """Close every unused connection, and take no more calls; a stream under way closes its own. Idempotent."""
        self._pools.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pools.close()

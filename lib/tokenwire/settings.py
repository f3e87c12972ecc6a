"""Settings: a client's keys, URLs and defaults, resolved once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final, Literal
from urllib.parse import parse_qsl, urlsplit

from tokenwire.backends.base import Origin
from tokenwire.errors import LocalProtocolError, TokenwireError
from tokenwire.policy import DEFAULT_LIMITS, DEFAULT_TIMEOUTS, HttpTimeout, Limits, Retry, Timeouts
from tokenwire.proxy import choose
from tokenwire.wire.heads import RequestTemplate

__all__ = ["NOT_GIVEN", "NotGiven", "Settings", "checked_key", "lowered", "resolve", "retries", "spare"]


class NotGiven:
    """Stands for an argument that was not given, where None means something."""

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "NOT_GIVEN"


NOT_GIVEN = NotGiven()

#: Seconds that a token may be asked to wait. Whoever says more means milliseconds.
MOST_SPARE: Final = 1.0

# -- keys and URLs -------------------------------------------------------------------

# Two pairs of environment variables; the first whose key is set is taken.
_PAIRS = (
    ("MUME_API_KEY", "MUME_BASE_URL", "https://mume.ai/api/v1"),
    ("OPENAI_API_KEY", "OPENAI_BASE_URL", "https://api.openai.com/v1"),
)


def _place(url: str) -> tuple[str, int | None]:
    """The host and the port that a URL leads to; nowhere, where it is none."""
    try:
        parts = urlsplit(url)
        return (parts.hostname or "").lower().rstrip("."), parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return "", None


_PORTS = {"http": 80, "https": 443}


def resolve(api_key: str | None, base_url: str | None, environ: Mapping[str, str]) -> tuple[str, str]:
    """The key and the URL to use. Explicit arguments win, then the environment's first pair that has a key.

    A key found in the environment is never sent to the other pair's URL. Raises
    TokenwireError where there is no key, TypeError for a URL that is no string.
    """
    if base_url is not None and not isinstance(base_url, str):
        raise TypeError(f"base_url must be a string, not a {type(base_url).__name__}: give str(...) of it")
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


class Settings:
    """A client's settings. Immutable by convention; with_options makes another."""

    def __init__(
        self,
        *,
        api_key: str | None,
        base_url: str | None,
        organization: str | None,
        project: str | None,
        timeout: Timeouts | HttpTimeout | float | NotGiven | None,
        max_retries: int,
        default_headers: Mapping[str, str | NotGiven | None] | None,
        default_query: Mapping[str, object] | None,
        limits: Limits | None,
        uds: str | None,
        proxy: str | bool | None,
        coalesce: float | None = None,
    ) -> None:
        if uds is not None and proxy:
            raise ValueError("uds= and proxy= are two ways to connect: give one of them")
        if limits is not None and not isinstance(limits, Limits):
            raise TypeError(f"limits must be a tokenwire.Limits, not a {type(limits).__name__}")
        self.proxy = proxy
        self.given_key = checked_key(api_key)  # None: the environment's, which belongs to one place
        self.api_key, url = resolve(api_key, base_url, os.environ)
        self.organization = organization if organization is not None else os.environ.get("OPENAI_ORG_ID")
        self.project = project if project is not None else os.environ.get("OPENAI_PROJECT_ID")
        self.timeouts = DEFAULT_TIMEOUTS if isinstance(timeout, NotGiven) else Timeouts.of(timeout)
        self.retry = retries(max_retries)
        self.coalesce = spare(coalesce)
        self.headers: dict[str, str | NotGiven | None] = {}
        self.add_headers(default_headers)
        self.query = dict(default_query or {})
        self.limits = limits or DEFAULT_LIMITS
        self.targets: dict[str, str] = {}  # of the paths that every call has in common
        self.templates: dict[tuple[str, bool, bool], RequestTemplate] = {}  # made at their first use, by requests.py
        self.set_url(url, uds)

    def add_headers(self, headers: Mapping[str, str | NotGiven | None] | None) -> None:
        """Send these with every call from now on. A name in another case is the same name. Raises TypeError."""
        for name, value in (headers or {}).items():
            low = lowered(name)
            for known in [known for known in self.headers if known.lower() == low]:
                del self.headers[known]
            self.headers[name] = value

    def set_url(self, url: str, uds: str | None) -> None:
        """Send to this URL from now on. Raises ValueError."""
        url = url.strip()
        if any(character <= " " or character == "\x7f" for character in url):
            # urlsplit passes over line ends and tabs, and so would make another URL of it.
            raise LocalProtocolError("base_url holds a blank, a line end or another control character")
        try:
            parts = urlsplit(url)
        except ValueError:  # its message may hold a password
            raise ValueError("base_url has no valid host") from None
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError(f"base_url must be an http or https URL with a host; its scheme is {parts.scheme!r}")
        if parts.username is not None or parts.password is not None:
            raise ValueError("base_url must not hold a user name or a password")
        try:
            host = parts.hostname.encode("idna").decode("ascii")
        except UnicodeError:
            raise ValueError(f"base_url has no valid host: {parts.hostname!r}") from None
        try:
            port = parts.port
        except ValueError:
            port = 0
        bracket, behind = parts.netloc.rpartition("]")[1:]
        if port == 0 or (bracket and behind[:1] not in ("", ":")):
            raise ValueError("base_url has no valid port")
        if port is None:
            port = _PORTS[parts.scheme]
        through = choose(self.proxy, parts.scheme, host, port, os.environ) if uds is None else None
        self.origin = Origin(parts.scheme, host, port, uds, through)
        self.path = parts.path.rstrip("/")
        self.url_query: dict[str, list[str]] = {}
        for name, value in parse_qsl(parts.query, keep_blank_values=True):
            self.url_query.setdefault(name, []).append(value)
        self.host_header = f"[{host}]" if ":" in host else host
        if parts.port is not None:
            self.host_header += f":{port}"
        # Without its query, which may hold a secret.
        self.base_url = f"{parts.scheme}://{self.host_header}{self.path}"

    def copy(self) -> Settings:
        """The same, to be changed."""
        other = object.__new__(Settings)
        other.__dict__.update(self.__dict__)
        other.headers, other.query, other.templates = dict(self.headers), dict(self.query), {}
        other.targets = {}
        return other


def lowered(name: object) -> str:
    """A header's name in lower case. Raises TypeError where it is no string."""
    if not isinstance(name, str):
        raise TypeError(f"the name of a header must be a string, not a {type(name).__name__}: {name!r}")
    return name.lower()


def checked_key(api_key: str | None) -> str | None:
    """The key. Raises TypeError where it is no string: a function that fetches one would be sent as its repr."""
    if api_key is None or isinstance(api_key, str):
        return api_key
    raise TypeError(
        f"api_key must be a string, not a {type(api_key).__name__}: for a key that changes, "
        "with_options(api_key=...) makes a client that shares the connections"
    )


def retries(max_retries: int) -> Retry:
    """The policy of so many tries after the first. Raises ValueError."""
    if not isinstance(max_retries, int) or max_retries < 0:
        raise ValueError(f"max_retries must be an integer of 0 or more, not {max_retries!r}")
    return Retry(max_retries=max_retries)


def spare(coalesce: float | None) -> float | None:
    """Seconds that a token may wait for others, or None for not at all. Raises ValueError."""
    if coalesce is None:
        return None
    if isinstance(coalesce, bool) or not isinstance(coalesce, (int, float)) or not 0 <= coalesce <= MOST_SPARE:
        raise ValueError(
            f"coalesce must be seconds from 0 to {MOST_SPARE:g} (0.01 is ten milliseconds), or None, not {coalesce!r}"
        )
    return float(coalesce) or None

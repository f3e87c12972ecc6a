"""Proxies: which one leads to an origin, and what is said to it. Values and pure functions over the environment.

What is followed is what curl does, where it is the same as in most others:

* HTTPS_PROXY for https origins, HTTP_PROXY for http ones, else ALL_PROXY. The lower-case names go first, and an
  empty value is none. HTTP_PROXY in capitals counts for nothing in a CGI program (REQUEST_METHOD is set): there a
  client's `Proxy:` header arrives under that name.
* NO_PROXY: a list, by commas or blanks. `*` is everything; a name is that host and all hosts beneath it, with or
  without a dot in front; an address or a network (10.0.0.0/8) is just that; with `:port`, that port alone.
* A proxy's URL: http:// (also where no scheme is given) or https://, with `user:password@`, percent-encoded,
  where the proxy wants it. That is sent by Basic (RFC 7617), and never shown: no error here holds any part
  of a URL that could not be read.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote_to_bytes, urlsplit

from tokenwire.errors import ProxyError

__all__ = ["Proxy", "authority", "choose", "from_environment", "parse"]

_PORTS: Final = {"http": 80, "https": 443}


def authority(host: str, port: int) -> str:
    """host:port, with brackets around an address of IPv6 (RFC 3986, section 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy. scheme: "http", or "https" for TLS to the proxy itself.

    authorization: the value of Proxy-Authorization, or None. It is in no repr.
    """

    scheme: str
    host: str
    port: int
    authorization: bytes | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return authority(self.host, self.port)

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """What the proxy, and it alone, is told in a request's head."""
        return [] if self.authorization is None else [(b"Proxy-Authorization", self.authorization)]

    def absolute(self, host: str, port: int, target: str) -> str:
        """The target of a request that the proxy is to forward.

        RFC 9112, section 3.2.2: "When making a request to a proxy, other than a CONNECT or server-wide OPTIONS
        request ..., a client MUST send the target URI in "absolute-form" as the request-target."
        """
        return f"http://{authority(host, port).removesuffix(':80')}{target}"

    def refusal(self, host: str, port: int, status: int, reason: str) -> ProxyError:
        """The error for a proxy that does not let us through to this host."""
        message = f"The proxy {self} refused to connect to {authority(host, port)}: {f'{status} {reason}'.strip()}"
        if status == 407:
            wants, takes = "wants a user name and password, in", "does not take the user name and password of"
            message += f" (it {takes if self.authorization else wants} its URL)"
        return ProxyError(message + ".", proxy=str(self), status_code=status)


def choose(asked: str | bool | None, scheme: str, host: str, port: int, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy to an origin. asked: a proxy's URL, which wins; "" or False for none; None for the environment's.

    Raises ValueError for a URL that is not a proxy's, and for SOCKS.
    """
    if asked is None:
        return from_environment(scheme, host, port, environ)
    if asked is True:
        raise ValueError("proxy= is a URL, or False for none, or None for the environment's")
    return parse(asked, "proxy=") if asked else None


def from_environment(scheme: str, host: str, port: int, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy that the environment names for an origin, or None. Raises ValueError, as `choose`."""
    for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY"):
        if name == "HTTP_PROXY" and "REQUEST_METHOD" in environ:
            continue
        url = environ.get(name, "").strip()
        if url:
            exempt = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
            return None if _is_exempt(host, port, exempt) else parse(url, name)
    return None


def parse(url: str, source: str) -> Proxy:
    """The proxy of a URL. source: where the URL was found, for the error. Raises ValueError."""
    found = _split(url.strip())
    if isinstance(found, Proxy):
        return found
    # Raised here, behind the `except` of what went wrong: that may hold the password.
    raise ValueError(f"{source}: {found}")


def _split(url: str) -> Proxy | str:
    """The proxy, or what is wrong, without a word of the URL."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme.startswith("socks"):
            return "SOCKS proxies are not supported, only those of HTTP: http:// or https://"
        if parts.scheme not in _PORTS:
            return "a proxy's URL begins with http:// or https://"
        host = (parts.hostname or "").encode("idna").decode("ascii")
        # What follows the host is part of a password, more often than not, that is not percent-encoded.
        if not host or parts.path not in ("", "/") or parts.query or parts.fragment:
            return "a proxy's URL has a host, perhaps a port and percent-encoded user:password@, and nothing else"
        port = _PORTS[parts.scheme] if parts.port is None else parts.port
        if port == 0:
            raise ValueError
        authorization = None
        if parts.username or parts.password:
            pair = unquote_to_bytes(parts.username or "") + b":" + unquote_to_bytes(parts.password or "")
            authorization = b"Basic " + base64.b64encode(pair)
        return Proxy(parts.scheme, host, port, authorization)
    except ValueError:
        return "not a URL, or its port is no port, or its user name and password are not percent-encoded"


def _is_exempt(host: str, port: int, rules: str) -> bool:
    """Whether NO_PROXY says so."""
    if not rules:
        return False
    import ipaddress

    name = host.lower().rstrip(".")
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        address = None
    for rule in rules.lower().replace(",", " ").split():
        wanted, only = _rule(rule)
        if only is not None and only != str(port):
            continue
        if wanted == "*":
            return True
        if address is None:
            wanted = wanted.removeprefix("*").strip(".")
            if wanted and (name == wanted or name.endswith(f".{wanted}")):
                return True
            continue
        try:
            if address in ipaddress.ip_network(wanted, strict=False):
                return True
        except ValueError:
            continue  # a name is never an address's
    return False


def _rule(rule: str) -> tuple[str, str | None]:
    """One member of NO_PROXY: what it is about, and its port where it has one."""
    if rule.startswith("["):
        wanted, _, port = rule[1:].partition("]")
        return wanted, port.removeprefix(":") or None
    wanted, _, port = rule.partition(":")
    if ":" in port:  # a bare address of IPv6
        return rule, None
    return wanted, port or None

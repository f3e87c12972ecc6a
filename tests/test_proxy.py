"""Which proxy leads where: a table. What a URL holds is shown by nothing."""

from __future__ import annotations

import base64
import pickle

import pytest

from tokenwire.errors import ProxyError
from tokenwire.proxy import Proxy, authority, choose, from_environment, parse


def chosen(environ: dict[str, str], scheme: str = "https", host: str = "api.example.com", port: int = 443) -> str:
    found = from_environment(scheme, host, port, environ)
    return "" if found is None else str(found)


# -- URLs --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port"),
    [
        ("http://proxy.example:3128", "http", "proxy.example", 3128),
        ("http://proxy.example", "http", "proxy.example", 80),
        ("https://proxy.example", "https", "proxy.example", 443),
        ("https://proxy.example:8443/", "https", "proxy.example", 8443),
        ("proxy.example:3128", "http", "proxy.example", 3128),
        ("proxy.example", "http", "proxy.example", 80),
        ("  HTTP://Proxy.Example:1 ", "http", "proxy.example", 1),
        ("http://10.0.0.1:3128", "http", "10.0.0.1", 3128),
        ("http://[::1]:3128", "http", "::1", 3128),
        ("http://b\u00fccher.example", "http", "xn--bcher-kva.example", 80),
        ("http://@proxy.example", "http", "proxy.example", 80),
    ],
)
def test_a_url(url: str, scheme: str, host: str, port: int) -> None:
    assert parse(url, "proxy=") == Proxy(scheme, host, port)


@pytest.mark.parametrize(
    ("user", "pair"),
    [
        ("user:pass", b"user:pass"),
        ("user", b"user:"),
        ("user:", b"user:"),
        (":pass", b":pass"),
        ("us%40er:p%3Aa%2Fss%20", b"us@er:p:a/ss "),
        ("us\u00e9r:p%C3%A9", "us\u00e9r:p\u00e9".encode()),
        ("user:p@ss", b"user:p@ss"),
    ],
)
@pytest.mark.parametrize("scheme", ["http://", "https://", ""])
def test_credentials(user: str, pair: bytes, scheme: str) -> None:
    proxy = parse(f"{scheme}{user}@proxy.example:1", "proxy=")
    # RFC 7617, section 2: "Basic", and the base64 of user-id ":" password.
    assert proxy.authorization == b"Basic " + base64.b64encode(pair)
    assert proxy.headers == [(b"Proxy-Authorization", proxy.authorization)]
    assert repr(proxy) == f"Proxy(scheme={scheme[:-3] or 'http'!r}, host='proxy.example', port=1)"
    assert str(proxy) == "proxy.example:1"


def test_a_proxy_without_credentials_is_told_none() -> None:
    assert Proxy("http", "p", 1).headers == []


def test_proxies_are_values() -> None:
    one, two = parse("http://u:a@p:1", "x"), parse("http://u:b@p:1", "x")
    assert one == parse("u:a@p:1", "x") == pickle.loads(pickle.dumps(one))
    assert len({one, two, parse("u:a@p:1", "x")}) == 2


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("socks5://user:secret@p:1080", "SOCKS proxies are not supported"),
        ("socks5h://p", "SOCKS proxies are not supported"),
        ("SOCKS4://p", "SOCKS proxies are not supported"),
        ("ftp://user:secret@p", r"begins with http:// or https://"),
        ("secret://p", r"begins with http:// or https://"),
        ("http://", "has a host"),
        ("http://user:secret@", "has a host"),
        ("http://user:secret@:80", "has a host"),
        ("http://p/secret", "nothing else"),
        ("http://p?secret", "nothing else"),
        ("http://p#secret", "nothing else"),
        ("http://secret#word@p:80", "nothing else"),
        ("http://user:sec/ret@p:80", "nothing else"),
        ("http://user:secret@p:word", "no port"),
        ("http://user:secret@p:99999", "no port"),
        ("http://user:secret@p:0", "no port"),
        ("http://user:sec[ret@p:80", "not a URL"),
        ("http://user:secret@a..b", "not a URL"),
        ("http://user:secret\udc80@p", "not percent-encoded"),
    ],
)
def test_what_is_no_proxys_url(url: str, says: str) -> None:
    for source in ("proxy=", "HTTPS_PROXY"):
        with pytest.raises(ValueError, match=says) as caught:
            parse(url, source)
        assert str(caught.value).startswith(f"{source}: ")
        shown = repr(caught.value)
        assert not any(secret in shown for secret in ("secret", "word:", "sec/", "sec[", "ret@", "user:secret"))
        assert caught.value.__context__ is None  # nor does a traceback


@pytest.mark.parametrize(("host", "shown"), [("h", "h:1"), ("10.0.0.1", "10.0.0.1:1"), ("::1", "[::1]:1")])
def test_authority(host: str, shown: str) -> None:
    assert authority(host, 1) == shown


@pytest.mark.parametrize(
    ("host", "port", "target"),
    [
        ("h", 80, "http://h/v1/x?q"),
        ("h", 8080, "http://h:8080/v1/x?q"),
        ("::1", 80, "http://[::1]/v1/x?q"),
        ("::80", 1, "http://[::80]:1/v1/x?q"),
    ],
)
def test_absolute_form(host: str, port: int, target: str) -> None:
    assert Proxy("http", "p", 1).absolute(host, port, "/v1/x?q") == target


def test_refusals() -> None:
    bare, known = Proxy("http", "p", 3128), parse("http://user:secret@p:3128", "x")
    error = bare.refusal("h", 443, 502, "Bad Gateway")
    assert (type(error), error.proxy, error.status_code) == (ProxyError, "p:3128", 502)
    assert str(error) == "The proxy p:3128 refused to connect to h:443: 502 Bad Gateway."
    assert str(bare.refusal("::1", 443, 403, "")) == "The proxy p:3128 refused to connect to [::1]:443: 403."
    asked = "The proxy p:3128 refused to connect to h:443: 407 Authentication Required"
    wants = " (it wants a user name and password, in its URL)."
    assert str(bare.refusal("h", 443, 407, "Authentication Required")) == asked + wants
    takes = " (it does not take the user name and password of its URL)."
    assert str(known.refusal("h", 443, 407, "Authentication Required")) == asked + takes


# -- the client's own word -----------------------------------------------------------


def test_the_argument_wins() -> None:
    environ = {"HTTPS_PROXY": "http://env:1", "NO_PROXY": "*"}
    assert str(choose("http://arg:2", "https", "h", 443, environ)) == "arg:2"
    assert choose(None, "https", "h", 443, environ) is None
    del environ["NO_PROXY"]
    assert str(choose(None, "https", "h", 443, environ)) == "env:1"
    assert choose("", "https", "h", 443, environ) is None
    assert choose(False, "https", "h", 443, environ) is None
    with pytest.raises(ValueError, match=r"proxy= is a URL, or False"):
        choose(True, "https", "h", 443, environ)


# -- the environment -------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_names(scheme: str) -> None:
    own, other = (f"{one}_proxy" for one in (("http", "https") if scheme == "http" else ("https", "http")))
    assert chosen({}, scheme) == ""
    assert chosen({other: "o:1", other.upper(): "o:1"}, scheme) == ""
    environ = {"ALL_PROXY": "four:4"}
    assert chosen(environ, scheme) == "four:4"
    environ["all_proxy"] = "three:3"
    assert chosen(environ, scheme) == "three:3"
    environ[own.upper()] = "two:2"
    assert chosen(environ, scheme) == "two:2"
    environ[own] = "one:1"
    assert chosen(environ, scheme) == "one:1"
    environ[own] = " "  # empty is none
    assert chosen(environ, scheme) == "two:2"


def test_a_cgi_program_does_not_believe_the_proxy_header() -> None:
    cgi = {"REQUEST_METHOD": "GET", "HTTP_PROXY": "evil:1"}
    assert chosen(cgi, "http") == ""
    assert chosen({**cgi, "http_proxy": "good:1"}, "http") == "good:1"
    assert chosen({**cgi, "ALL_PROXY": "good:1"}, "http") == "good:1"
    assert chosen({"REQUEST_METHOD": "GET", "HTTPS_PROXY": "good:1"}) == "good:1"


def test_the_variable_is_named_in_the_error() -> None:
    with pytest.raises(ValueError, match=r"^all_proxy: SOCKS"):
        chosen({"all_proxy": "socks5://user:secret@p:1"})
    assert chosen({"all_proxy": "socks5://p:1", "no_proxy": "example.com"}) == ""


@pytest.mark.parametrize(
    ("rules", "host", "port", "exempt"),
    [
        ("", "h", 443, False),
        (" , ", "h", 443, False),
        ("*", "h", 443, True),
        ("*", "10.0.0.1", 443, True),
        ("*", "::1", 443, True),
        ("*:443", "h", 443, True),
        ("*:80", "h", 443, False),
        ("example.com", "example.com", 443, True),
        ("example.com", "api.example.com", 443, True),
        (".example.com", "api.example.com", 443, True),
        (".example.com", "example.com", 443, True),
        ("*.example.com", "api.example.com", 443, True),
        ("example.com.", "api.example.com", 443, True),
        ("EXAMPLE.com", "API.Example.COM", 443, True),
        ("example.com", "api.example.com.", 443, True),
        ("example.com", "notexample.com", 443, False),
        ("example.com", "example.com.evil", 443, False),
        ("api.example.com", "example.com", 443, False),
        (".", "h", 443, False),
        ("*.", "h", 443, False),
        ("a.example, b.example", "b.example", 443, True),
        ("a.example b.example", "b.example", 443, True),
        ("a.example,b.example", "c.example", 443, False),
        ("example.com:443", "example.com", 443, True),
        ("example.com:443", "example.com", 8443, False),
        ("example.com:8443,example.com:443", "example.com", 443, True),
        ("example.com:", "example.com", 8443, True),
        ("localhost", "localhost", 80, True),
        ("localhost", "127.0.0.1", 80, False),
        ("127.0.0.1", "127.0.0.1", 80, True),
        ("127.0.0.1:80", "127.0.0.1", 80, True),
        ("127.0.0.1:81", "127.0.0.1", 80, False),
        ("0.0.1", "127.0.0.1", 80, False),
        ("127.0.0.1", "127.0.0.2", 80, False),
        ("10.0.0.0/8", "10.1.2.3", 80, True),
        ("10.9.9.9/8", "10.1.2.3", 80, True),
        ("10.0.0.0/8", "11.1.2.3", 80, False),
        ("10.0.0.0/8", "ten.example", 80, False),
        ("10.0.0.0/99", "10.1.2.3", 80, False),
        ("::1", "::1", 80, True),
        ("[::1]", "::1", 80, True),
        ("[::1]:80", "::1", 80, True),
        ("[::1]:81", "::1", 80, False),
        ("0:0:0:0:0:0:0:1", "::1", 80, True),
        ("fe80::/10", "fe80::1%eth0", 80, True),
        ("fd00::/8", "fd12::1", 80, True),
        ("fd00::/8", "10.0.0.1", 80, False),
    ],
)
def test_no_proxy(rules: str, host: str, port: int, exempt: bool) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        found = from_environment("https", host, port, {"HTTPS_PROXY": "p:1", name: rules})
        assert (found is None) is exempt, name
    both = {"HTTPS_PROXY": "p:1", "no_proxy": rules, "NO_PROXY": "unrelated.example"}
    assert (from_environment("https", host, port, both) is None) is exempt

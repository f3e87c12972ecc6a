"""The way to an origin: straight, or through a proxy.

Theory of operation. To an https origin a proxy is asked for a tunnel (CONNECT), and TLS runs inside, from us to the
origin: the proxy sees a host, a port and ciphertext. For an http origin the connection is one to the proxy, and each
request on it is of absolute form (sending.py): that is what proxies expect, and many give no tunnel to another
port than 443. An https:// proxy is spoken to over TLS, with the same settings as the origin: its certificate must be
one that the client trusts.

What the proxy answers to CONNECT is bounded by Limits.head_bytes, and the whole by the clock of the connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tokenwire.backends.base import Backend, Origin, Transport
from tokenwire.errors import RemoteProtocolError
from tokenwire.policy import Limits
from tokenwire.proxy import Proxy, authority
from tokenwire.wire.http1 import ClientConnection

if TYPE_CHECKING:
    import ssl

__all__ = ["connect"]


async def connect(
    backend: Backend, origin: Origin, context: Callable[[], ssl.SSLContext], limits: Limits, deadline: float | None
) -> Transport:
    """A connection to the origin, or to the proxy that forwards to it. A checkpoint.

    context: what TLS is set to, asked for where there is any. Raises OSError, TimeoutError; ProxyError,
    RemoteProtocolError for what the proxy says. Cancelled, it has closed what it opened.
    """
    proxy = origin.proxy
    if proxy is None:
        return await backend.connect(origin, context() if origin.scheme == "https" else None, deadline)
    hop = Origin(proxy.scheme, proxy.host, proxy.port)
    transport = await backend.connect(hop, context() if proxy.scheme == "https" else None, deadline)
    if origin.scheme == "http":
        return transport
    from tokenwire.backends.tls import secure

    try:
        await _open(transport, origin, proxy, limits, deadline)
        return await secure(backend, transport, context(), deadline, hostname=origin.host)
    except BaseException:
        transport.abort()
        raise


async def _open(transport: Transport, origin: Origin, proxy: Proxy, limits: Limits, deadline: float | None) -> None:
    """Have the proxy make a tunnel of this connection."""
    http = ClientConnection(limits)
    where = authority(origin.host, origin.port)
    # RFC 9112, section 3.2.3: authority-form, "used for CONNECT requests".
    await transport.send(http.send_request("CONNECT", where, [(b"Host", where.encode()), *proxy.headers]), deadline)
    try:
        head = None
        while head is None:
            if not await transport.receive_into(http.buffer, deadline):
                raise RemoteProtocolError("the connection was closed without an answer")
            head = http.receive_head()
        # RFC 9110, section 9.3.6: "Any 2xx (Successful) response indicates that the sender ... will switch to
        # tunnel mode immediately after the response header section".
        if head.status_code >= 300:
            raise proxy.refusal(origin.host, origin.port, head.status_code, head.reason)
        if len(http.buffer):  # in TLS the client speaks first
            raise RemoteProtocolError("bytes came through the tunnel before the TLS handshake")
    except RemoteProtocolError as error:
        error.message = f"The proxy {proxy} broke the connection to {where}: {error.message}."
        error.args = (error.message,)
        raise

"""TLS: the settings that all backends share, and a transport that speaks it over any other.

Theory of operation. An ssl.SSLObject works on memory: ciphertext goes into `_incoming`
and comes out of `_outgoing`. TlsTransport moves both over the transport beneath, which
may be any of ours, so that deadlines, polls and aborts mean under TLS just what they
mean there. (What the libraries bring differs in each: asyncio's loses what is still encrypted
when the peer closes behind it, trio's and anyio's cannot be polled, and the `ssl`
module's own sockets take a reset for an end.)

Sending is serialised by `_flushing`: whoever flushes goes on until `_outgoing` is
empty, so what another task puts there meanwhile leaves in order. Receiving only flushes
what TLS itself has to say (a key update, an alert).
"""

from __future__ import annotations

import contextlib
import ssl
from typing import Final

from tokenwire.backends.base import Backend, Transport
from tokenwire.backends.ticks import at_once, coalesced
from tokenwire.wire.buffer import ReceiveBuffer

__all__ = ["HANDSHAKE", "TlsTransport", "client_context", "secure", "server_context"]

#: Seconds that a client has to shake hands with a server of ours: asyncio's own default.
HANDSHAKE: Final = 60.0

#: Seconds that a close_notify may take to leave.
_GOODBYE: Final = 1.0

#: Bytes that are encrypted before they are handed on: some records (RFC 8446, 5.1: 16,384 each).
_FLUSH: Final = 65_536


def client_context() -> ssl.SSLContext:
    """A context that trusts what this platform trusts (truststore), SSL_CERT_FILE and SSL_CERT_DIR included."""
    import truststore

    context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])
    return context


def server_context(certfile: str, keyfile: str | None = None) -> ssl.SSLContext:
    """A context that shows this certificate chain. The files are PEM; keyfile may be part of certfile."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certfile, keyfile)
    context.set_alpn_protocols(["http/1.1"])
    return context


async def secure(
    backend: Backend,
    inner: Transport,
    context: ssl.SSLContext,
    deadline: float | None,
    *,
    server_side: bool = False,
    hostname: str | None = None,
) -> TlsTransport:
    """Shake hands over a connection, and return it as one that speaks TLS.

    hostname: what the peer's certificate must be for, on the client's side. Raises
    ssl.SSLError, OSError, TimeoutError; whatever it raises, the connection is closed.
    """
    try:
        transport = TlsTransport(backend, inner, context, server_side, hostname)
        await transport.handshake(deadline)
    except BaseException:
        inner.abort()
        raise
    return transport


class TlsTransport:
    """TLS over another transport, and a Transport itself."""

    def __init__(
        self, backend: Backend, inner: Transport, context: ssl.SSLContext, server_side: bool, hostname: str | None
    ) -> None:
        self._backend = backend
        self._inner = inner
        self._ciphertext = ReceiveBuffer(lean=True)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side, hostname)
        self._flushing = False
        self._torn = False  # a flush was given up: the peer cannot decrypt what comes behind it
        self._closed = False
        self._ended = False
        self._dry = False  # nothing can be decrypted before more has come: half a record, at the most, is here
        self._failure: ssl.SSLError | None = None

    async def handshake(self, deadline: float | None) -> None:
        """Agree on keys, and check the peer's certificate."""
        while True:
            done = True
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                done = False
            except ssl.SSLError:
                with contextlib.suppress(OSError):  # the alert: it tells the peer what is wrong
                    await self._flush(deadline)
                raise
            await self._flush(deadline)
            if done:
                return
            if not await self._inner.receive_into(self._ciphertext, deadline):
                raise ConnectionResetError("the peer closed the connection during the TLS handshake")
            self._take_in()

    # -- the port ------------------------------------------------------------------

    async def receive_into(self, buffer: ReceiveBuffer, deadline: float | None) -> int:
        buffer.reclaim()
        if not self._dry and (self._tls.pending() or self._incoming.pending):
            await self._backend.checkpoint()
        while True:
            count = self._decrypt(buffer)
            if count is not None:
                return count
            await self._answer(deadline)
            self._note(await self._inner.receive_into(self._ciphertext, deadline))

    async def poll(self, buffer: ReceiveBuffer) -> int | None:
        buffer.reclaim()
        if not self._dry and (self._tls.pending() or self._incoming.pending):
            await self._backend.checkpoint()
        while True:
            count = self._decrypt(buffer)
            if count is not None:
                return count
            came = await self._inner.poll(self._ciphertext)
            if came is None:
                return None
            self._note(came)

    async def send(self, data: bytes | bytearray | memoryview, deadline: float | None) -> None:
        left = memoryview(data)
        while left:
            if self._closed or self._torn:
                raise ConnectionAbortedError("the connection was closed here, or a send on it given up")
            left = left[self._tls.write(left) :]
            if not left or self._outgoing.pending >= _FLUSH:
                await self._flush(deadline)

    def abort(self) -> None:
        self._closed = True
        self._inner.abort()

    async def aclose(self) -> None:
        if self._torn:
            self.abort()
        if not self._closed:
            self._closed = True
            # Ours is written at once; the peer's, which unwrap would like to see as well, is not waited for.
            with contextlib.suppress(ssl.SSLError, ValueError):
                self._tls.unwrap()
            try:
                with contextlib.suppress(OSError):
                    await self._flush(self._backend.now() + _GOODBYE)
            except BaseException:
                self._inner.abort()
                raise
        await self._inner.aclose()

    def coalesced(self, seconds: float) -> TlsTransport | None:
        inner = coalesced(self._inner, seconds)
        if inner is None:
            return None
        self._inner = inner
        return self

    def at_once(self) -> TlsTransport:
        self._inner = at_once(self._inner)
        return self

    # -- inside --------------------------------------------------------------------

    def _decrypt(self, buffer: ReceiveBuffer) -> int | None:
        """Decrypt all that has come whole, as far as there is room: how much, 0 at the end, None for nothing."""
        if self._dry:
            return None
        total = 0
        try:
            while not (self._ended or self._failure or buffer.full):
                room = buffer.get_buffer()
                count: int = self._tls.read(len(room), room)  # type: ignore[assignment] # a number, with a buffer
                if not count:  # close_notify
                    self._ended = True
                buffer.buffer_updated(count)
                total += count
                if not (self._incoming.pending or self._tls.pending()):
                    self._dry = not self._ended
                    break  # else OpenSSL would say so, by an exception for each token
        except ssl.SSLWantReadError:
            self._dry = True
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self._ended = True  # closed without close_notify, as many do: HTTP's own framing tells a cut
        except ssl.SSLError as error:
            if "UNEXPECTED_EOF" in (error.reason or ""):
                self._ended = True
            else:
                self._failure = error  # what came before it goes first
        if total:
            return total
        buffer.reclaim()  # it waits without the room that was asked for in vain
        if self._failure is not None:
            raise self._failure
        return 0 if self._ended else None

    def _note(self, count: int) -> None:
        self._dry = False
        if count:
            self._take_in()
        else:
            self._incoming.write_eof()

    def _take_in(self) -> None:
        buffer = self._ciphertext
        with memoryview(buffer.data) as view:
            self._incoming.write(view[buffer.start : buffer.end])
        buffer.start = buffer.end

    async def _answer(self, deadline: float | None) -> None:
        """Send what TLS itself has to say, unless a sender is at it anyway."""
        if self._outgoing.pending and not self._flushing:
            await self._flush(deadline)

    async def _flush(self, deadline: float | None) -> None:
        if self._flushing:
            return
        self._flushing = True
        try:
            while self._outgoing.pending:
                await self._inner.send(self._outgoing.read(), deadline)
        except BaseException:
            self._torn = True
            raise
        finally:
            self._flushing = False

"""TLS settings that all backends share: the platform's trust store, HTTP/1.1 by ALPN."""

from __future__ import annotations

import ssl

__all__ = ["client_context", "server_context"]


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

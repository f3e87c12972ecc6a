"""BYTES <-> FRAMES: the sans-IO core, for people who bring their own sockets.

    buffer = ReceiveBuffer()                 lends space to the socket, hands out slices
    ChunkedReader, LengthReader, CloseReader body framing, by offsets in that buffer
    ClientConnection, ServerConnection       heads and connection life; each owns a buffer
    RequestTemplate                          a request's head, judged once and sent many times
    Decoder, encode                          server-sent events

No clock, no I/O, no JSON.
"""

from __future__ import annotations

from tokenwire.wire.body import BodyReader, ChunkedReader, CloseReader, LengthReader, chunk, last_chunk
from tokenwire.wire.buffer import ReceiveBuffer
from tokenwire.wire.coding import Decompressor, decompressor
from tokenwire.wire.heads import Headers, RequestHead, RequestTemplate, ResponseHead
from tokenwire.wire.http1 import ClientConnection, ServerConnection
from tokenwire.wire.sse import Decoder, ServerSentEvent, encode, encode_comment

__all__ = [
    "BodyReader",
    "ChunkedReader",
    "ClientConnection",
    "CloseReader",
    "Decoder",
    "Decompressor",
    "Headers",
    "LengthReader",
    "ReceiveBuffer",
    "RequestHead",
    "RequestTemplate",
    "ResponseHead",
    "ServerConnection",
    "ServerSentEvent",
    "chunk",
    "decompressor",
    "encode",
    "encode_comment",
    "last_chunk",
]

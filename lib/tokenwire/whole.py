"""Whole bodies: an answer that is not streamed, collected, bounded, and read at its end."""

from __future__ import annotations

import codecs
from typing import Any

from tokenwire.errors import APIError, APIResponseValidationError, LimitExceededError, StreamDecodeError
from tokenwire.family import Family
from tokenwire.frames import Body
from tokenwire.policy import DEFAULT_LIMITS, Limits
from tokenwire.refusals import SHOWN, not_a_stream, status_refusal
from tokenwire.wire.body import Span
from tokenwire.wire.heads import ResponseHead
from tokenwire.wire.http1 import ClientConnection

__all__ = ["WholeBody"]


class WholeBody:
    """One response that is not streamed: collected, bounded, and read at its end.

    done: it is whole. begun: more of it has come than blank lines.
    """

    def __init__(self, connection: ClientConnection, head: ResponseHead, limits: Limits = DEFAULT_LIMITS) -> None:
        self._body = Body(connection, head, limits)
        self._limits = limits
        self._content = bytearray()
        self._blank = 0  # bytes of it that are known to be white space, in front
        self.head = head
        self.begun = False
        self.done = self._body.reader.complete

    def receive(self) -> None:
        """Take what the buffer holds. Raises RemoteProtocolError; what was good is kept."""
        spans: list[Span] = []
        try:
            self._body.reader.read(self._body.connection.buffer, spans)
        finally:
            self._take(spans)
        if len(self._content) > self._limits.body_bytes:
            raise LimitExceededError(
                f"the body is larger than {self._limits.body_bytes} bytes (Limits.body_bytes)",
                limit="body_bytes",
                allowed=self._limits.body_bytes,
            )
        if not self.begun:
            self.begun = bool(self._content[self._blank :].strip())
            self._blank = len(self._content)
        self.done = self._body.reader.complete

    def _take(self, spans: list[Span]) -> None:
        if self._body.unpack is None:
            data = self._body.connection.buffer.data
            for start, stop in spans:
                self._content += data[start:stop]
        else:
            pieces: list[bytes] = []
            try:
                self._body.unpacked(spans, pieces)
            finally:
                self._content += b"".join(pieces)

    def receive_eof(self) -> str | None:
        """The connection has ended: None where the body is whole, else what is missing, in words."""
        self._body.connection.receive_eof()
        self.done = True
        return self._body.reader.eof()

    @property
    def content(self) -> bytes:
        """The body, without the blank lines that some servers send ahead of it to keep the line alive.

        And without a byte order mark, which who reads JSON may pass over (RFC 8259, section 8.1).
        """
        return bytes(self._content.lstrip(b"\r\n \t").removeprefix(codecs.BOM_UTF8))

    def error(self) -> APIError:
        """The exception that this answer with a status of 300 or more stands for. It never raises another."""
        return status_refusal(self.content, self.head)

    def not_a_stream(self) -> APIError:
        """The exception for this answer where a stream was asked for."""
        return not_a_stream(self.content, self.head)

    def read(self, family: Family) -> Any:
        """The family's whole object, with the request's name on it.

        Raises APIError for an error in it, APIResponseValidationError where it is no JSON object.
        """
        try:
            whole = family.decode_whole(self.content)
        except StreamDecodeError as error:
            raise APIResponseValidationError(
                f"The server's answer is not a JSON object: {error.message}",
                response=self.head,
                body=self.content.decode("utf-8", "replace")[:SHOWN],
            ) from None
        whole._request_id = self.head.request_id
        return whole

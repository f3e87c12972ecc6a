"""Session: one request's answer, sans-IO: tokens in, frames out.

Theory of operation. Each family has a class that turns the handler's tokens into
the bytes of a response body. The serving layer frames those for HTTP and sends
them; it knows neither family. A session reads no clock and draws no id: both are
passed in.

    session = open_session(request, model=..., now=..., new_id=...)
    session.start()         what goes before the first token
    session.token("...")    what one token adds; b"" where it adds nothing yet
    session.end()           what closes the answer: with stream=False, all of it
    session.fail(error)     instead of end, once bytes have left: the family's error event

The hot path is `token` with a str: everything around the text was encoded before
(an id, a model and a time do not change), so that one token costs one JSON encode
of the text and one join.

A token that cannot be served (after Finish, of a choice that was not asked for,
of an unknown type) raises LocalProtocolError or TypeError: the handler's fault,
to be answered by `fail`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from tokenwire.server.chat import ChatSession, ChatWhole
from tokenwire.server.request import Request
from tokenwire.server.responses import ResponsesSession
from tokenwire.server.tokens import Token

__all__ = ["KEEP_ALIVE", "Session", "open_session"]

#: What may be sent between any two frames while the handler is silent. A comment: it dispatches nothing.
KEEP_ALIVE: Final = b": keep-alive\n\n"


class Session(Protocol):
    """What the two families have in common."""

    def start(self) -> bytes:
        """What goes before the first token. Called once, and first."""

    def token(self, token: Token) -> bytes:
        """What this token adds to the body.

        Raises LocalProtocolError or TypeError, or ValueError for text that is not
        Unicode (a lone surrogate); after that only fail may follow.
        """

    def end(self) -> bytes:
        """What closes the body."""

    def fail(self, error: BaseException) -> bytes:
        """What tells the client of a failure in mid-stream, and closes the body. Only with stream=True."""


def open_session(request: Request, *, model: str, now: float, new_id: Callable[[str], str]) -> Session:
    """The session that answers a request.

    model: the name to answer with. now: seconds since the epoch. new_id: makes an
    id that begins with the prefix it is given ("chatcmpl-", "resp_", ...).
    """
    if request.family == "responses":
        return ResponsesSession(request, model=model, now=now, new_id=new_id)
    if request.stream:
        return ChatSession(request, model=model, now=now, new_id=new_id)
    return ChatWhole(request, model=model, now=now, new_id=new_id)

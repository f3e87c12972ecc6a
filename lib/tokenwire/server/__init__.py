"""The serving half: one async handler, both endpoint families, over raw sockets.

    async def handler(request):
        yield "Hello"
        yield " world"

    await tokenwire.server.serve(handler, port=8000)
    app = tokenwire.server.asgi(handler)                  # for uvicorn, Starlette and the like
"""

from __future__ import annotations

from tokenwire.server.asgi import Application, asgi
from tokenwire.server.limits import ServerLimits
from tokenwire.server.problem import RequestError
from tokenwire.server.recite import Reciter, recite
from tokenwire.server.request import Call, Clock, Message, Request, Tool
from tokenwire.server.serve import Serving, serve
from tokenwire.server.session import Session, open_session
from tokenwire.server.tokens import Finish, Reasoning, Refusal, Text, Token, ToolCall, Usage

__all__ = [
    "Application",
    "Call",
    "Clock",
    "Finish",
    "Message",
    "Reasoning",
    "Reciter",
    "Refusal",
    "Request",
    "RequestError",
    "ServerLimits",
    "Serving",
    "Session",
    "Text",
    "Token",
    "Tool",
    "ToolCall",
    "Usage",
    "asgi",
    "open_session",
    "recite",
    "serve",
]

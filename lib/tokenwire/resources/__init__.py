"""What a client's calls are: `client.chat.completions` and `client.responses`, in both colours."""

from __future__ import annotations

from tokenwire.resources.chat import AsyncChat, AsyncCompletions, Chat, Completions
from tokenwire.resources.responses import AsyncResponses, Responses

__all__ = ["AsyncChat", "AsyncCompletions", "AsyncResponses", "Chat", "Completions", "Responses"]

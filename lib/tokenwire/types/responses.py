"""Responses: the events of a stream, whole responses and their items, and what is parsed of them."""

from __future__ import annotations

from tokenwire.families.responses import (
    ParsedResponse,
    ParsedResponseFunctionToolCall,
    ParsedResponseOutputText,
    events,
    items,
    response,
)
from tokenwire.families.responses.events import *  # noqa: F403 - __all__ says which
from tokenwire.families.responses.items import *  # noqa: F403
from tokenwire.families.responses.response import *  # noqa: F403

__all__ = ["ParsedResponse", "ParsedResponseFunctionToolCall", "ParsedResponseOutputText"]
__all__ += events.__all__
__all__ += items.__all__
__all__ += response.__all__

"""Responses: the events of a stream, whole responses and their items, and what is parsed of them."""

from __future__ import annotations

from tokenwire.families.responses import (
    ParsedResponse,
    ParsedResponseFunctionToolCall,
    ParsedResponseOutputText,
    StreamEvent,
    UnknownEvent,
    events,
    items,
    parts,
    response,
    text_events,
    tool_events,
    tool_items,
)
from tokenwire.families.responses.events import *  # noqa: F403 - __all__ says which
from tokenwire.families.responses.items import *  # noqa: F403
from tokenwire.families.responses.parts import *  # noqa: F403
from tokenwire.families.responses.response import *  # noqa: F403
from tokenwire.families.responses.text_events import *  # noqa: F403
from tokenwire.families.responses.tool_events import *  # noqa: F403
from tokenwire.families.responses.tool_items import *  # noqa: F403

__all__ = ["ParsedResponse", "ParsedResponseFunctionToolCall", "ParsedResponseOutputText"]
__all__ += ["StreamEvent", "UnknownEvent"]
__all__ += events.__all__
__all__ += items.__all__
__all__ += parts.__all__
__all__ += response.__all__
__all__ += text_events.__all__
__all__ += tool_events.__all__
__all__ += tool_items.__all__

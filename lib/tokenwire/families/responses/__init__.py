"""The Responses family: its types, and how they are read, added up and written.

A family is a module of this shape: `name`, `decode`, `decode_run`, `Reading`, `decode_whole`,
`text`, `encode`, `Accumulator`; `prepare`, which makes schemas of the types in a request;
`parse_whole`, which reads an answer as them, behind `.parse()`; and `Helper`, behind `.stream()`.
This one also holds the types themselves.
"""

from __future__ import annotations

from . import events, items, parts, response, text_events, tool_events, tool_items
from .accumulate import Accumulator
from .event_bases import StreamEvent, UnknownEvent
from .events import *  # noqa: F403 - __all__ says which
from .helper import Helper, prepare
from .items import *  # noqa: F403
from .parsed import ParsedResponse, ParsedResponseFunctionToolCall, ParsedResponseOutputText, parse_whole
from .parts import *  # noqa: F403
from .reading import Reading, decode, decode_run, decode_whole, encode, text
from .response import *  # noqa: F403
from .text_events import *  # noqa: F403
from .tool_events import *  # noqa: F403
from .tool_items import *  # noqa: F403

__all__ = ["Accumulator", "Helper", "Reading", "decode", "decode_run", "decode_whole", "encode", "name"]
__all__ += ["parse_whole", "prepare", "text"]
__all__ += ["ParsedResponse", "ParsedResponseFunctionToolCall", "ParsedResponseOutputText"]
__all__ += ["StreamEvent", "UnknownEvent"]
__all__ += events.__all__
__all__ += items.__all__
__all__ += parts.__all__
__all__ += response.__all__
__all__ += text_events.__all__
__all__ += tool_events.__all__
__all__ += tool_items.__all__

name = "responses"

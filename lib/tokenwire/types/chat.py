"""Chat completions: chunks, whole answers, the events of `.stream()`, and what their partial parses are made of."""

from __future__ import annotations

from tokenwire.families import chat_events, chat_types
from tokenwire.families.chat_events import *  # noqa: F403 - __all__ says which
from tokenwire.families.chat_types import *  # noqa: F403
from tokenwire.families.views import PartialDict, PartialList

__all__: list[str] = ["PartialDict", "PartialList"]
__all__ += chat_events.__all__
__all__ += chat_types.__all__

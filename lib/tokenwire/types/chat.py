"""Chat completions: chunks, whole answers, and the events of `.stream()`."""

from __future__ import annotations

from tokenwire.families import chat_events, chat_types
from tokenwire.families.chat_events import *  # noqa: F403 - __all__ says which
from tokenwire.families.chat_types import *  # noqa: F403

__all__: list[str] = []
__all__ += chat_events.__all__
__all__ += chat_types.__all__

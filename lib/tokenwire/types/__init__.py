"""The types of what servers send, for annotations: `tokenwire.types.chat`, `tokenwire.types.responses`.

Under the official SDK's names, and in the places where people look for them:
`from tokenwire.types.chat import ChatCompletionChunk`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["chat", "responses"]


if not TYPE_CHECKING:  # as in tokenwire itself

    def __getattr__(name: str) -> Any:
        import importlib

        if name not in __all__:
            raise AttributeError(f"module 'tokenwire.types' has no attribute {name!r}")
        return importlib.import_module(f"tokenwire.types.{name}")


def __dir__() -> list[str]:
    return sorted(__all__)


if TYPE_CHECKING:
    from tokenwire.types import chat as chat, responses as responses

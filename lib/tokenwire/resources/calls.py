"""What all calls share: their arguments, and how one becomes an exchange."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

from tokenwire.exchange import Exchange
from tokenwire.requests import without_omitted

__all__ = ["Dumps", "Message", "Sender", "seen_twice", "split"]


class Dumps(Protocol):
    """What can be sent as JSON by its own account: what a server sent before, a pydantic model."""

    def model_dump(self) -> Any: ...


#: A message, or an item of an input: a mapping of the API's fields, or one that came in an answer.
Message: TypeAlias = Mapping[str, object] | Dumps


class Sender(Protocol):
    """A client, for its resources."""

    def _exchange(self, method: str, path: str, params: Mapping[str, Any] | None, **options: Any) -> Exchange: ...


def split(arguments: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A call's arguments: what is sent, and how."""
    options: dict[str, Any] = {
        name: arguments.pop(name)
        for name in ("extra_headers", "extra_query", "extra_body", "timeout", "coalesce")
        if name in arguments
    }
    return without_omitted(arguments), options


def seen_twice(params: dict[str, Any]) -> dict[str, Any]:
    """Parameters for a helper and for the wire: an iterator among them would be empty the second time."""
    if params.get("tools") is not None:
        params["tools"] = list(params["tools"])
    return params

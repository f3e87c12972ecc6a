"""What a request line asks for, and the list of models."""

from __future__ import annotations

import urllib.parse
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from tokenwire.server.problem import RequestError

__all__ = ["Route", "models_body", "route"]

Kind: TypeAlias = Literal["chat", "responses", "models", "model"]


class Route(NamedTuple):
    """kind: a family's name, or "models", or "model" with the name of one."""

    kind: Kind
    model: str = ""


def route(method: str, target: str) -> Route:
    """The route, with or without the prefix /v1. Raises RequestError: 404, or 405 with the field Allow."""
    path = target.partition("?")[0]
    bare = path.removeprefix("/v1").rstrip("/")
    if bare == "/chat/completions":
        found, allowed = Route("chat"), "POST"
    elif bare == "/responses":
        found, allowed = Route("responses"), "POST"
    elif bare == "/models":
        found, allowed = Route("models"), "GET"
    elif bare.startswith("/models/"):
        # Names of models have slashes ("openai/gpt-4.1-mini"), quoted or not.
        found, allowed = Route("model", urllib.parse.unquote(bare.removeprefix("/models/"))), "GET"
    else:
        raise RequestError(404, f"Invalid URL ({method} {path[:200]})", code="unknown_url")
    if method != allowed:
        raise RequestError(
            405,
            f"Not allowed to {method} on {path[:200]}."
            " (HINT: Perhaps you meant to use a different HTTP method?)",
            code="method_not_supported",
            headers={"allow": allowed},
        )
    return found


def models_body(where: Route, models: Sequence[str], *, created: float) -> bytes:
    """The JSON of the list of models, or of one. Raises RequestError (404) for one that is not in it."""
    if where.kind == "models":
        return msgspec.json.encode({"object": "list", "data": [_model(name, created) for name in models]})
    if where.model not in models:
        raise RequestError(
            404, f"The model '{where.model[:200]}' does not exist", param="model", code="model_not_found"
        )
    return msgspec.json.encode(_model(where.model, created))


def _model(name: str, created: float) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": int(created), "owned_by": "tokenwire"}

"""What a request line asks for, and the list of models."""

from __future__ import annotations

import urllib.parse
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from tokenwire.server.problem import RequestError

__all__ = ["Route", "models_body", "route"]

Kind: TypeAlias = Literal["chat", "responses", "response", "cancel", "models", "model"]


class Route(NamedTuple):
    """kind: a family's name, or "models", or what is asked of one response or model.

    name: of that model, or the response's id. stream: the response's events are asked for,
    those whose sequence numbers are above after.
    """

    kind: Kind
    name: str = ""
    stream: bool = False
    after: int = -1


def route(method: str, target: str) -> Route:
    """The route, with or without the prefix /v1.

    Raises RequestError: 404, 405 with the field Allow, or 400 for a query that makes no sense.
    """
    path, _, query = target.partition("?")
    bare = path.removeprefix("/v1").rstrip("/")
    if bare == "/chat/completions":
        found, allowed = Route("chat"), "POST"
    elif bare == "/responses":
        found, allowed = Route("responses"), "POST"
    elif bare.startswith("/responses/"):
        name, _, action = bare.removeprefix("/responses/").partition("/")
        if action not in ("", "cancel"):
            raise _unknown(method, path)
        name = urllib.parse.unquote(name)
        found, allowed = (Route("cancel", name), "POST") if action else (Route("response", name), "GET")
    elif bare == "/models":
        found, allowed = Route("models"), "GET"
    elif bare.startswith("/models/"):
        # Names of models have slashes ("openai/gpt-4.1-mini"), quoted or not.
        found, allowed = Route("model", urllib.parse.unquote(bare.removeprefix("/models/"))), "GET"
    else:
        raise _unknown(method, path)
    if method != allowed:
        raise RequestError(
            405,
            f"Not allowed to {method} on {path[:200]}."
            " (HINT: Perhaps you meant to use a different HTTP method?)",
            code="method_not_supported",
            headers={"allow": allowed},
        )
    return _with_query(found, query) if found.kind == "response" else found


def _unknown(method: str, path: str) -> RequestError:
    return RequestError(404, f"Invalid URL ({method} {path[:200]})", code="unknown_url")


def _with_query(found: Route, query: str) -> Route:
    fields = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
    stream, after = fields.get("stream", "false").lower(), fields.get("starting_after")
    if stream not in ("true", "1", "false", "0"):
        raise _bad_query("stream", stream, "'true' or 'false'")
    if after is None:
        return found._replace(stream=stream in ("true", "1"))
    # Ten digits number more events than anything keeps. isdecimal alone admits other scripts' digits.
    if not (after.isascii() and after.isdecimal() and len(after) <= 10):
        raise _bad_query("starting_after", after, "the sequence number of an event")
    if stream in ("false", "0"):
        raise RequestError(
            400,
            "'starting_after' is for a stream: it needs 'stream=true'.",
            param="starting_after",
            code="invalid_value",
        )
    return found._replace(stream=True, after=int(after))


def _bad_query(param: str, value: str, expected: str) -> RequestError:
    return RequestError(
        400,
        f"Invalid value for '{param}': expected {expected}, but got '{value[:80]}' instead.",
        param=param,
        code="invalid_value",
    )


def models_body(where: Route, models: Sequence[str], *, created: float) -> bytes:
    """The JSON of the list of models, or of one. Raises RequestError (404) for one that is not in it."""
    if where.kind == "models":
        return msgspec.json.encode({"object": "list", "data": [_model(name, created) for name in models]})
    if where.name not in models:
        raise RequestError(
            404, f"The model '{where.name[:200]}' does not exist", param="model", code="model_not_found"
        )
    return msgspec.json.encode(_model(where.name, created))


def _model(name: str, created: float) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": int(created), "owned_by": "tokenwire"}

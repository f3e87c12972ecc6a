"""Errors that a server reports inside an answer that began with status 200.

The shapes that are in use:

    {"error": {"message": ..., "type": ..., "code": ...}}       OpenAI, vLLM, llama.cpp; also beside choices
    {"error": "text", "error_type": ...}                        TGI, mlx_lm
    {"object": "error", "message": ...}                         vLLM, SGLang
    {"type": "error", "message": ..., "code": ...}              the Responses family
    {"message": ..., "code": ...}                               `event: error` with a flat body
    {"detail": ...}                                             FastAPI: transformers serve
"""

from __future__ import annotations

from typing import Any

from ..errors import APIError

__all__ = ["error_in"]


def error_in(found: dict[str, Any]) -> APIError | None:
    """The error that a JSON object reports, with the server's own message, or None where it reports none."""
    kind = found.get("object")
    error = found.get("error")
    if error and kind != "response":  # a failed Response carries its own error, and is still a Response
        return _made(error, error if isinstance(error, dict) else found)
    if kind == "error" or found.get("type") == "error":
        return _made(found, found)
    if not found.keys() & {"choices", "object", "type", "id"}:
        if isinstance(found.get("message"), str):
            return _made(found, found)
        if found.get("detail"):
            return _made(found["detail"], found)
    return None


def _made(said: Any, body: dict[str, Any]) -> APIError:
    message = said.get("message") if isinstance(said, dict) else said
    if not isinstance(message, str) or not message:
        import msgspec  # deferred, for a client imports this room, and may never see a fault

        message = msgspec.json.encode(said).decode()
    return APIError(message, body=body)

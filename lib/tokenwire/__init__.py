"""tokenwire: LLM tokens, straight off the wire.

    import tokenwire

    client = tokenwire.Client()
    for text in client.chat.completions.create(model=..., messages=..., stream=True).text():
        print(text, end="", flush=True)

Beside the client: `tokenwire.server`, the serving half; `tokenwire.wire`, the sans-IO core;
`tokenwire.types`, for annotations; `tokenwire.testing`, for your tests.

Names only. Each room is imported when one of its names is first used: importing
tokenwire imports neither asyncio nor trio nor ssl.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokenwire._version import __version__

_ROOMS = {
    "client": ("NOT_GIVEN", "AsyncClient", "Client", "NotGiven"),
    "streams": ("AsyncStream", "Stream"),
    "helper_streams": (
        "AsyncChatCompletionStream",
        "AsyncChatCompletionStreamManager",
        "AsyncResponseStream",
        "AsyncResponseStreamManager",
        "ChatCompletionStream",
        "ChatCompletionStreamManager",
        "ResponseStream",
        "ResponseStreamManager",
    ),
    "raw_response": ("APIResponse",),
    "stats": ("Stats",),
    "families.parsing": ("pydantic_function_tool", "pydantic_responses_function_tool"),
    "policy": ("Limits", "Retry", "Timeouts"),
    "errors": (
        "APIConnectionError",
        "APIError",
        "APIResponseValidationError",
        "APIStatusError",
        "APITimeoutError",
        "AuthenticationError",
        "BadRequestError",
        "BusyResourceError",
        "ConflictError",
        "ContentFilterFinishReasonError",
        "InternalServerError",
        "LengthFinishReasonError",
        "LimitExceededError",
        "LocalProtocolError",
        "NotFoundError",
        "OpenAIError",
        "PermissionDeniedError",
        "PoolTimeoutError",
        "ProxyError",
        "RateLimitError",
        "RemoteProtocolError",
        "StreamConsumedError",
        "StreamDecodeError",
        "StreamTruncatedError",
        "TokenwireError",
        "UnprocessableEntityError",
    ),
}
_ALIASES = {
    "OpenAI": "Client",
    "AsyncOpenAI": "AsyncClient",
    "Omit": "NotGiven",
    "not_given": "NOT_GIVEN",
    "omit": "NOT_GIVEN",
}
_HOME = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [  # noqa: PLE0604 - names and rooms, checked by a test
    "__version__",
    *_ALIASES,
    *_HOME,
    "backends",
    "server",
    "testing",
    "types",
    "wire",
]


if not TYPE_CHECKING:  # to type checkers it would be every name there can be, and a misspelt one no error

    def __getattr__(name: str) -> Any:
        import importlib

        if name in ("backends", "families", "server", "testing", "types", "wire", *_ROOMS):
            return importlib.import_module(f"tokenwire.{name}")
        known = _ALIASES.get(name, name)
        if known not in _HOME:
            raise AttributeError(f"module 'tokenwire' has no attribute {name!r}")
        value = getattr(importlib.import_module(f"tokenwire.{_HOME[known]}"), known)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)


if TYPE_CHECKING:
    from tokenwire import backends as backends, server as server, testing as testing, types as types, wire as wire
    from tokenwire.client import (
        NOT_GIVEN as NOT_GIVEN,
        AsyncClient as AsyncClient,
        Client as Client,
        NotGiven as NotGiven,
    )
    from tokenwire.errors import (
        APIConnectionError as APIConnectionError,
        APIError as APIError,
        APIResponseValidationError as APIResponseValidationError,
        APIStatusError as APIStatusError,
        APITimeoutError as APITimeoutError,
        AuthenticationError as AuthenticationError,
        BadRequestError as BadRequestError,
        BusyResourceError as BusyResourceError,
        ConflictError as ConflictError,
        ContentFilterFinishReasonError as ContentFilterFinishReasonError,
        InternalServerError as InternalServerError,
        LengthFinishReasonError as LengthFinishReasonError,
        LimitExceededError as LimitExceededError,
        LocalProtocolError as LocalProtocolError,
        NotFoundError as NotFoundError,
        OpenAIError as OpenAIError,
        PermissionDeniedError as PermissionDeniedError,
        PoolTimeoutError as PoolTimeoutError,
        ProxyError as ProxyError,
        RateLimitError as RateLimitError,
        RemoteProtocolError as RemoteProtocolError,
        StreamConsumedError as StreamConsumedError,
        StreamDecodeError as StreamDecodeError,
        StreamTruncatedError as StreamTruncatedError,
        TokenwireError as TokenwireError,
        UnprocessableEntityError as UnprocessableEntityError,
    )
    from tokenwire.families.parsing import (
        pydantic_function_tool as pydantic_function_tool,
        pydantic_responses_function_tool as pydantic_responses_function_tool,
    )
    from tokenwire.helper_streams import (
        AsyncChatCompletionStream as AsyncChatCompletionStream,
        AsyncChatCompletionStreamManager as AsyncChatCompletionStreamManager,
        AsyncResponseStream as AsyncResponseStream,
        AsyncResponseStreamManager as AsyncResponseStreamManager,
        ChatCompletionStream as ChatCompletionStream,
        ChatCompletionStreamManager as ChatCompletionStreamManager,
        ResponseStream as ResponseStream,
        ResponseStreamManager as ResponseStreamManager,
    )
    from tokenwire.policy import Limits as Limits, Retry as Retry, Timeouts as Timeouts
    from tokenwire.raw_response import APIResponse as APIResponse
    from tokenwire.stats import Stats as Stats
    from tokenwire.streams import AsyncStream as AsyncStream, Stream as Stream

    AsyncOpenAI = AsyncClient
    Omit = NotGiven
    not_given = NOT_GIVEN
    omit = NOT_GIVEN
    OpenAI = Client

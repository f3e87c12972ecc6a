"""tokenwire's blocking client, `create(stream=True)`."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator

from harness import API_KEY, Call

import tokenwire
from rivals._official import create_sync as consume
from rivals.tokenwire_create import unavailable

__all__ = ["client", "consume", "unavailable"]

LABEL = "tokenwire create, sync"
KIND = "sync"
GROUP = "ours"
LOOPS = ("none",)
SCENARIOS = ("firehose", "requests")
PACKAGES = ("tokenwire", "msgspec", "h11")


@contextlib.contextmanager
def client(call: Call) -> Iterator[tokenwire.Client]:
    context = ssl.create_default_context(cafile=call.cafile) if call.tls else None
    with tokenwire.Client(api_key=API_KEY, base_url=call.base_url, ssl_context=context) as made:
        yield made

"""The official SDK's blocking client, `create(stream=True)`."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator

import openai
from harness import API_KEY, Call

from rivals._official import create_sync as consume

__all__ = ["client", "consume"]

LABEL = "openai create, sync"
KIND = "sync"
GROUP = "rival"
LOOPS = ("none",)
SCENARIOS = ("firehose", "requests")
PACKAGES = ("openai", "httpx2", "httpcore2", "h11", "pydantic")


@contextlib.contextmanager
def client(call: Call) -> Iterator[openai.OpenAI]:
    verify = ssl.create_default_context(cafile=call.cafile) if call.tls else True
    transport = openai.DefaultHttpxClient(verify=verify)
    with openai.OpenAI(api_key=API_KEY, base_url=call.base_url, http_client=transport) as made:
        yield made

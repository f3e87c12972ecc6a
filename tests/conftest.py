"""What holds for every test."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# The same examples each time, however slow the machine is: a test that fails for chance alone is worth nothing.
# `pytest --hypothesis-profile=explore` looks for new ones.
_PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("same", derandomize=True, database=None, **_PATIENT)
settings.register_profile("explore", max_examples=2_000, **_PATIENT)
settings.load_profile("same")


def pytest_configure() -> None:
    # Of the machine that the tests run on: their peers stand on its own loopback.
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    # A shell's background jobs ignore Ctrl-C, and so would the processes that the tests start and interrupt.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


# Collecting makes a million objects, nearly all of which stay: looking through them for garbage is a tenth of its cost.
gc.disable()


def pytest_collection_finish() -> None:
    gc.enable()


# Whoever looks for what a test left behind walks what that test made, and not all that pytest, hypothesis and the
# tests before it hold: that would cost a fifth of a second each time. So the latter is set aside before each test,
# and what a test leaves behind is looked for as soon as it ends.


def pytest_runtest_setup() -> None:
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, Any, Any]:
    try:
        return (yield)
    finally:
        gc.collect()


def pytest_sessionfinish() -> None:
    gc.unfreeze()  # what fixtures left behind is told of at the end

"""What holds for every test."""

from __future__ import annotations

import gc
import os

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


def pytest_collection_finish() -> None:
    # Thousands of collected tests would be walked by each gc.collect() that looks for what a test left behind.
    gc.collect()
    gc.freeze()

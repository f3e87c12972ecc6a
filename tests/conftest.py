"""What holds for every test."""

from __future__ import annotations

import gc
import os


def pytest_configure() -> None:
    # Of the machine that the tests run on: their peers stand on its own loopback.
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]


def pytest_collection_finish() -> None:
    # Thousands of collected tests would be walked by each gc.collect() that looks for what a test left behind.
    gc.collect()
    gc.freeze()

"""What holds for every test."""

from __future__ import annotations

import gc


def pytest_collection_finish() -> None:
    # Thousands of collected tests would be walked by each gc.collect() that looks for what a test left behind.
    gc.collect()
    gc.freeze()

"""What some work costs, in calls: the same on every machine, however busy it is."""

from __future__ import annotations

import cProfile
from collections.abc import Callable


def calls_made(work: Callable[[], object]) -> int:
    """How many calls, of Python and of C functions, some work makes. cProfile counts them in C: a function of
    ours for `sys.setprofile` would take most of the time."""
    profile = cProfile.Profile()
    profile.enable()
    try:
        work()
    finally:
        profile.disable()
    return sum(entry.callcount for entry in profile.getstats())

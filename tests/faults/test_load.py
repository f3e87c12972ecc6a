"""Many streams in one process, some cut, cancelled or stalled: all others are whole, and nothing is left.

120 streams in each run; TOKENWIRE_LOAD=2000 makes it so many, paced as servers pace them.
"""

from __future__ import annotations

import os
import sys

import pytest

from faults.load import Run, allow_descriptors, serving
from support.loops import SERVING, Way

STREAMS = int(os.environ.get("TOKENWIRE_LOAD", "0"))


@pytest.mark.skipif(sys.platform != "linux", reason="the server uses epoll")
@pytest.mark.parametrize("way", SERVING, ids=lambda way: way.id)
def test_the_others_do_not_notice(way: Way) -> None:
    if STREAMS:
        allow_descriptors()
    with serving(0.1 if STREAMS else 0.001) as url:
        # Small, only those that are to stall have a clock, so that a slow machine is no failure.
        run = Run(url, STREAMS or 120, 10.0 if STREAMS else 0.5, bool(STREAMS))
        run.run(way.id)
    run.check()

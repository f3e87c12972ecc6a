"""Keep one core awake: `python awake.py CORE` spins at idle priority until whoever started it has gone.

An idle virtual core halts, and to wake it is the hypervisor's work: 5 to 25 us that getrusage finds in whichever
process was woken, and behind it caches and branch predictors that others have used meanwhile. Between two paced
tokens that happens each time, or not, as the host pleases. With SCHED_IDLE a process runs only where nothing else
wants to, and gives way at once to what does; the core never halts, and what is measured is the client.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    os.sched_setaffinity(0, {int(sys.argv[1])})
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    parent = os.getppid()
    while os.getppid() == parent:
        for _ in range(1_000_000):
            pass


if __name__ == "__main__":
    main()

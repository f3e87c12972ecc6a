"""Workers: one server as several processes, which share its port (SO_REUSEPORT).

Theory of operation. The parent forks its workers and then only waits. It passes SIGTERM and
SIGINT on to them: each worker once for each that came, so that a second one can mean "at once".
Workers are in process groups of their own, or a terminal's Ctrl-C would reach them twice. Until a worker
has given up its parent's handlers, signals are held back from it: those handlers would pass them on to its
siblings, and it would lose them itself.

Two pipes hold the family together. Each worker closes its end of the first when it listens, or by
dying: so the parent knows when all of them have begun. Of the second only the parent holds the end that
is written to: when that end closes, the parent has died, and its workers stop by themselves.

A worker that dies is reported, and not begun again: the kernel deals its share out to the others, and
whoever supervises the whole decides what is to be done.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from typing import Final

__all__ = ["INTERRUPTED", "tell", "workers"]

#: The exit status after Ctrl-C: 128 + SIGINT, as shells have it.
INTERRUPTED: Final = 130

_PASSED_ON: Final = (signal.SIGTERM, signal.SIGINT)


def tell(line: str) -> None:
    """Say this on standard error, where it is still read: whoever does has had the same Ctrl-C (`| tee log`)."""
    with contextlib.suppress(OSError):
        print(f"tokenwire: {line}", file=sys.stderr, flush=True)


def workers(count: int, work: Callable[[Callable[[], None]], int], ready: Callable[[int], object]) -> int:
    """Run work(listening) in this many processes: the exit status of the whole, once all have ended.

    work: calls listening() when it has begun, and returns its exit status. ready: called with the
    number of those that have.

    The status is 0 where all ended because of a SIGTERM, 130 because of a SIGINT, else 1.
    """
    return _Parent(count, work, ready).run()


class _Parent:
    def __init__(self, count: int, work: Callable[[Callable[[], None]], int], ready: Callable[[int], object]) -> None:
        self._count = count
        self._work = work
        self._ready = ready
        self._told: dict[int, int] = {}  # by worker: how many of the signals it has been sent
        self._signals: list[int] = []

    def run(self) -> int:
        before = {number: signal.signal(number, self._came) for number in _PASSED_ON}
        begun, begins = os.pipe()
        alive, lives = os.pipe()
        try:
            for _ in range(self._count):
                mask = signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)
                try:
                    pid = os.fork()
                    if not pid:
                        os.close(begun)
                        os.close(lives)
                        _child(self._work, begins, alive, mask)
                    self._told[pid] = 0
                finally:
                    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
                self._pass_on()
            os.close(begins)
            os.close(alive)
            listening = 0
            while one := os.read(begun, self._count):
                listening += len(one)
            if listening:
                self._ready(listening)
            return self._wait()
        finally:
            os.close(begun)
            os.close(lives)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _came(self, number: int, frame: object) -> None:
        self._signals.append(number)
        self._pass_on()

    def _pass_on(self) -> None:
        for pid, count in self._told.items():
            for number in self._signals[count:]:
                with contextlib.suppress(ProcessLookupError):  # waited for just now, and not struck off yet
                    os.kill(pid, number)
            self._told[pid] = len(self._signals)

    def _wait(self) -> int:
        failed = False
        while self._told:
            pid, status = os.waitpid(-1, 0)
            if pid not in self._told:
                continue  # a process of the handler's
            del self._told[pid]
            code = os.waitstatus_to_exitcode(status)
            if self._signals and (code in (0, INTERRUPTED) or -code in self._signals):
                continue
            failed = True
            how = f"by signal {-code}" if code < 0 else f"with status {code}"
            tell(f"worker {pid} has ended {how}; left: {len(self._told)}")
        if failed:
            return 1
        return INTERRUPTED if self._signals[0] == signal.SIGINT else 0


def _child(work: Callable[[Callable[[], None]], int], begins: int, alive: int, mask: Iterable[int]) -> None:
    """A worker's whole life. Never returns. mask: the signals that are held back from it for good."""
    status = 1
    try:
        os.setpgid(0, 0)
        for number in _PASSED_ON:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        threading.Thread(target=_until_orphaned, args=(alive,), name="parent", daemon=True).start()

        def listening() -> None:
            os.write(begins, b".")
            os.close(begins)

        status = work(listening)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(status)


def _until_orphaned(alive: int) -> None:
    os.read(alive, 1)  # nothing is ever written: it returns when the parent has gone
    os.kill(os.getpid(), signal.SIGTERM)

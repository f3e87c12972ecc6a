"""What a task waits for under asyncio.

Theory of operation. A Future costs a token more than all that we do with it: it is
allocated, `call_soon` makes a Handle of its wake-up, and the loop goes round once
more, with another epoll_wait, before the task runs. `Arrival` is one object for the
life of a connection, and it runs the task in the very callback that the bytes came in.

asyncio lets anything be awaited that behaves as a Future ("a Future-like object with a
`_asyncio_future_blocking` attribute", as `asyncio.isfuture` puts it). What a task does
with such an object: it finds `_asyncio_future_blocking` true and sets it to false, asks
`get_loop`, and leaves its wake-up with `add_done_callback`; woken, it calls `result`,
and throws what that raises into the coroutine. To cancel a task that waits is to call
`cancel`, which answers whether it will wake the task.

To run a task inside the loop's callback is safe where that callback is the loop's own
and runs no task, as that of a readable socket is; what else ends a wait (a deadline,
the end of the connection, a cancellation) leaves by `call_soon`, as a Future would.

It is not safe where a task may run its loop anew from within, as notebooks do by nest_asyncio:
the callback that it runs in cannot be entered again, and what comes for whoever reads the same
connection then would not be seen. There all leaves by `call_soon`.
"""

from __future__ import annotations

import asyncio
import functools
import types
import weakref
from collections.abc import Callable, Generator
from contextvars import Context
from typing import Any, Final

__all__ = ["Arrival", "arrival", "expire", "let_others_run"]


@types.coroutine
def let_others_run() -> Generator[None, None, None]:
    """A checkpoint: what asyncio.sleep(0) does, without its frame."""
    yield


def expire(waiter: asyncio.Future[None]) -> None:
    """End a wait by TimeoutError."""
    if not waiter.done():
        waiter.set_exception(TimeoutError())


#: The result of a wait that ended well, for nobody looks at it: False.
_NOTHING: Final = bool


class Arrival:
    """A Future-like object that one task at a time waits for, any number of times: `yield` it.

    wake_up, context: what to call for the task that waits, and in what; None while none does. Set
    `_asyncio_future_blocking` before each wait.
    """

    __slots__ = ("_asyncio_future_blocking", "context", "get_loop", "result", "wake_up")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._asyncio_future_blocking = False
        # It and `result` are called for each token, so they are callables in C; a reference is one that answers with
        # the loop. (asyncio.get_running_loop does too, and until 3.12 asks the kernel for the process id each time.)
        self.get_loop: Callable[[], asyncio.AbstractEventLoop | None] = weakref.ref(loop)
        self.wake_up: Callable[[Any], object] | None = None
        self.context: Context | None = None
        self.result: Callable[[], object] = _NOTHING

    # -- what the task calls -----------------------------------------------------------

    def add_done_callback(self, callback: Callable[[Any], object], *, context: Context) -> None:
        self.wake_up, self.context = callback, context

    def cancel(self, msg: Any = None) -> bool:
        if self.wake_up is None:
            return False
        self.end(asyncio.CancelledError() if msg is None else asyncio.CancelledError(msg))
        return True

    # -- what the connection calls -------------------------------------------------------

    def arrive(self) -> None:
        """Run the task that waits, here and now. Only out of a callback of the loop's own; only while one does."""
        context, wake_up = self.context, self.wake_up
        self.wake_up = self.context = None  # as let_go, without its frame
        assert context is not None
        assert wake_up is not None
        context.run(wake_up, self)

    def end(self, error: BaseException | None = None) -> None:
        """Wake the task, if one waits, in the loop's next round; with an error to be raised where it waits."""
        context, wake_up = self.context, self.wake_up
        if wake_up is not None:
            self.let_go()
            if error is not None:
                self.result = functools.partial(self._raise, error)
            loop = self.get_loop()
            assert loop is not None  # the task has it
            loop.call_soon(wake_up, self, context=context)

    def _raise(self, error: BaseException) -> None:
        self.result = _NOTHING
        raise error

    def let_go(self) -> None:
        """Nobody waits any more. A connection that lies idle must not keep the task that used it."""
        self.wake_up = self.context = None


class _LaterArrival(Arrival):
    """Wakes its task in the loop's next round."""

    __slots__ = ()

    def add_done_callback(self, callback: Callable[[Any], object], *, context: Context) -> None:
        loop = self.get_loop()
        assert loop is not None  # the task has it
        super().add_done_callback(lambda woken: loop.call_soon(callback, woken, context=context), context=context)


def arrival(loop: asyncio.AbstractEventLoop) -> Arrival:
    """What a task of this loop waits for."""
    return _LaterArrival(loop) if hasattr(loop, "_nest_patched") else Arrival(loop)

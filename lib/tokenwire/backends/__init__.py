"""The rooms that touch the world: one module per way to do I/O, behind one port (`base.py`).

asyncio, trio, anyio, sync (plain sockets, for `Client`), memory (a scripted peer,
for tests). Nothing is imported before it is used, and trio or anyio may be absent.
"""

from __future__ import annotations

import sys

from tokenwire.backends.base import Backend

__all__ = ["detect", "named"]

_KNOWN = ("asyncio", "trio", "anyio", "sync")


def named(name: str) -> Backend:
    """A backend by its name: asyncio, trio, anyio or sync. Raises ValueError for any other."""
    if name not in _KNOWN:
        raise ValueError(f"unknown backend {name!r}: choose one of {', '.join(_KNOWN)}, or pass a backend object")
    # By statements: what freezes a program (PyInstaller) looks for those.
    if name == "asyncio":
        from tokenwire.backends.asyncio import backend
    elif name == "trio":
        from tokenwire.backends.trio import backend
    elif name == "anyio":
        from tokenwire.backends.anyio import backend
    else:
        from tokenwire.backends.sync import backend
    return backend()


def detect() -> Backend:
    """The backend of the library that runs this very code: trio, else asyncio (and uvloop).

    Raises RuntimeError outside of both.
    """
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        return named("trio")
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            return named("asyncio")
    raise RuntimeError("neither asyncio nor trio is running here: use tokenwire.Client in blocking code")

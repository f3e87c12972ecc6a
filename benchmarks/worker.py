"""One measurement in a process of its own. `run.py` starts it with the call as JSON; it prints one line of JSON."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import importlib.util
import json
import os
import resource
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from harness import Call, Control, Lap, Tally, Unavailable, cpu, resident, run_loop
from serving import measure_server

UNAVAILABLE = 3  # exit status: the rival cannot run here


def load(name: str) -> Any:
    try:
        # A name with a dot is a module of your own, anywhere on the path.
        return importlib.import_module(name if "." in name else f"rivals.{name}")
    except (ImportError, AttributeError) as error:
        raise Unavailable(f"{name}: {error}") from error


# -- Running streams side by side ----------------------------------------------


async def side_by_side_asyncio(plays: list[Callable[[], Awaitable[None]]]) -> None:
    async with asyncio.TaskGroup() as group:
        for play in plays:
            group.create_task(play())  # type: ignore[arg-type]  # every play is a coroutine function


async def side_by_side_trio(plays: list[Callable[[], Awaitable[None]]]) -> None:
    import trio

    async with trio.open_nursery() as nursery:
        for play in plays:
            nursery.start_soon(play)


async def play_async(rival: Any, client: Any, call: Call, lap: Lap) -> Tally:
    total = [Tally(0, 0)]

    async def play() -> None:
        for _ in range(call.repeat):
            tally = await rival.consume(client, call, lap)
            total[0] += tally  # read after the await, not before

    together = side_by_side_trio if call.loop == "trio" else side_by_side_asyncio
    await together([play] * call.streams)
    return total[0]


# -- The measurements ----------------------------------------------------------


def warm_call(call: Call) -> Call:
    """A short run of the same, so that caches, lazy imports and connections are there before the clock starts."""
    return replace(
        call,
        scenario="firehose" if call.plan.startswith("paced") else call.scenario,
        interval_us=0,
        tokens=min(call.tokens, 200),
        streams=min(call.streams, 10),
        repeat=min(call.repeat, 10),
    )


def measure(rival: Any, call: Call, control: Control) -> tuple[Lap, Tally, int]:
    """The lap, what was delivered, and how many streams delivered it."""
    warm = warm_call(call)
    counts_setup = call.scenario == "requests"
    if rival.KIND == "whole":
        if call.warm:
            rival.run(warm, Lap(control, warm.streams))
        control.stats()
        lap = Lap(control, call.streams)
        return lap, rival.run(call, lap), call.streams

    if rival.KIND == "sync":
        # One stream after the other on one client: threads would measure the lock of the interpreter.
        lap, total = Lap(control, 1), Tally(0, 0)
        if call.warm:
            with rival.client(warm) as client:
                rival.consume(client, warm, Lap(control, 1))
        with rival.client(call) as client:
            if call.warm and warm.base_url == call.base_url:
                rival.consume(client, warm, Lap(control, 1))
            control.stats()
            if counts_setup:
                lap.streams = -1  # its window is the whole of it
            gc.collect()
            start, wall = cpu(), time.perf_counter()
            count = call.streams * call.repeat
            for _ in range(count):
                total += rival.consume(client, call, lap)
            if counts_setup:
                lap.cpu, lap.wall = cpu() - start, time.perf_counter() - wall
        return lap, total, count

    async def main() -> tuple[Lap, Tally]:
        if call.warm:
            async with rival.client(warm) as client:
                await play_async(rival, client, warm, Lap(control, warm.streams))
        async with rival.client(call) as client:
            if call.warm and warm.base_url == call.base_url:
                await play_async(rival, client, warm, Lap(control, warm.streams))
            control.stats()
            lap = Lap(control, call.streams)
            if counts_setup:
                lap.streams = -1  # its window is the whole of it
            gc.collect()
            start, wall = cpu(), time.perf_counter()
            total = await play_async(rival, client, call, lap)
            if counts_setup:
                lap.cpu, lap.wall = cpu() - start, time.perf_counter() - wall
            return lap, total

    lap, total = run_loop(call.loop, main)
    return lap, total, call.streams * call.repeat


class _Held(Exception):
    """All the streams of the idle scenario are open; leave."""


class IdleLap(Lap):
    """Every stream says open() and then waits for ever: measures memory when the last has."""

    def __init__(self, control: Control, streams: int) -> None:
        super().__init__(control, streams)
        self.after = 0
        self.all_open: Callable[[], None] = lambda: None

    def open(self) -> None:
        self.opened += 1
        if self.opened == self.streams:
            self.all_open()


def measure_idle(rival: Any, call: Call, control: Control) -> dict[str, Any]:
    """Memory per stream that is open and silent. Streams are opened in small groups, as a service would."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < call.streams + 64:
        raise Unavailable(f"{call.streams} streams need as many files; this process may open {hard}")

    async def main() -> dict[str, Any]:
        if call.loop == "trio":
            raise Unavailable("the idle scenario runs under asyncio and uvloop")
        async with rival.client(call) as client:
            tasks: list[asyncio.Task[Any]] = []
            gate = asyncio.Semaphore(64)

            class Opened(Lap):
                def open(self) -> None:
                    self.opened += 1
                    gate.release()
                    if self.opened == target:
                        everyone.set()

            lap = Opened(control, 0)

            async def hold(count: int) -> None:
                for _ in range(count):
                    await gate.acquire()
                    tasks.append(asyncio.create_task(rival.consume(client, call, lap)))
                    for task in tasks[-64:]:
                        if task.done():
                            task.result()  # it failed: say why

            warm = min(50, call.streams)
            target, everyone = warm, asyncio.Event()
            await hold(warm)
            await everyone.wait()
            gc.collect()
            before, start = resident(), cpu()
            target, everyone = warm + call.streams, asyncio.Event()
            await hold(call.streams)
            async with asyncio.timeout(120):
                await everyone.wait()
            gc.collect()
            after, end = resident(), cpu()
            stats = control.stats()
            held = {
                "bytes_per_stream": (after - before) / call.streams,
                "cpu_us_per_open": (end - start) / call.streams * 1e6,
                "resident_mib": after / 2**20,
                "streams": call.streams,
                "origin_open": stats["open"],
            }
            # The measurement is made; the report goes out before ten thousand goodbyes, some rivals' being long.
            print(json.dumps(held), flush=True)
            os._exit(0)

    result: dict[str, Any] = run_loop(call.loop, main)
    return result


def measure_import(module: str) -> dict[str, Any]:
    start, wall = cpu(), time.perf_counter()
    importlib.import_module(module)
    return {"import_ms": (cpu() - start) * 1e3, "import_wall_ms": (time.perf_counter() - wall) * 1e3}


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    from importlib import metadata

    found = {}
    for package in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def main() -> int:
    given = json.loads(sys.argv[1])
    core, other = given.pop("core", None), given.pop("other_core", None)
    serves = given.get("scenario", "").startswith("serve")
    if core is not None:
        os.sched_setaffinity(0, {other if serves else core})  # what is measured has `core`
    if "import" in given:
        try:
            print(json.dumps(measure_import(given["import"])))
        except ImportError as error:
            print(json.dumps({"unavailable": str(error)}))
            return UNAVAILABLE
        return 0
    call = Call(**given)
    if call.cafile:
        os.environ["SSL_CERT_FILE"] = call.cafile
    try:
        rival = load(call.rival)
        reason = getattr(rival, "unavailable", lambda: None)()
        if reason:
            raise Unavailable(reason)
        if serves:
            print(json.dumps({**measure_server(call, core), "versions": versions(rival.PACKAGES)}))
            return 0
        control = Control(call.control_port)
        if call.scenario == "idle":
            print(json.dumps(measure_idle(rival, call, control)))
            return 0
        lap, total, streams = measure(rival, call, control)
        stats = control.stats()
        more = rival.more(control) if call.scenario == "latency" else {}
    except Unavailable as why:
        print(json.dumps({"unavailable": str(why)}))
        return UNAVAILABLE
    except BaseException as error:
        traceback.print_exc()
        print(json.dumps({"error": f"{type(error).__name__}: {error}"[:500]}))
        return 1
    each = call.expected()
    want = Tally(each.tokens * streams, each.chars * streams)
    if total != want:
        print(json.dumps({"error": f"delivered {total}, the origin sent {want}"}))
        return 1
    print(
        json.dumps(
            {
                "tokens": total.tokens,
                "streams": streams,
                "cpu_us_per_token": lap.cpu / total.tokens * 1e6,
                "cpu_us_per_request": lap.cpu / streams * 1e6,
                "cpu_seconds": lap.cpu,
                "wall_seconds": lap.wall,
                "busy": lap.cpu / lap.wall if lap.wall else 0.0,
                "origin_lateness": stats["lateness"],
                "versions": versions(rival.PACKAGES),
                **more,
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

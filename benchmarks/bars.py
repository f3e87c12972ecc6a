"""The bars: what "fastest by a margin that nobody argues with" means, as data.

Each bar is a ratio between two medians of one run. `ours` and `other` are ids of
measurements without the family: `scenario/loop/plain|tls/rival`; {family} is filled in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Bar:
    """above: the ratio other / ours must be at least this. below: the ratio ours / other must be at most this."""

    name: str
    ours: str
    other: str
    above: float | None = None
    below: float | None = None
    families: tuple[str, ...] = ("chat", "responses")
    how: str = ""
    floor: str = ""  # an id, too: its cost is taken off both before they are compared


@dataclass(frozen=True)
class Verdict:
    name: str
    family: str
    bound: str
    ratio: float | None  # None: not measured in this run
    holds: bool | None
    how: str


CHAT = ("chat",)
THIRD = 0.333

BARS: tuple[Bar, ...] = (
    Bar(
        "firehose, async, typed iteration: openai create / ours",
        "firehose/asyncio/plain/tokenwire_create",
        "firehose/asyncio/plain/openai_create",
        above=70,
    ),
    Bar(
        "firehose, .stream() and its snapshots: openai / ours",
        "firehose/asyncio/plain/tokenwire_stream",
        "firehose/asyncio/plain/openai_stream",
        above=60,
    ),
    Bar(
        "firehose, .stream(), snapshot read at each delta: openai / ours",
        "snapshots/asyncio/plain/tokenwire_stream",
        "snapshots/asyncio/plain/openai_stream",
        above=60,
        families=CHAT,
        how="the stricter reading of the bar above",
    ),
    Bar(
        "firehose: aiohttp by hand / ours",
        "firehose/asyncio/plain/tokenwire_create",
        "firehose/asyncio/plain/aiohttp_by_hand",
        above=4,
    ),
    Bar(
        "firehose: pyreqwest by hand / ours",
        "firehose/asyncio/plain/tokenwire_create",
        "firehose/asyncio/plain/pyreqwest_by_hand",
        above=4,
    ),
    Bar(
        "paced, 200 streams, asyncio: openai / ours",
        "paced-slow/asyncio/plain/tokenwire_create",
        "paced-slow/asyncio/plain/openai_create",
        above=14,
        how="at the pace that openai can keep up with; at 20 ms it is saturated and reads many tokens at once",
    ),
    Bar(
        "paced, asyncio: ours / bare epoll",
        "paced/asyncio/plain/tokenwire_create",
        "paced/none/plain/floor_epoll",
        below=1.9,
    ),
    Bar(
        "paced, uvloop: ours / bare epoll",
        "paced/uvloop/plain/tokenwire_create",
        "paced/none/plain/floor_epoll",
        below=1.5,
    ),
    Bar(
        "paced, trio: ours / trio.socket.recv_into alone",
        "paced/trio/plain/tokenwire_create",
        "paced/trio/plain/floor_trio",
        below=1.25,
    ),
    Bar(
        "paced: aiohttp by hand / ours",
        "paced/asyncio/plain/tokenwire_create",
        "paced/asyncio/plain/aiohttp_by_hand",
        above=2.5,
    ),
    Bar(
        "1,000 paced streams, coalesce=0.02: bare epoll / ours",
        "coalesce/asyncio/plain/tokenwire_coalesce",
        "coalesce/none/plain/floor_epoll",
        above=2,
        families=CHAT,
        how="within 20 ms a stream has one token, so each is a read; floor_tick is what the reads alone cost",
    ),
    Bar(
        "request on a kept-alive connection: openai / ours",
        "requests/asyncio/plain/tokenwire_create",
        "requests/asyncio/plain/openai_create",
        above=12,
    ),
    Bar(
        "import: openai / ours",
        "import/none/plain/tokenwire",
        "import/none/plain/openai",
        above=8,
        families=CHAT,
    ),
    Bar(
        "import, AsyncClient and all behind it: openai / ours",
        "import/none/plain/tokenwire.client",
        "import/none/plain/openai",
        above=8,
        families=CHAT,
        how="the stricter reading: `import tokenwire` itself is lazy",
    ),
    Bar(
        "sync client, firehose: openai / ours",
        "firehose/none/plain/tokenwire_sync",
        "firehose/none/plain/openai_sync",
        above=70,
    ),
    *(
        bar
        for ours, floor, named in (
            ("tokenwire_serve", "floor_serve", "serve"),
            ("tokenwire_asgi", "floor_asgi", "asgi under uvicorn"),
        )
        for bar in (
            Bar(
                f"served token, firehose, {named}: ours / sse-starlette",
                f"serve/asyncio/plain/{ours}",
                "serve/asyncio/plain/sse_starlette",
                below=THIRD,
            ),
            Bar(
                f"served token, paced, {named}: ours / sse-starlette, beyond the floor",
                f"serve-paced/asyncio/plain/{ours}",
                "serve-paced/asyncio/plain/sse_starlette",
                below=THIRD,
                floor=f"serve-paced/asyncio/plain/{floor}",
                how="the floor, the same handler and one bare write of ready bytes, is itself about a third",
            ),
        )
    ),
)

IDLE_KIB = 8.0
IDLE_STREAMS = 10_000
TLS_MARGIN = 1.15


def _id(short: str, family: str) -> str:
    scenario, rest = short.split("/", 1)
    return f"{scenario}/{family}/{rest}"


def verdicts(values: Mapping[str, list[float]]) -> list[Verdict]:
    """Judge every bar by the medians of a run. values: measurement id -> one value a round."""
    found: list[Verdict] = []
    for bar in BARS:
        for family in bar.families:
            ours, other = values.get(_id(bar.ours, family)), values.get(_id(bar.other, family))
            if bar.floor:
                ours, other = _beyond(ours, values.get(_id(bar.floor, family)), other)
            ratio = holds = None
            if bar.above is not None:
                bound = f">= {bar.above:g}"
                if ours and other:
                    ratio = median(other) / median(ours)
                    holds = ratio >= bar.above
            else:
                assert bar.below is not None
                bound = f"<= {bar.below:g}"
                if ours and other:
                    ratio = median(ours) / median(other)
                    holds = ratio <= bar.below
            found.append(Verdict(bar.name, family, bound, ratio, holds, bar.how))
    found.extend(_idle(values, family) for family in ("chat", "responses"))
    found.extend(_tls(values, family) for family in ("chat", "responses"))
    return found


def _beyond(
    ours: list[float] | None, floor: list[float] | None, other: list[float] | None
) -> tuple[list[float] | None, list[float] | None]:
    """What both cost beyond a floor; None where that is not known, or was drowned in noise."""
    if not (ours and floor and other) or median(other) <= median(floor):
        return None, None
    return [max(0.0, median(ours) - median(floor))], [median(other) - median(floor)]


def _idle(values: Mapping[str, list[float]], family: str) -> Verdict:
    held = values.get(f"idle/{family}/asyncio/plain/tokenwire_create")
    kib = median(held) if held else None
    return Verdict(
        f"memory per open idle stream, KiB ({IDLE_STREAMS:,} open in one process)",
        family,
        f"<= {IDLE_KIB:g}",
        kib,
        None if kib is None else kib <= IDLE_KIB,
        "growth of resident memory over the streams opened",
    )


def _tls(values: Mapping[str, list[float]], family: str) -> Verdict:
    names = (
        f"firehose/{family}/asyncio/tls/tokenwire_create",
        f"firehose/{family}/asyncio/plain/tokenwire_create",
        f"firehose/{family}/none/tls/floor_ssl",
        f"firehose/{family}/none/plain/floor_epoll",
    )
    ratio = holds = None
    if all(values.get(name) for name in names):
        ours_tls, ours, ssl_alone, plain = (median(values[name]) for name in names)
        ratio = (ours_tls - ours) / (ssl_alone - plain) if ssl_alone > plain else None
        # TLS that seems to cost less than nothing was drowned in noise: no verdict.
        holds = None if ratio is None or ratio <= 0 else ratio <= TLS_MARGIN
    return Verdict(
        "TLS, firehose: what it adds to ours / what it adds to the bare floor",
        family,
        f"<= {TLS_MARGIN:g}",
        ratio,
        holds,
        "(ours over TLS - ours) / (ssl alone - bare epoll); a difference of small numbers, so it is noisy",
    )


def table(found: list[Verdict]) -> str:
    width = max(len(v.name) for v in found)
    lines = [f"{'bar':{width}}  {'family':9}  {'bound':>7}  {'measured':>8}  holds"]
    for v in found:
        measured = "-" if v.ratio is None else f"{v.ratio:.2f}"
        unknown = "not measured" if v.ratio is None else "too noisy"
        holds = {None: unknown, True: "yes", False: "NO"}[v.holds]
        lines.append(f"{v.name:{width}}  {v.family:9}  {v.bound:>7}  {measured:>8}  {holds}")
    return "\n".join(lines)

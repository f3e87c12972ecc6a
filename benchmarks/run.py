"""tokenwire against every rival and against the machine.

    python benchmarks/run.py                        all of it (about half an hour)
    python benchmarks/run.py --quick                a first look, under a minute
    python benchmarks/run.py --only "firehose chat" only what has all of these words in its id; may be repeated
    python benchmarks/run.py --only paced/chat/trio only what begins so
    python benchmarks/run.py --bars                 judge the bars at the end
    python benchmarks/run.py --json out.jsonl --plot out.png
    python benchmarks/run.py --bars --from out.jsonl   judge (and draw) an earlier run, measure nothing

An id is scenario/family/loop/plain|tls/rival. README.md says how to read the table.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

from bars import table as bars_table, verdicts
from harness import Control

HERE = Path(__file__).resolve().parent
UNAVAILABLE = 3  # worker.py's exit status

UNITS = {
    "latency": "ms late (p99)",
    "requests": "us/request",
    "idle": "KiB/stream",
    "import": "ms",
}


@dataclass(frozen=True)
class Measurement:
    scenario: str
    rival: str
    loop: str
    family: str = "chat"
    tls: bool = False
    options: dict[str, int] = field(default_factory=dict, compare=False)

    @property
    def id(self) -> str:
        return f"{self.group}/{self.loop}/{'tls' if self.tls else 'plain'}/{self.rival}"

    @property
    def group(self) -> str:
        return f"{self.scenario}/{self.family}"

    @property
    def unit(self) -> str:
        return UNITS.get(self.scenario, "us/token")


# -- What is measured ------------------------------------------------------------

FIREHOSE = {"streams": 20, "tokens": 2000}
PACED = {"streams": 200, "tokens": 100, "interval_us": 20_000}
# The same at a pace that the slowest client keeps up with: a token that is read alone costs more.
PACED_SLOW = {"streams": 200, "tokens": 25, "interval_us": 120_000}
# What coalescing is for: streams so many that their tokens come every 20 us.
MANY = {"streams": 1000, "tokens": 100, "interval_us": 20_000}
REQUESTS = {"streams": 8, "tokens": 1, "repeat": 50}
IDLE = {"streams": 10_000, "tokens": 1}
# The official SDK allows 1,000 connections; beyond that its pool looks through all of them for each request.
IDLE_FEW = {"streams": 900, "tokens": 1}
ACCUMULATE = {"streams": 20, "tokens": 200}
SERVE = {"streams": 20, "tokens": 1000}
SERVE_PACED = {"streams": 200, "tokens": 100, "interval_us": 20_000}

ASYNC = (
    "openai_create",
    "openai_aiohttp",
    "openai_stream",
    "httpx2_by_hand",
    "httpx2_sse",
    "httpx_sse",
    "aiohttp_by_hand",
    "pyreqwest_by_hand",
    "tokenwire_create",
    "tokenwire_batches",
    "tokenwire_stream",
)

SERVERS = (
    "floor_serve",
    "floor_asgi",
    "tokenwire_serve",
    "tokenwire_asgi",
    "starlette_streaming",
    "sse_starlette",
)


def catalogue() -> Iterator[Measurement]:
    """Every measurement, in the order of one round."""
    for family in ("chat", "responses"):

        def one(
            scenario: str, rival: str, loop: str, options: dict[str, int], tls: bool = False, family: str = family
        ) -> Measurement:
            return Measurement(scenario, rival, loop, family, tls, options)

        for rival in ASYNC:
            yield one("firehose", rival, "asyncio", FIREHOSE)
        for loop in ("uvloop", "trio"):
            yield one("firehose", "tokenwire_create", loop, FIREHOSE)
        for rival in ("openai_sync", "tokenwire_sync", "floor_epoll", "floor_decode"):
            yield one("firehose", rival, "none", FIREHOSE)
        yield one("firehose", "floor_buffered", "asyncio", FIREHOSE)
        for rival in ("openai_create", "aiohttp_by_hand", "pyreqwest_by_hand", "tokenwire_create", "floor_buffered"):
            yield one("firehose", rival, "asyncio", FIREHOSE, tls=True)
        yield one("firehose", "tokenwire_create", "trio", FIREHOSE, tls=True)
        yield one("firehose", "tokenwire_sync", "none", FIREHOSE, tls=True)
        yield one("firehose", "floor_ssl", "none", FIREHOSE, tls=True)

        yield one("paced", "floor_epoll", "none", PACED)
        for rival in ("floor_buffered", "floor_task", "tokenwire_create", "aiohttp_by_hand", "pyreqwest_by_hand"):
            for loop in ("asyncio", "uvloop"):
                yield one("paced", rival, loop, PACED)
        yield one("paced", "tokenwire_batches", "asyncio", PACED)
        yield one("paced", "tokenwire_stream", "asyncio", PACED)
        for rival in ("floor_trio", "tokenwire_create"):
            yield one("paced", rival, "trio", PACED)
        yield one("paced", "floor_ssl", "none", PACED, tls=True)
        for rival in ("floor_buffered", "tokenwire_create"):
            yield one("paced", rival, "asyncio", PACED, tls=True)

        for rival in ("openai_create", "openai_aiohttp", "httpx2_by_hand", "aiohttp_by_hand", "tokenwire_create"):
            yield one("paced-slow", rival, "asyncio", PACED_SLOW)
        for rival in ("openai_create", "tokenwire_create"):
            yield one("paced-slow", rival, "trio", PACED_SLOW)
        yield one("paced-slow", "floor_epoll", "none", PACED_SLOW)
        for rival in ("floor_buffered", "floor_task"):
            yield one("paced-slow", rival, "asyncio", PACED_SLOW)

        for rival in ASYNC:
            if rival != "tokenwire_batches":
                yield one("requests", rival, "asyncio", REQUESTS)
        for loop in ("uvloop", "trio"):
            yield one("requests", "tokenwire_create", loop, REQUESTS)
        for rival in ("openai_sync", "tokenwire_sync"):
            yield one("requests", rival, "none", REQUESTS)

        for rival in ("openai_create", "openai_stream", "tokenwire_create", "tokenwire_stream"):
            yield one("tools", rival, "asyncio", ACCUMULATE)
        for rival in ("openai_stream", "tokenwire_stream"):
            yield one("structured", rival, "asyncio", ACCUMULATE)

        for rival in ("openai_create", "openai_aiohttp", "httpx2_by_hand"):
            yield one("idle", rival, "asyncio", IDLE_FEW)
        for rival in ("aiohttp_by_hand", "pyreqwest_by_hand"):
            yield one("idle", rival, "asyncio", IDLE)
        for loop in ("asyncio", "uvloop"):
            yield one("idle", "tokenwire_create", loop, IDLE)

        for scenario, options in (("serve", SERVE), ("serve-paced", SERVE_PACED)):
            for rival in SERVERS:
                for loop in ("asyncio", "uvloop"):
                    yield one(scenario, rival, loop, options)
            yield one(scenario, "tokenwire_serve", "trio", options)

    for rival in ("floor_epoll", "floor_tick"):
        yield Measurement("coalesce", rival, "none", options=MANY)
    yield Measurement("coalesce", "floor_tick_task", "asyncio", options=MANY)
    for loop in ("asyncio", "uvloop", "trio"):
        for rival in ("tokenwire_batches", "tokenwire_coalesce"):
            yield Measurement("coalesce", rival, loop, options=MANY)
    yield Measurement("coalesce", "tokenwire_coalesce_100ms", "asyncio", options=MANY)
    for rival in ("tokenwire_latency", "tokenwire_latency_coalesce", "tokenwire_latency_100ms"):
        yield Measurement("latency", rival, "asyncio", options=MANY)
    for rival in ("openai_stream", "tokenwire_stream"):
        yield Measurement("snapshots", rival, "asyncio", options=FIREHOSE)
    for module in ("openai", "tokenwire", "tokenwire.client", "httpx2", "aiohttp", "pyreqwest.client"):
        yield Measurement("import", module, "none")


QUICK = {
    "firehose/chat/asyncio/plain/openai_create",
    "firehose/chat/asyncio/plain/openai_stream",
    "firehose/chat/asyncio/plain/httpx2_by_hand",
    "firehose/chat/asyncio/plain/aiohttp_by_hand",
    "firehose/chat/asyncio/plain/pyreqwest_by_hand",
    "firehose/chat/asyncio/plain/tokenwire_create",
    "firehose/chat/asyncio/plain/tokenwire_stream",
    "firehose/chat/none/plain/floor_epoll",
    "firehose/chat/none/plain/floor_decode",
    "firehose/responses/asyncio/plain/openai_create",
    "firehose/responses/asyncio/plain/tokenwire_create",
    "paced/chat/none/plain/floor_epoll",
    "paced/chat/asyncio/plain/floor_buffered",
    "paced/chat/asyncio/plain/tokenwire_create",
    "paced/chat/asyncio/plain/aiohttp_by_hand",
    "paced/chat/uvloop/plain/tokenwire_create",
    "paced/chat/trio/plain/floor_trio",
    "paced/chat/trio/plain/tokenwire_create",
    "requests/chat/asyncio/plain/openai_create",
    "requests/chat/asyncio/plain/tokenwire_create",
    "requests/chat/asyncio/plain/aiohttp_by_hand",
    "idle/chat/asyncio/plain/tokenwire_create",
    "idle/responses/asyncio/plain/tokenwire_create",
    "serve/chat/asyncio/plain/tokenwire_serve",
    "serve/chat/asyncio/plain/tokenwire_asgi",
    "serve/chat/asyncio/plain/sse_starlette",
    "import/chat/none/plain/openai",
    "import/chat/none/plain/tokenwire",
    "import/chat/none/plain/tokenwire.client",
}


def quicker(measurement: Measurement) -> Measurement:
    """The same, smaller."""
    options = dict(measurement.options)
    if "interval_us" in options:
        options["tokens"] = max(10, options["tokens"] // 2)
    elif options.get("tokens", 0) > 400:
        options["tokens"] = 400
    if measurement.scenario == "idle":
        options["streams"] = 900
    if measurement.scenario == "requests":
        options["repeat"] = 20
    return replace(measurement, options=options)


# -- The origin --------------------------------------------------------------------


def certificates(folder: Path) -> tuple[str, str] | None:
    """A certificate authority and a certificate for localhost, made now: (origin's PEM, authority's PEM)."""
    openssl = shutil.which("openssl")
    if openssl is None:
        return None
    key, cert, ca_key, ca = (str(folder / name) for name in ("key.pem", "cert.pem", "ca-key.pem", "ca.pem"))
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    serial = ["-set_serial", "1", "-days", "30"]
    names = str(folder / "names.cnf")
    Path(names).write_text(
        "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n"
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
    )
    request = str(folder / "request.pem")
    for command in (
        ["req", "-x509", *curve, "-keyout", ca_key, "-out", ca, "-days", "30", "-subj", "/CN=benchmark authority"],
        ["req", "-new", *curve, "-keyout", key, "-out", request, "-subj", "/CN=localhost"],
        ["x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, *serial, "-extfile", names, "-out", cert],
    ):
        done = subprocess.run([openssl, *command], capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"no TLS: openssl {command[0]}: {done.stderr.strip()[-200:]}", file=sys.stderr)
            return None
    with open(cert, "a") as both:
        both.write(Path(key).read_text())
    return cert, ca


@contextlib.contextmanager
def origin(core: int | None) -> Iterator[dict[str, Any]]:
    """Run the origin; yields what a Call needs to find it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(HERE / "origin.py")]
        made = certificates(Path(folder))
        if made:
            command += ["--cert", made[0]]
        if core is not None:
            command += ["--core", str(core)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            ports = json.loads(process.stdout.readline())
            yield {
                "plain_port": ports["plain"],
                "tls_port": ports.get("tls", 0),
                "control_port": ports["control"],
                "cafile": made[1] if made else "",
            }
        finally:
            process.stdin.close()  # it ends with its standard input
            process.stdout.close()
            process.wait()


# -- Measuring -----------------------------------------------------------------------


@contextlib.contextmanager
def awake(cores: list[int | None]) -> Iterator[None]:
    """Have these cores never halt meanwhile: awake.py says why."""
    spinners = [
        subprocess.Popen([sys.executable, "-S", str(HERE / "awake.py"), str(core)])
        for core in cores
        if core is not None
    ]
    try:
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()


def measure(
    what: Measurement, where: dict[str, Any], control: Control, cores: list[int | None], timeout: float
) -> dict[str, Any]:
    """One worker process; what it said, and what the origin spent meanwhile."""
    if what.tls and not where["tls_port"]:
        return {"unavailable": "no openssl command to make a certificate with"}
    call: dict[str, Any] = {"core": cores[1], "other_core": cores[0]}
    if what.scenario == "import":
        call["import"] = what.rival
    else:
        call |= {"rival": what.rival, "scenario": what.scenario, "family": what.family, "loop": what.loop}
        call |= {"tls": what.tls, **what.options, **where}
    before = control.stats()
    command = [sys.executable, str(HERE / "worker.py"), json.dumps(call)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        control.reset()
        return {"error": f"no answer in {timeout:.0f} s"}
    after = control.stats()
    if what.scenario == "idle" or done.returncode:
        control.reset()
    try:
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        return {"error": (done.stderr.strip().splitlines() or ["it said nothing"])[-1]}
    if "error" in result or "unavailable" in result:
        return result
    sent = after["tokens"] - before["tokens"]
    if sent:
        result["origin_cpu_us_per_token"] = (after["cpu"] - before["cpu"]) / sent * 1e6
    if what.scenario == "import":
        result["value"] = result["import_ms"]
    elif what.scenario == "idle":
        result["value"] = result["bytes_per_stream"] / 1024
    elif what.scenario == "requests":
        result["value"] = result["cpu_us_per_request"]
    elif what.scenario == "latency":
        result["value"] = result["latency_ms"]["p99"]
    else:
        result["value"] = result["cpu_us_per_token"]
    return result


def machine() -> dict[str, Any]:
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as info:
        model = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), model)
    return {
        "tokenwire": "compiled" if importlib.util.find_spec("tokenwire.families._alike") else "not compiled",
        "cpu": model,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


class Progress:
    """One line on standard error."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.start = total, 0, time.monotonic()
        self.shown = sys.stderr.isatty()

    def step(self, text: str) -> None:
        width = 30
        full = width * self.done // max(1, self.total)
        left = ""
        if self.done:
            seconds = (time.monotonic() - self.start) / self.done * (self.total - self.done)
            left = f" {int(seconds // 60)}:{int(seconds % 60):02} left"
        bar = "#" * full + "." * (width - full)
        line = f"[{bar}] {self.done}/{self.total}{left}  {text}"
        if self.shown:
            columns = shutil.get_terminal_size().columns
            print(f"\r\x1b[K{line[: columns - 1]}", end="", file=sys.stderr, flush=True)
        elif self.done == self.total or self.done * 10 // self.total != (self.done - 1) * 10 // self.total:
            print(line, file=sys.stderr, flush=True)
        self.done += 1

    def end(self) -> None:
        self.done = self.total
        self.step("done")
        if self.shown:
            print(file=sys.stderr)


# -- Reporting -------------------------------------------------------------------------


def reference(rows: list[tuple[str, list[float]]]) -> float | None:
    """What ratios are taken against: the official SDK, where the group has it, sse-starlette, else the floor."""
    names = ("openai_create", "openai_stream", "openai", "sse_starlette", "floor_epoll")
    for wanted in (f"/plain/{name}" for name in names):
        for name, values in rows:
            if name.endswith(wanted):
                return median(values)
    return None


def result_table(lines: list[dict[str, Any]]) -> str:
    groups: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for line in lines:
        if "value" in line:
            groups.setdefault(f"{line['scenario']}/{line['family']}", {}).setdefault(line["id"], []).append(line)
    out: list[str] = []
    for group, found in groups.items():
        rows = [(name, [line["value"] for line in of]) for name, of in found.items()]
        against = reference(rows)
        unit = next(iter(found.values()))[0]["unit"]
        out.append(f"\n{group}: {unit}")
        out.append(f"  {'':46} {'median':>9} {'min':>9} {'max':>9} {'cheaper':>8} {'busy':>5} {'origin':>7}")
        for name, values in sorted(rows, key=lambda row: median(row[1])):
            of = found[name]
            ratio = f"{against / median(values):.2f}x" if against and median(values) else ""
            busy = f"{median(line['busy'] for line in of):.0%}" if "busy" in of[0] else ""
            spent = [line["origin_cpu_us_per_token"] for line in of if "origin_cpu_us_per_token" in line]
            spent_text = f"{median(spent):.2f}" if spent and unit == "us/token" else ""
            label = name.removeprefix(group + "/")
            out.append(
                f"  {label:46} {median(values):9.2f} {min(values):9.2f} {max(values):9.2f}"
                f" {ratio:>8} {busy:>5} {spent_text:>7}"
            )
    return "\n".join(out)


def latencies(lines: list[dict[str, Any]]) -> str:
    """The histograms of the latency scenario: milliseconds from the origin's send to the delivery, all rounds."""
    out: list[str] = []
    for name in dict.fromkeys(line["id"] for line in lines if "latency_ms" in line):
        of = [line for line in lines if line["id"] == name and "latency_ms" in line]
        for what, title in (("first_ms", "first token"), ("latency_ms", "all others")):
            said = ", ".join(f"{key} {median(line[what][key] for line in of):.1f}" for key in of[0][what])
            out.append(f"{name}, {title}: {said} ms")
        bins: dict[int, int] = {}
        for line in of:
            for low, count in line["bins"]:
                bins[low] = bins.get(low, 0) + count
        total = sum(bins.values())
        for low in range(0, 120, 4):
            share = (bins.get(low, 0) + bins.get(low + 2, 0)) / total
            out.append(f"  {low:3}-{low + 4:<3} ms {share:6.1%} {'#' * round(share * 100)}")
        beyond = sum(count for low, count in bins.items() if low >= 120) / total
        out.append(f"  more       {beyond:6.1%}")
    return "\n".join(out)


def values_of(lines: list[dict[str, Any]]) -> dict[str, list[float]]:
    values: dict[str, list[float]] = {}
    for line in lines:
        if "value" in line:
            values.setdefault(line["id"], []).append(line["value"])
    return values


def matches(name: str, pattern: str) -> bool:
    """A pattern is an id, or its beginning up to a slash, or words that all stand somewhere in it."""
    if "/" in pattern:
        return f"{name}/".startswith(pattern.rstrip("/") + "/")
    return all(word in name for word in pattern.split())


def chosen(options: argparse.Namespace) -> list[Measurement]:
    every = list(catalogue())
    if options.quick:
        every = [quicker(m) for m in every if m.id in QUICK or options.only]
    if options.only:
        every = [m for m in every if any(matches(m.id, pattern) for pattern in options.only)]
    if options.tokens:
        every = [replace(m, options={**m.options, "tokens": options.tokens}) for m in every]
    if options.streams:
        every = [replace(m, options={**m.options, "streams": options.streams}) for m in every]
    return every


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="WORDS", help="words that the id must have; repeatable")
    parser.add_argument("--quick", action="store_true", help="a small selection, one round, under a minute")
    parser.add_argument("--rounds", type=int, help="rounds, interleaved (3; with --quick 1)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="one line of JSON per measurement")
    parser.add_argument("--plot", metavar="FILE.png", type=Path, help="a bar chart (needs matplotlib)")
    parser.add_argument("--bars", action="store_true", help="print each bar, what was measured, whether it holds")
    parser.add_argument("--from", dest="source", metavar="FILE", type=Path, help="take an earlier --json file")
    parser.add_argument("--list", action="store_true", help="print the ids and stop")
    parser.add_argument("--streams", type=int, help="streams at once, for every scenario that has streams")
    parser.add_argument("--tokens", type=int, help="tokens a stream, for every scenario that has tokens")
    parser.add_argument("--timeout", type=float, default=180, help="seconds for one measurement (180)")
    parser.add_argument("--no-pin", action="store_true", help="do not pin client and origin to cores")
    parser.add_argument(
        "--let-sleep", action="store_true", help="let idle cores halt in the paced scenarios (awake.py says what for)"
    )
    return parser.parse_args()


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an import is measured as of a package that was installed
    selected = chosen(options)
    rounds = options.rounds or (1 if options.quick else 3)
    cores: list[int | None] = sorted(os.sched_getaffinity(0)) if not options.no_pin else []  # type: ignore[assignment]
    if len(cores) < 2:
        if not options.no_pin:
            print("one core only: client and origin share it, and nothing is pinned", file=sys.stderr)
        cores = [None, None]
    may_halt = options.let_sleep or cores[0] is None or not hasattr(os, "SCHED_IDLE")
    lines: list[dict[str, Any]] = []
    skipped: dict[str, str] = {}
    progress = Progress(len(selected) * rounds)
    with contextlib.ExitStack() as stack:
        sink = stack.enter_context(options.json.open("w")) if options.json else None
        where = stack.enter_context(origin(cores[0]))
        control = stack.enter_context(contextlib.closing(Control(where["control_port"])))
        stated = {**machine(), "paced": "idle cores may halt" if may_halt else "cores kept awake"}
        for number in range(rounds):
            for what in selected:
                progress.step(what.id)
                if what.id in skipped:
                    continue
                paced = "interval_us" in what.options
                with awake(cores if paced and not may_halt else []):
                    result = measure(what, where, control, cores, options.timeout)
                line = {
                    "id": what.id,
                    "scenario": what.scenario,
                    "family": what.family,
                    "loop": what.loop,
                    "tls": what.tls,
                    "rival": what.rival,
                    "round": number,
                    "unit": what.unit,
                    **what.options,
                    **result,
                    "machine": stated,
                }
                if "unavailable" in result:
                    skipped[what.id] = result["unavailable"]
                elif "error" in result:
                    skipped[what.id] = "FAILED: " + result["error"]
                lines.append(line)
                if sink:
                    print(json.dumps(line), file=sink, flush=True)
        progress.end()
    if skipped:
        print("\nskipped:")
        for name, why in skipped.items():
            print(f"  {name}: {why}")
    return lines


def earlier(source: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in source.read_text().splitlines()]


def main() -> int:
    options = arguments()
    if options.list:
        for what in chosen(options):
            print(what.id)
        return 0
    lines = earlier(options.source) if options.source else run(options)
    if not lines:
        print("nothing was chosen; --list shows the ids", file=sys.stderr)
        return 2
    stated = lines[0]["machine"]
    used: dict[str, str] = {}
    for line in lines:
        used.update(line.get("versions", {}))
    print(f"\n{stated['python']}, {stated['system']}, {stated['cores']} cores, {stated['cpu']}")
    if "tokenwire" in stated:
        print(f"tokenwire: {stated['tokenwire']} (CONTRIBUTING.md, \"The compiled part\")")
    if "paced" in stated:
        print(f"paced scenarios: {stated['paced']}")
    print(", ".join(f"{name} {version}" for name, version in sorted(used.items())))
    print(result_table(lines))
    late = latencies(lines)
    if late:
        print("\n" + late)
    if options.bars:
        print("\n" + bars_table(verdicts(values_of(lines))))
    if options.plot:
        from chart import draw

        draw(lines, options.plot)
        print(f"\n{options.plot}")
    return 1 if any("error" in line for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())

"""Instructions per token of each part: a regression shows even on a noisy machine.

    python benchmarks/micro/run.py                       a table
    python benchmarks/micro/run.py --only decode         parts whose name has this in it
    python benchmarks/micro/run.py --json now.json       keep it
    python benchmarks/micro/run.py --against then.json   and compare: exit status 1 where a part grew by over 3 %

Each part runs twice in a process of its own, with few tokens and with more; the difference is
the tokens' own, without the start of the interpreter. Counted are user-space instructions, by
`perf stat -e instructions:u` where the machine has such counters, else by `valgrind
--tool=callgrind` (slower by 50, as exact). Without either, CPU time is taken instead, and said so.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

PARTS = Path(__file__).resolve().parent / "parts.py"
NAMES = (
    "framing, one",
    "framing, bulk",
    "sse, one",
    "decode",
    "accumulate",
    "helper events",
    "pipeline, one",
    "pipeline, bulk",
    "unknown field, bulk",
    "request",
)
FEW, MORE = 500, 2500
GROWTH = 1.03  # two counts of the same code differ by less than 1 %
ENVIRONMENT = {**os.environ, "PYTHONHASHSEED": "0"}


class Failed(Exception):
    """A part did not run; the text is what it said."""


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False)
    if done.returncode:
        raise Failed((done.stderr.strip().splitlines() or ["it said nothing"])[-1])
    return done.stderr


def by_perf(command: list[str]) -> float:
    said = _run(["perf", "stat", "-x", ",", "-e", "instructions:u", *command])
    return float(next(line for line in said.splitlines() if "instructions" in line).split(",")[0])


def by_valgrind(command: list[str]) -> float:
    said = _run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *command])
    found = re.search(r"Collected : (\d+)", said)
    if found is None:
        raise Failed("valgrind gave no count")
    return float(found[1])


def by_time(command: list[str]) -> float:
    """Nanoseconds of CPU: the least of five."""
    least = float("inf")
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        _run(command)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        least = min(least, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return least * 1e9


def perf_counts() -> bool:
    """Whether perf is here and the machine lets it count; virtual machines mostly do not."""
    if shutil.which("perf") is None:
        return False
    try:
        return by_perf(["true"]) > 0
    except (Failed, ValueError, StopIteration):
        return False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="WORD", default="")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--against", type=Path, metavar="FILE")
    options = parser.parse_args()
    if perf_counts():
        count, unit = by_perf, "instructions"
    elif shutil.which("valgrind"):
        count, unit = by_valgrind, "instructions"
    else:
        count, unit = by_time, "ns of CPU"
        print("neither perf counters nor valgrind here: CPU time instead, which is noisy", file=sys.stderr)
    before = json.loads(options.against.read_text()) if options.against else {}
    if before and before.get("unit") != unit:
        print(f"{options.against} counts {before.get('unit')}, this machine {unit}: not compared", file=sys.stderr)
        before = {}
    found: dict[str, float] = {}
    worse = failed = 0
    print(f"{unit} per token, CPython {sys.version.split()[0]}, by {count.__name__.removeprefix('by_')}")
    for name in NAMES:
        for family in ("chat", "responses"):
            key = f"{name} ({family})"
            if options.only not in key:
                continue
            command = [sys.executable, str(PARTS), name, family]
            try:
                cost = (count([*command, str(MORE)]) - count([*command, str(FEW)])) / (MORE - FEW)
            except Failed as why:
                print(f"{key:28}  {why}")
                failed += 1
                continue
            found[key] = round(cost)
            line = f"{key:28} {cost:10,.0f}"
            if key in before.get("parts", {}):
                ratio = cost / before["parts"][key]
                worse += ratio > GROWTH
                line += f"  {ratio - 1:+.1%}{'  WORSE' if ratio > GROWTH else ''}"
            print(line, flush=True)
    if options.json:
        options.json.write_text(json.dumps({"unit": unit, "python": sys.version.split()[0], "parts": found}, indent=1))
    return 1 if worse or failed else 0


if __name__ == "__main__":
    sys.exit(main())

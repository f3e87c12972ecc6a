"""Fuzzing by coverage, with atheris (libFuzzer), which is run by hand and no test dependency:

    pip install atheris -e '.[test]'            # atheris has wheels for CPython 3.11 to 3.13 on Linux
    mkdir found
    python tests/fuzz/run.py sse found -runs=1000000 -max_len=512 -rss_limit_mb=512

The first argument is one of the targets (targets.py), the others are libFuzzer's: options, and directories
of inputs to go on from; what leads to new places is written to the first of them. It begins from the
recordings and the facts, and goes on until it has done its runs or an input raises: that is then written to
./crash-*, and played again with that file in place of the directories.

Watching the coverage takes most of the time. Where it grows no more, `--blind` goes on without: mutations of
what is in those directories, several times as many a second.

Under test, test_targets.py holds the same targets to the same invariant with fewer inputs.
"""

from __future__ import annotations

import contextlib
import random
import sys
import tempfile
from pathlib import Path

import atheris

BLIND = "--blind" in sys.argv
if BLIND:
    sys.argv.remove("--blind")
sys.path.insert(0, str(Path(__file__).parent.parent))
with contextlib.nullcontext() if BLIND else atheris.instrument_imports(include=["tokenwire"]):
    from fuzz.targets import MUTATORS, TARGETS, seeds


@atheris.instrument_func
def watched(data: bytes) -> bool:
    """libFuzzer wants something to watch."""
    return bool(data)


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: run.py [--blind] {'|'.join(TARGETS)} [libFuzzer's options] [inputs]")
    target = sys.argv.pop(1)
    run = TARGETS[target]
    given = [Path(one) for one in sys.argv[1:] if Path(one).exists()]
    size = next((int(one[9:]) for one in sys.argv if one.startswith("-max_len=")), 4_096)
    inputs = [bytes([number % 256]) + seed for number, seed in enumerate(seeds(target, size - 1))]
    if BLIND:
        inputs += [path.read_bytes()[:size] for folder in given for path in folder.iterdir()]
        sys.argv = [one for one in sys.argv if Path(one) not in given]

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if BLIND:
            data = rng.choice(inputs)
        made = MUTATORS[target](data, max_size, rng) if target in MUTATORS and rng.random() < 0.6 else None
        return atheris.Mutate(data, max_size) if made is None else made

    def watched_run(data: bytes) -> None:
        watched(data)
        run(data)

    with tempfile.TemporaryDirectory() as corpus:
        if not any(path.is_file() for path in given):
            for number, one in enumerate(inputs):
                (Path(corpus) / f"seed-{number}").write_bytes(one)
            sys.argv.append(corpus)
        mutator = mutate if BLIND or target in MUTATORS else None
        atheris.Setup(sys.argv, watched_run if BLIND else run, custom_mutator=mutator)
        atheris.Fuzz()


if __name__ == "__main__":
    main()

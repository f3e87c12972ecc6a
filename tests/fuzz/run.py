"""Fuzzing by coverage, with atheris (libFuzzer), which is run by hand and no test dependency:

    pip install atheris -e '.[test]'            # atheris has wheels for CPython 3.11 to 3.13 on Linux
    python tests/fuzz/run.py sse -runs=1000000 -max_len=512 -rss_limit_mb=512

The first argument is one of the targets (targets.py), the others are libFuzzer's: options, and
directories of inputs to go on from. It begins from the recordings and the facts, and goes on until it
has done its runs or an input raises; that is then written to ./crash-*, and the same command with that
file in place of the runs plays it again. Under test, test_targets.py holds the same targets to the same
invariant with fewer inputs.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent.parent))
with atheris.instrument_imports(include=["tokenwire"]):
    from fuzz.targets import MUTATORS, TARGETS, seeds


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: run.py {'|'.join(TARGETS)} [libFuzzer's options] [inputs]")
    target = sys.argv.pop(1)

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        rng = random.Random(seed)
        made = MUTATORS[target](data, max_size, rng) if rng.random() < 0.6 else None
        return atheris.Mutate(data, max_size) if made is None else made

    with tempfile.TemporaryDirectory() as corpus:
        if not any(Path(one).is_file() for one in sys.argv[1:]):
            size = next((int(one[9:]) for one in sys.argv if one.startswith("-max_len=")), 4_096)
            for number, seed in enumerate(seeds(target, size - 1)):
                (Path(corpus) / f"seed-{number}").write_bytes(bytes([number % 256]) + seed)
            sys.argv.append(corpus)
        atheris.Setup(sys.argv, TARGETS[target], custom_mutator=mutate if target in MUTATORS else None)
        atheris.Fuzz()


if __name__ == "__main__":
    main()

"""What type checkers make of consumer.py, and of a copy of it that expects the wrong types."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import tokenwire

CONSUMER = Path(__file__).with_name("consumer.py")
LIB = Path(tokenwire.__file__).parents[1]

Checker = Callable[[Path], "subprocess.CompletedProcess[str]"]


def mypy(folder: Path) -> subprocess.CompletedProcess[str]:
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is not installed: pip install '.[dev]'")
    where = "" if LIB.name == "site-packages" else LIB  # which mypy looks into by itself, and must not be told
    (folder / "mypy.ini").write_text(f"[mypy]\nstrict = true\nmypy_path = {where}\ncache_dir = {folder / 'cache'}\n")
    command = [sys.executable, "-m", "mypy", "--config-file", str(folder / "mypy.ini"), "consumer.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def pyright(folder: Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which(os.environ.get("TOKENWIRE_PYRIGHT", "pyright"))
    if program is None:
        pytest.skip("pyright is not installed: npm install pyright, and TOKENWIRE_PYRIGHT=node_modules/.bin/pyright")
    settings = {"include": ["."], "extraPaths": [str(LIB)], "typeCheckingMode": "strict"}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [program, "-p", str(folder), "--pythonpath", sys.executable]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


checkers = pytest.mark.parametrize("checker", [mypy, pyright], ids=lambda checker: checker.__name__)


@checkers
def test_a_consumer_is_told_every_type(checker: Checker, tmp_path: Path) -> None:
    shutil.copy(CONSUMER, tmp_path)
    found = checker(tmp_path)
    assert found.returncode == 0, found.stdout + found.stderr


@checkers
def test_a_wrong_expectation_is_told(checker: Checker, tmp_path: Path) -> None:
    """Nothing here is Any, which would agree to everything."""
    lines = CONSUMER.read_text("utf-8").splitlines()
    wrong = [number for number, line in enumerate(lines, 1) if re.search(r"^ +assert_type\(.*, .*\)$", line)]
    assert len(wrong) > 60
    spoiled = [re.sub(r"^( +assert_type\(.*, ).*\)$", r"\1bytes)", line) for line in lines]
    spoiled += ["print(tokenwire.misspelt)", "print(tokenwire.types.misspelt)"]
    wrong += [len(lines) + 1, len(lines) + 2]
    (tmp_path / "consumer.py").write_text("\n".join(spoiled), "utf-8")
    found = checker(tmp_path)
    told = {int(number) for number in re.findall(r"consumer\.py:(\d+)", found.stdout)}
    assert set(wrong) - told == set(), found.stdout + found.stderr

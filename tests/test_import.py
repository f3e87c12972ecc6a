"""Importing tokenwire is cheap: what is dear is imported when it is first used."""

from __future__ import annotations

import json
import subprocess
import sys
from modulefinder import ModuleFinder
from pathlib import Path

import pytest

import tokenwire

ROOT = str(Path(tokenwire.__file__).parent.parent)

DEAR = {
    "asyncio", "trio", "anyio", "ssl", "socket", "h11", "msgspec", "truststore", "pydantic", "email", "http", "urllib"
}  # fmt: skip


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    # -S, so that no .pth file of this environment imports what it likes before we do.
    return subprocess.run(
        [sys.executable, "-W", "error", "-X", "importtime", "-S", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={"PYTHONPATH": f"{ROOT}:{Path(json.__file__).parent.parent}:{SITE}"},
    )


#: Where h11 and msgspec are, for the rooms that need them.
SITE = str(Path(__import__("h11").__file__).parent.parent)


def imported(code: str) -> set[str]:
    """Every package that is imported for this code, as `python -X importtime` tells it."""
    lines = run("-c", code).stderr.splitlines()
    names = {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}
    assert "tokenwire" in names
    return {name.split(".")[0] for name in names} | names


def test_import_tokenwire_imports_nothing_dear() -> None:
    names = imported("import tokenwire; tokenwire.__version__; dir(tokenwire)")
    assert names & DEAR == set()
    assert {name for name in names if name.startswith("tokenwire.")} == {"tokenwire._version"}


@pytest.mark.parametrize(
    ("code", "may"),
    [
        ("from tokenwire import RateLimitError, APIError", set()),
        ("import tokenwire.policy", set()),
        ("from tokenwire.wire import Decoder", {"h11"}),
        ("import tokenwire.families", set()),
        ("from tokenwire.backends import named", {"h11", "urllib"}),
        ("import tokenwire.client", {"h11", "urllib"}),
    ],
)
def test_a_room_brings_only_what_it_needs(code: str, may: set[str]) -> None:
    assert (imported(code + "; import tokenwire") & DEAR) - may == set()


@pytest.mark.parametrize("name", ["asyncio", "trio", "anyio", "ssl"])
def test_no_loop_and_no_tls_before_a_client_is_made(name: str) -> None:
    # Issue: "imports none of asyncio, trio, anyio, ssl before a client is made"
    assert name not in imported("import tokenwire, tokenwire.wire, tokenwire.errors, tokenwire.pipeline")


def test_what_freezes_a_program_sees_every_room(tmp_path: Path) -> None:
    """PyInstaller and its kind take what the import statements of a program name, wherever they stand."""
    program = tmp_path / "program.py"
    program.write_text("import tokenwire, tokenwire.cli\n")
    finder = ModuleFinder(path=[ROOT])
    finder.run_script(str(program))
    files = Path(ROOT).glob("tokenwire/**/*.py")
    rooms = {".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in files}
    assert rooms - set(finder.modules) == {"tokenwire.__main__"}


def test_the_front_page_holds_without_its_dependencies() -> None:
    """The names resolve one by one, so what a room lacks is told by that room."""
    code = (
        "import sys; sys.modules['h11'] = None; sys.modules['msgspec'] = None\n"
        "import tokenwire\n"
        "tokenwire.Timeouts(); tokenwire.APIError('x')\n"
        "try: tokenwire.wire\n"
        "except ImportError as error: print(error.name)\n"
    )
    assert run("-c", code).stdout.strip() == "h11"

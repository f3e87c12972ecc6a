"""The benchmark's harness works, and what it measures is whole: exact tokens, no timing."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tokenwire

ROOT = Path(__file__).resolve().parents[2]
STREAMS, TOKENS = 3, 20


def run(tmp_path: Path, *names: str) -> list[dict[str, Any]]:
    out = tmp_path / "out.jsonl"
    command = [sys.executable, str(ROOT / "benchmarks" / "run.py"), "--json", str(out), "--rounds", "1", "--no-pin"]
    command += ["--streams", str(STREAMS), "--tokens", str(TOKENS), "--timeout", "60"]
    command += [part for name in names for part in ("--only", name)]
    # The tokenwire that all other tests are of; installed, it is compiled already.
    path = os.pathsep.join([str(Path(tokenwire.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in out.read_text().splitlines()]


def delivered(line: dict[str, Any]) -> tuple[int, int]:
    # The worker itself refuses a run whose deltas do not add up to what the origin sent.
    assert "error" not in line
    return line["tokens"], line["streams"]


@pytest.mark.parametrize("scenario", ["firehose", "paced"])
def test_origin_and_floor(tmp_path: Path, scenario: str) -> None:
    (line,) = run(tmp_path, f"{scenario}/chat/none/plain/floor_epoll")
    assert delivered(line) == (STREAMS * TOKENS, STREAMS)


@pytest.mark.skipif(importlib.util.find_spec("pydantic") is None, reason="the openai package brings pydantic")
@pytest.mark.parametrize(
    ("family", "rest"),
    [
        ("chat", "asyncio/plain/tokenwire_create"),
        ("responses", "trio/plain/tokenwire_create"),
        ("chat", "none/plain/tokenwire_sync"),
    ],
)
def test_ours_delivers_every_token(tmp_path: Path, family: str, rest: str) -> None:
    (line,) = run(tmp_path, f"firehose/{family}/{rest}")
    if "unavailable" in line:
        pytest.skip(line["unavailable"])
    assert delivered(line) == (STREAMS * TOKENS, STREAMS)


@pytest.mark.skipif(importlib.util.find_spec("sse_starlette") is None, reason="sse-starlette is not installed")
def test_servers_serve_every_token(tmp_path: Path) -> None:
    names = [
        "serve/chat/asyncio/plain/tokenwire_serve",
        "serve/responses/asyncio/plain/tokenwire_asgi",
        "serve-paced/responses/trio/plain/tokenwire_serve",
        "serve/responses/asyncio/plain/sse_starlette",
    ]
    lines = run(tmp_path, *names)
    assert {line["id"] for line in lines} == set(names)
    for line in lines:
        # Each delta was an event of its own, with the text that the handler said: else it is an error.
        assert delivered(line) == (STREAMS * TOKENS, STREAMS)
        # The clock of another process may stand still for as little as this costs.
        assert line["unit"] == "us/token"
        assert line["value"] >= 0


@pytest.mark.skipif(importlib.util.find_spec("pydantic") is None, reason="the openai package brings pydantic")
def test_idle_streams_of_both_families(tmp_path: Path) -> None:
    lines = run(tmp_path, *(f"idle/{family}/asyncio/plain/tokenwire_create" for family in ("chat", "responses")))
    assert len(lines) == 2
    for line in lines:
        assert "error" not in line
        assert line["streams"] == STREAMS
        assert line["origin_open"] == 2 * STREAMS  # with those that came first, to warm up

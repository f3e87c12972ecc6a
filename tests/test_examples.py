"""Every example runs, as a reader would run it, and does what its docstring says."""

from __future__ import annotations

import asyncio
import functools
import os
import re
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import tokenwire
from support.endpoint import reciting
from support.loops import Threaded
from support.served import PATIENCE, serving
from tokenwire import server
from tokenwire.cli import main
from tokenwire.server.recite import pick
from tokenwire.wire import Decoder

EXAMPLES = Path(__file__).parents[1] / "examples"
POEM = pick("Write a poem about the moon.").text
#: Nothing of this machine's own settings: no key, no URL.
BARE = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "MUME_", "COVERAGE_"))}

pytestmark = pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the examples are not beside these tests")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with reciting() as url:
        yield url


def ways(url: str) -> dict[str, str]:
    return BARE | {"OPENAI_API_KEY": "example-key", "OPENAI_BASE_URL": url}


def run(name: str, *arguments: str, env: dict[str, str]) -> str:
    command = [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_each_example_has_a_test_and_says_how_to_run_it() -> None:
    here = Path(__file__).read_text("utf-8")
    found = sorted(path.name for path in EXAMPLES.glob("*.py"))
    assert found
    for name in found:
        assert f'"{name}"' in here, f"{name} has no test"
        assert f"python examples/{name}" in (EXAMPLES / name).read_text("utf-8").split('"""')[1]


def test_deadline() -> None:
    went = threading.Event()

    async def slow(request: server.Request) -> AsyncIterator[str]:
        yield "The moon"
        if request.prompt == "go on":
            return
        try:
            await asyncio.Event().wait()
        finally:
            went.set()

    with serving(slow, backend="asyncio") as served:
        cut = Threaded(lambda: run("deadline.py", "4", "stop", env=ways(served.url)))  # the other does not wait
        assert run("deadline.py", "60", "go on", env=ways(served.url)) == "The moon\n[whole]\n"
        assert cut.result() == "The moon\n[cut by the deadline]\n"
        assert went.wait(PATIENCE), "the server was not told"


def test_fan_out() -> None:
    now = most = 0

    async def count(request: server.Request) -> AsyncIterator[str]:
        nonlocal now, most
        now += 1
        most = max(most, now)
        yield request.prompt.split()[-1].rstrip(".") * 3
        await asyncio.sleep(0)
        now -= 1

    with serving(count, backend="asyncio") as served:
        lines = run("fan_out.py", env=ways(served.url)).splitlines()
    assert lines == [
        f"Say something about the number {number}. {3 * len(str(number))} characters" for number in range(100)
    ]
    assert 1 < most <= 10


def test_own_socket(url: str) -> None:
    assert run("own_socket.py", "Write a poem about the moon.", env=ways(url)) == POEM


def test_tool_loop() -> None:
    said = run("tool_loop.py", "How warm is it in Oslo?", "And in Atlantis?", env=BARE)
    assert said.splitlines() == [
        "[locate('Oslo')]",
        "[temperature(59.9, 10.7)]",
        "It is 10.0 degrees in Oslo.",
        "[3 rounds]",
        "[locate('Atlantis')]",
        "I do not know Atlantis: KeyError('Atlantis').",
        "[2 rounds]",
    ]


def test_record_and_replay(url: str, tmp_path: Path) -> None:
    recording = tmp_path / "moon.sse"
    assert run("record_and_replay.py", str(recording), env=ways(url)) == ""
    command = [sys.executable, str(EXAMPLES / "record_and_replay.py"), str(recording)]
    failed = subprocess.run(command, check=False, capture_output=True, timeout=120, env=ways(url + "/nowhere"))
    assert b"NotFoundError" in failed.stderr
    events = Decoder().feed(recording.read_bytes())  # it is still there
    assert (events[0].event, events[-1].event) == ("response.created", "response.completed")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    command += ["-c", os.devnull, str(EXAMPLES / "record_and_replay.py")]
    env = BARE | {"RECORDING": str(recording), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_fastapi_relay(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    went = threading.Event()

    async def slow(request: server.Request) -> AsyncIterator[str]:
        if "error" in request.prompt:
            raise server.RequestError(400, "no poems about errors")
        yield "The "
        yield "moon"
        if "break" in request.prompt:
            raise RuntimeError("on purpose")
        if "moon" in request.prompt:
            return
        try:
            await asyncio.Event().wait()
        finally:
            went.set()

    with serving(slow, backend="asyncio") as served:
        command = [sys.executable, str(EXAMPLES / "fastapi_relay.py")]
        env = ways(served.url) | {"PORT": "0"}
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env) as process:
            assert process.stderr is not None
            try:
                told = ""
                while (found := re.search(r"http://127\.0\.0\.1:(\d+)", told)) is None:
                    line = process.stderr.readline()
                    assert line, told
                    told += line
                port = int(found[1])
                assert get(port, "moon").endswith(b"4\r\nThe \r\n4\r\nmoon\r\n0\r\n\r\n")  # as they came
                assert b"502 Bad Gateway" in get(port, "error")
                text = (EXAMPLES / "fastapi_relay.py").read_text("utf-8")
                typed = re.search(r"OPENAI_API_KEY=any tokenwire (chat .*)", text)
                assert typed is not None
                monkeypatch.setenv("OPENAI_API_KEY", "any")
                assert main(shlex.split(typed[1].replace(":8000", f":{port}"))) == 0
                assert capsys.readouterr() == ("The moon\n", "")
                with tokenwire.Client(api_key="k", base_url=f"http://127.0.0.1:{port}/v1", max_retries=0) as client:
                    relayed: Any = functools.partial(client.chat.completions.create, model="m", stream=True)
                    assert "".join(relayed(messages=[{"role": "user", "content": "moon"}]).text()) == "The moon"
                    with pytest.raises(tokenwire.BadRequestError, match="no poems about errors"):
                        relayed(messages=[{"role": "user", "content": "error"}])
                    with pytest.raises(tokenwire.APIError, match="had an error while processing"):
                        list(relayed(messages=[{"role": "user", "content": "break"}]))
                with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
                    sock.sendall(b"GET /poem?about=sun HTTP/1.1\r\nhost: test\r\n\r\n")
                    got = b""
                    while b"moon" not in got:
                        got += sock.recv(65_536)
                    assert not went.is_set()
                assert went.wait(PATIENCE), "upstream was not told that the reader had gone"
            finally:
                process.terminate()
                process.stderr.read()


def get(port: int, about: str) -> bytes:
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
        sock.sendall(f"GET /poem?about={about} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: sock.recv(65_536), b""))

"""tokenwire serve, as a process: what it is told, how it ends, and its workers."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

import tokenwire
from support.served import CHAT, PATIENCE, RawClient
from tokenwire.cli import main

BARE = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "MUME_", "COVERAGE_"))}

APP = """
import os

async def handler(request):
    if request.prompt == "pid":
        yield str(os.getpid())
    elif request.prompt == "hold":
        yield "first"
        while not os.path.exists("go"):
            await request.clock.sleep(0.001)
        yield " last"
"""


class Process:
    """`tokenwire serve`, and what it has said where it serves."""

    def __init__(self, process: subprocess.Popen[str], where: str) -> None:
        self.process = process
        self.where = where

    @property
    def url(self) -> str:
        return self.where.split()[0]

    def client(self, **options: Any) -> tokenwire.Client:
        return tokenwire.Client(api_key="k", base_url=self.url, max_retries=0, timeout=PATIENCE, **options)

    def ended(self) -> tuple[int, str]:
        """Its exit status, and what else it has said, but for the warning about answers under way.

        (A client has the end of its answer a moment before the server has counted it.)
        """
        status, lines = self.process.wait(PATIENCE), self.said()
        return status, "".join(line for line in lines if "answers under way: 1," not in line)

    def said(self) -> list[str]:
        assert self.process.stderr is not None
        return self.process.stderr.readlines()


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts one in a directory of its own, with the handler app:handler."""
    (tmp_path / "app.py").write_text(APP)
    with contextlib.ExitStack() as stack:

        def start(*options: str) -> Process:
            command = [sys.executable, "-W", "error", "-m", "tokenwire", "serve", "app:handler", *options]
            process = stack.enter_context(
                subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=BARE, cwd=tmp_path)
            )
            stack.callback(process.kill)
            assert process.stderr is not None
            line = process.stderr.readline()
            found = re.fullmatch(r"tokenwire: serving at (.+)\n", line)
            assert found, line + process.stderr.read()
            return Process(process, found[1])

        yield start


def hold(process: Process) -> tuple[tokenwire.Client, Any, Iterator[str]]:
    """A stream whose first token has come, and whose second one waits for the file "go"."""
    client = process.client()
    stream = client.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "hold"}], stream=True
    )
    text = stream.text()
    assert next(text) == "first"
    return client, stream, text


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_signal_lets_answers_end(started: Callable[..., Process], backend: str, tmp_path: Path) -> None:
    origin = "http://localhost:3000"
    process = started("--port", "0", "--backend", backend, "--access-log", "--cors", origin, "--model", "mine")
    host, port = re.fullmatch(r"http://(.*):(\d+)/v1", process.url).groups()  # type: ignore[union-attr]
    with RawClient((host, int(port))) as idle:
        idle.ask("POST", "/v1/chat/completions?key=secret", CHAT, origin=origin)
        head, body = idle.answer()
        assert dict(head.headers)[b"access-control-allow-origin"] == origin.encode()
        assert b'"model":"mine"' in body
        client, stream, text = hold(process)
        process.process.send_signal(signal.SIGTERM)
        assert idle.closed()
    (tmp_path / "go").touch()
    assert list(text) == [" last"]
    stream.close()
    client.close()
    assert process.process.wait(PATIENCE) == 0
    first, warning, second = process.said()
    line = r"[-\d]+ [:,\d]+ POST /v1/chat/completions 200 tokens=%d bytes=\d+ seconds=\d+\.\d+\n"
    assert re.fullmatch(line % 0, first)
    assert warning.startswith("tokenwire: shutting down; answers under way: 1, for up to 20 seconds")
    assert re.fullmatch(line % 2, second)


@pytest.mark.parametrize("options", [["--backend=asyncio"], ["--backend=trio"], ["--backend=trio", "--workers=2"]])
def test_answers_end_where_nobody_reads_what_it_says(
    started: Callable[..., Process], options: list[str], tmp_path: Path
) -> None:
    """Ctrl-C is for `| tee log`, too: that is gone before the server can say that it shuts down."""
    process = started("--port", "0", "--access-log", *options)
    host, port = re.fullmatch(r"http://(.*):(\d+)/v1", process.url).groups()  # type: ignore[union-attr]
    with RawClient((host, int(port))) as idle:
        idle.ask("POST", "/v1/chat/completions", CHAT)
        idle.answer()
        client, stream, text = hold(process)
        assert process.process.stderr is not None
        process.process.stderr.close()
        process.process.send_signal(signal.SIGINT)
        assert idle.closed()
    (tmp_path / "go").touch()
    assert list(text) == [" last"]
    stream.close()
    client.close()
    assert process.process.wait(PATIENCE) == 130


@pytest.mark.parametrize(
    ("options", "signals", "status"),
    [
        (["--grace", "0"], [signal.SIGTERM], 0),
        (["--backend", "trio", "--grace", "3600"], [signal.SIGINT, signal.SIGTERM], 130),
    ],
)
def test_answers_are_cut(
    started: Callable[..., Process], options: list[str], signals: list[signal.Signals], status: int
) -> None:
    """At the end of --grace, or by a second signal; the first says why it ended."""
    process = started("--port", "0", *options)
    client, stream, text = hold(process)
    process.process.send_signal(signals[0])
    assert process.process.stderr is not None
    assert "shutting down" in process.process.stderr.readline()
    for number in signals[1:]:
        process.process.send_signal(number)
    with pytest.raises(tokenwire.APIConnectionError):
        list(text)
    stream.close()
    client.close()
    code, said = process.ended()
    assert (code, said) == (status, "shutdown: 1 connections are cut\n")


def test_tls_and_a_unix_socket(started: Callable[..., Process], tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "chain.pem"))
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    import ssl

    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    process = started("--uds", "s", "--certfile", "chain.pem", "--keyfile", "key.pem")
    assert process.where == "s"
    with tokenwire.Client(
        api_key="k", base_url="https://localhost/v1", uds=str(tmp_path / "s"), ssl_context=trusting, max_retries=0
    ) as client:
        assert client.responses.create(model="m", input="pid").output_text == str(process.process.pid)
        process.process.send_signal(signal.SIGTERM)
        assert process.ended() == (0, "")
    assert not (tmp_path / "s").exists()


def answering(process: Process, count: int) -> set[int]:
    """The ids of this many processes that answer there, asked over connections of their own."""
    found: set[int] = set()
    for _ in range(1000):
        with process.client() as client:
            found.add(int(client.responses.create(model="m", input="pid").output_text))
        if len(found) == count:
            break
    return found


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return error.errno == errno.ESRCH
    return False


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_workers(started: Callable[..., Process], backend: str, tmp_path: Path) -> None:
    process = started("--port", "0", "--workers", "2", "--backend", backend)
    assert process.where.endswith(" (2 workers)")
    pids = answering(process, 2)
    assert len(pids) == 2
    assert process.process.pid not in pids
    client, stream, text = hold(process)
    with pytest.raises(tokenwire.BadRequestError, match="in the background"):
        client.responses.create(model="m", input="x", background=True)
    process.process.send_signal(signal.SIGINT)
    assert process.process.stderr is not None
    assert "shutting down" in process.process.stderr.readline()
    (tmp_path / "go").touch()
    assert list(text) == [" last"]
    stream.close()
    client.close()
    assert process.ended() == (130, "")
    assert all(gone(pid) for pid in pids)


def test_a_worker_that_dies_is_reported(started: Callable[..., Process]) -> None:
    process = started("--port", "0", "--workers", "2")
    one, other = answering(process, 2)
    os.kill(one, signal.SIGKILL)
    assert process.process.stderr is not None
    assert process.process.stderr.readline() == f"tokenwire: worker {one} has ended by signal 9; left: 1\n"
    assert answering(process, 1) == {other}
    process.process.send_signal(signal.SIGTERM)
    assert process.ended() == (1, "")


EARLY = """
import os, signal
from tokenwire.workers import workers

def early(*_):  # it comes before the worker has set anything of its own
    os.kill(os.getpid(), signal.SIGTERM)

os.setpgid = early
workers(2, lambda listening: 0, lambda count: None)
"""


def test_a_signal_that_comes_as_a_worker_begins_is_its_own(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EARLY], capture_output=True, text=True, timeout=PATIENCE, check=True, cwd=tmp_path
    )
    assert re.findall(r"has ended (.*);", done.stderr) == ["by signal 15", "by signal 15"]


LATE = """
import os, signal
from tokenwire.workers import workers

wait = os.waitpid

def late(*arguments):
    ended = wait(*arguments)
    os.kill(os.getpid(), signal.SIGTERM)  # to be passed on to all workers
    return ended

os.waitpid = late
print(workers(1, lambda listening: 0, lambda count: None))
"""


def test_a_signal_that_comes_as_a_worker_ends(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LATE], capture_output=True, text=True, timeout=PATIENCE, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


FAILING = """
import os, signal
from tokenwire.workers import workers

def work(listening):
    # Not by sigwait: until it waits, the worker's other thread would get the signal, and die of it.
    came, comes = os.pipe()
    signal.signal(signal.SIGTERM, lambda number, frame: os.write(comes, b"."))
    os.kill(os.getppid(), signal.SIGTERM)  # which is passed on
    os.read(came, 1)
    return 3

print(workers(1, work, lambda count: None))
"""


def test_a_worker_that_fails_at_the_shutdown_is_reported_too(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAILING], capture_output=True, text=True, timeout=PATIENCE, check=True, cwd=tmp_path
    )
    assert done.stdout == "1\n"
    assert re.findall(r"has ended (.*)\n", done.stderr) == ["with status 3; left: 0"]


def test_workers_end_with_their_parent(started: Callable[..., Process]) -> None:
    process = started("--port", "0", "--workers", "2")
    pids = answering(process, 2)
    process.process.kill()
    # Its standard error is theirs too: it ends when they have.
    assert process.ended() == (-signal.SIGKILL, "")
    assert len(pids) == 2


def test_a_port_that_is_taken(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for options in ([], ["--backend", "trio"], ["--workers", "2"]):
            assert main(["serve", "--port", port, *options]) == 1
            assert f"cannot listen on 127.0.0.1:{port}: " in capfd.readouterr().err


def test_a_path_that_cannot_be(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = str(tmp_path / "no" / "s")
    assert main(["serve", "--uds", path]) == 1
    assert f"cannot listen on {path}: No such file or directory" in capfd.readouterr().err


def test_a_working_directory_that_has_gone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(SystemExit) as ended:
        main(["serve", "nowhere:handler"])
    assert ended.value.code == 2
    assert "No module named 'nowhere'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], "module:name"),
        (["json:nothing"], "no handler 'json:nothing'"),
        (["nowhere:handler"], "No module named 'nowhere'"),
        ([".json:dumps"], "a handler is named module:name, not '.json:dumps'"),
        ([".:dumps"], "a handler is named module:name, not '.:dumps'"),
        (["json:__name__"], "it is no function, but of type str"),
        (["json:dumps", "--tokens-per-second", "3"], "does not go with a handler"),
        (["--tokens-per-second", "0"], "must be positive"),
        (["--host", "a" * 64], f"'{'a' * 64}' is neither an address nor a host's name"),
        (["--host", "a..b"], "'a..b' is neither an address nor a host's name"),
        (["--port", "65536"], "'65536' is no number from 0 to 65535"),
        (["--port", "http"], "'http' is no number"),
        (["--workers", "0"], "'0' is no number from 1"),
        (["--grace", "-1"], "'-1' is no number of seconds"),
        (["--grace", "nan"], "'nan' is no number of seconds"),
        (["--max-choices", "x"], "'x' is no number from 1"),
        (["--uds", "s", "--port", "1"], "does not go with --port"),
        (["--uds", "s", "--host", "::"], "does not go with --host"),
        (["--uds", "s", "--workers", "2"], "does not go with --uds"),
        (["--keyfile", "key.pem"], "--certfile is needed"),
        (["--certfile", "/nowhere.pem"], "no certificate with its key in /nowhere.pem: No such file"),
        (["--certfile", __file__], "no certificate with its key in"),
        (["--cors", "localhost:3000"], "--cors: not an origin: 'localhost:3000'"),
        (["--backend", "anyio"], "invalid choice"),
        (["--on-disconnect", "wait"], "invalid choice"),
    ],
)
def test_usage(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["serve", *arguments])
    assert ended.value.code == 2
    assert words in capsys.readouterr().err.replace("\n", " ")

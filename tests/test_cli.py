"""The command line, as a process: what it prints, and how it ends."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest

from support.endpoint import reciting
from support.loops import Threaded
from support.served import serving
from tokenwire import server
from tokenwire.cli import main

# Each backend, and each family, without every pair of them: a process costs.
ASKING = [("chat", "sync"), ("respond", "asyncio"), ("chat", "trio"), ("respond", "anyio")]
COMMAND = [sys.executable, "-W", "error", "-m", "tokenwire"]
# Nothing of this machine's own settings: no key, no URL.
BARE = {
    name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "MUME_", "COVERAGE_"))
} | {"PYTHONUNBUFFERED": "1"}

#: A letter, a character that is two cells wide, two ways to begin a terminal's commands, and what stays as it is.
ODD = "h\xe9\t\u6708 \x1b]0;pwned\x07 \x9b31m\r\n"


def tokenwire(*arguments: str, typed: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        env=BARE | environment,
        **({"stdin": subprocess.DEVNULL} if typed is None else {"input": typed}),
    )


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with reciting() as url:
        yield url


@pytest.fixture(scope="module")
def slow() -> Iterator[str]:
    """An endpoint that takes its time: a command can be met in the midst of an answer."""
    with reciting("--tokens-per-second", "50") as url:
        yield url


@pytest.fixture(scope="module")
def poem(url: str) -> str:
    """What is recited for "the moon", by the official client."""
    import openai

    with openai.OpenAI(api_key="k", base_url=url) as client:
        answer = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "the moon"}])
    text = answer.choices[0].message.content
    assert text
    assert "moon" in text.lower()
    return text


@pytest.mark.parametrize(("command", "backend"), ASKING)
def test_a_pipe_gets_plain_text(command: str, backend: str, url: str, poem: str) -> None:
    done = tokenwire(
        command, "the moon", "--base-url", url, "--api-key", "k", "--model", "m", "--backend", backend
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, poem, "")


@pytest.mark.parametrize(("command", "backend"), [("chat", "sync"), ("respond", "trio")])
def test_with_no_endpoint_configured_it_recites_and_says_so(command: str, backend: str, poem: str) -> None:
    done = tokenwire(command, "the moon", "--backend", backend)
    assert (done.returncode, done.stdout) == (0, poem)
    assert "no endpoint is configured" in done.stderr
    assert "http://127.0.0.1:" in done.stderr


@pytest.mark.parametrize(("command", "backend"), ASKING)
def test_whole_answers(command: str, backend: str, url: str, poem: str) -> None:
    done = tokenwire(
        *(command, "the moon", "--no-stream", "--backend", backend, "--model", "m"),
        OPENAI_API_KEY="k",
        OPENAI_BASE_URL=url,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, poem, "")


@pytest.mark.parametrize("backend", ["sync", "asyncio"])
def test_raw_chat(backend: str, url: str, poem: str) -> None:
    done = tokenwire("chat", "the moon", "--raw", "--base-url", url, "--model", "m", "--backend", backend)
    assert done.returncode == 0, done.stderr
    events = done.stdout.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks) == poem


def test_raw_responses(url: str) -> None:
    done = tokenwire("respond", "the moon", "--raw", "--base-url", url, "--model", "m")
    assert done.returncode == 0, done.stderr
    names = [line.removeprefix("event: ") for line in done.stdout.splitlines() if line.startswith("event: ")]
    assert (names[0], names[-1]) == ("response.created", "response.completed")


def test_a_prompt_from_a_pipe(url: str, poem: str) -> None:
    done = tokenwire("chat", "--base-url", url, "--model", "m", typed="the moon\n")
    assert (done.returncode, done.stdout) == (0, poem)


def test_lines_typed_at_a_prompt(url: str, poem: str) -> None:
    """A terminal: each line is asked with all that was said before; the end of input ends it."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "chat", "--base-url", url, "--model", "m"],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=BARE,
    ) as process:
        os.close(theirs)
        os.write(ours, b"the moon\n\n\x04")
        said, prompts = process.communicate(timeout=120)
        os.close(ours)
    assert process.returncode == 0
    assert said == poem
    assert prompts == "> > > \n"


@pytest.mark.parametrize(("command", "backend"), ASKING)
def test_ctrl_c_ends_cleanly(command: str, backend: str, slow: str) -> None:
    process = subprocess.Popen(
        [*COMMAND, command, "the moon", "--base-url", slow, "--model", "m", "--backend", backend],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=BARE,
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(1)  # a first token has come
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=120) == 130
        assert process.stderr.read() == b""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_serve_ends_cleanly_on_ctrl_c(backend: str) -> None:
    process = subprocess.Popen(
        [*COMMAND, "serve", "--port", "0", "--backend", backend], stderr=subprocess.PIPE, text=True, env=BARE
    )
    with process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("tokenwire: serving at http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=120) == 130
        assert process.stderr.read() == ""


def test_a_reader_that_goes_away(slow: str) -> None:
    process = subprocess.Popen(
        [*COMMAND, "chat", "the moon", "--base-url", slow, "--model", "m"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=BARE,
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(1)
        process.stdout.close()
        assert process.wait(timeout=120) == 141
        assert process.stderr.read() == b""


def test_the_servers_words_for_an_error(url: str) -> None:
    done = tokenwire("chat", "the moon", "--base-url", url + "/nowhere", "--model", "m")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Error code: 404" in done.stderr
    assert "Traceback" not in done.stderr


def test_nobody_listens() -> None:
    with socket.socket() as taken:  # bound, and not listening: connecting is refused
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        asking = ["chat", "x", "--base-url", url, "--model", "m", "--backend"]
        # At the same time: each waits before it tries again.
        both = [Threaded(partial(tokenwire, *asking, backend)) for backend in ("sync", "asyncio")]
        for done in [one.result() for one in both]:
            assert done.returncode == 1
            assert "Cannot connect to 127.0.0.1:" in done.stderr
            assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["chat", "x", "--base-url", "http://127.0.0.1:1/v1"], "--model is needed"),
        (["chat", "x", "--base-url", "example.com/v1", "--model", "m"], "base_url must be an http or https URL"),
        (["chat", "x", "--raw", "--no-stream"], "does not go with --no-stream"),
        (["sing"], "invalid choice"),
    ],
)
def test_usage(
    arguments: list[str], word: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])  # a handler is looked for in the working directory
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert word in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "word"),
    [(b"", "there is no prompt"), (b" \n", "no prompt"), (None, "no prompt"), (b"h\xe9", "is not text in utf-8")],
)
def test_a_pipe_without_a_prompt(
    typed: bytes | None, word: str, url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin = None if typed is None else io.TextIOWrapper(io.BytesIO(typed), "utf-8")
    monkeypatch.setattr(sys, "stdin", stdin)  # None is one that was closed
    with pytest.raises(SystemExit) as ended:
        main(["chat", "--base-url", url, "--model", "m"])
    assert ended.value.code == 2
    assert word in capsys.readouterr().err


def test_an_endpoint_of_the_environment_that_wants_no_key(
    url: str, poem: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MUME_API_KEY", "MUME_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    assert main(["chat", "the moon", "--model", "m"]) == 0
    assert capsys.readouterr() == (poem, "")


class Written(io.TextIOWrapper):
    """A standard output in memory. terminal: whether it says that it is one."""

    def __init__(self, encoding: str, terminal: bool) -> None:
        self.held = io.BytesIO()
        self.terminal = terminal
        super().__init__(self.held, encoding)

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize(
    ("encoding", "terminal", "written"),
    [
        ("utf-8", False, ODD),
        ("ascii", False, ODD.replace("\xe9", "\\xe9").replace("\u6708", "\\u6708").replace("\x9b", "\\x9b")),
        ("utf-8", True, ODD.replace("\x1b", "\\x1b").replace("\x07", "\\x07").replace("\x9b", "\\x9b")),
    ],
)
def test_what_cannot_be_shown(
    encoding: str, terminal: bool, written: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the encoding lacks, and what would drive the terminal, is shown as Python writes it."""

    async def odd(request: server.Request) -> AsyncIterator[str]:
        if request.prompt == "fail":
            raise server.RequestError(400, ODD)
        yield ODD

    output = Written(encoding, terminal)
    monkeypatch.setattr(sys, "stdout", output)
    with serving(odd, backend="asyncio") as served:
        options = ["--base-url", served.url, "--model", "m"]
        for more in ([], ["--no-stream"]):
            assert main(["chat", "x", *options, *more]) == 0
            assert output.held.getvalue().decode(encoding) == written
            output.seek(0)
            output.truncate()
        assert main(["respond", "fail", *options]) == 1
    told = capsys.readouterr().err
    assert "\\x1b]0;pwned\\x07" in told
    assert "\x1b" not in told


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk(url: str) -> None:
    command = [*COMMAND, "chat", "the moon", "--base-url", url, "--model", "m"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120, env=BARE, check=False
        )
    assert (done.returncode, done.stderr) == (1, "\ntokenwire: cannot write the answer: No space left on device\n")


def test_standard_streams_that_are_closed(poem: str) -> None:
    """Of the three, stdout and stderr each: nothing is written in its place."""
    closed = ["sh", "-c", 'exec "$@" <&- 2>&-', "sh", *COMMAND, "chat", "the moon"]
    done = subprocess.run(closed, capture_output=True, text=True, timeout=120, env=BARE, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, poem, "")
    closed[2] = 'exec "$@" <&- >&-'
    done = subprocess.run(closed, capture_output=True, text=True, timeout=120, env=BARE, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.count("\n") == 1, "that it recites, and no more"


def test_usage_ends_a_process() -> None:
    done = tokenwire("sing")
    assert (done.returncode, done.stdout) == (2, "")
    assert "invalid choice" in done.stderr


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = tokenwire("serve", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "cannot listen" in done.stderr


def test_a_handler_of_ones_own(tmp_path: object) -> None:
    path = os.fspath(tmp_path)  # type: ignore[call-overload] # pytest's is a path
    with open(os.path.join(path, "mine.py"), "w") as file:
        file.write("async def handler(request):\n    yield 'said: '\n    yield request.messages[-1].text\n")
    process = subprocess.Popen(
        [*COMMAND, "serve", "mine:handler", "--port", "0"], stderr=subprocess.PIPE, text=True, env=BARE, cwd=path
    )
    with process:
        assert process.stderr is not None
        url = process.stderr.readline().split()[-1]
        done = tokenwire("chat", "hello", "--base-url", url, "--model", "m")
        process.send_signal(signal.SIGINT)
    assert (done.returncode, done.stdout) == (0, "said: hello\n")


@pytest.mark.parametrize("arguments", [["--help"], ["chat", "--help"], ["serve", "--help"]])
def test_help_is_honest_about_reciting(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    if len(arguments) == 2:
        assert "it is no language model" in capsys.readouterr().out

"""README.md keeps its word: its code runs, its commands are there, its house is the one that stands."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import functools
import inspect
import re
import shlex
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

import test_layers
import tokenwire
from support.served import PATIENCE, serving
from tokenwire import cli
from tokenwire.server import Serving, recite
from tokenwire.server.recite import pick

README = Path(__file__).parents[1] / "README.md"

pytestmark = pytest.mark.skipif(not README.is_file(), reason="README.md is not beside these tests")

POEM, HELLO = pick("Write a poem about the moon.").text, pick("Hello").text
ABOUT = [pick(f"Say something about {number}.").text for number in range(3)]


@functools.cache
def text() -> str:
    return README.read_text("utf-8")


@functools.cache
def blocks() -> list[str]:
    return re.findall(r"(?ms)^```python\n(.*?)^```$", text())


@pytest.fixture(params=["asyncio", "trio"])
def loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with serving(recite, backend=request.param) as server:
        for name in ("MUME_API_KEY", "MUME_BASE_URL"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("OPENAI_API_KEY", "readme-key")
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        yield request.param


def execute(block: str, names: dict[str, Any], loop: str) -> None:
    """Run a block as if it stood in a module; with an `await` at its top, in a coroutine on this loop."""
    code = compile(block, "README.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)

    async def on_asyncio() -> None:
        task = asyncio.current_task()
        assert task is not None
        stop = functools.partial(asyncio.get_running_loop().call_soon_threadsafe, task.cancel)
        names["started"] = functools.partial(ask_and_stop, stop)
        with contextlib.suppress(asyncio.CancelledError):
            await eval(code, names)

    async def on_trio() -> None:
        with trio.CancelScope() as scope:
            stop = functools.partial(trio.lowlevel.current_trio_token().run_sync_soon, scope.cancel)
            names["started"] = functools.partial(ask_and_stop, stop)
            await eval(code, names)

    if not code.co_flags & inspect.CO_COROUTINE:
        exec(code, names)
    elif loop == "asyncio":
        asyncio.run(on_asyncio())
    else:
        trio.run(on_trio)


def ask_and_stop(stop: Callable[[], object], serving: Serving) -> None:
    """Called by a server that has just begun: says Hello to it, prints what it answers, and stops it."""

    def ask() -> None:
        try:
            with tokenwire.Client(api_key="k", base_url=serving.url, timeout=PATIENCE) as client:
                messages: Any = [{"role": "user", "content": "Hello"}]
                print("".join(client.chat.completions.create(model="m", messages=messages, stream=True).text()), end="")
        finally:
            stop()

    threading.Thread(target=ask).start()


#: How a block that begins so has to end: what it printed, what it left -> whether that is right.
Judge = Callable[[str, dict[str, Any]], bool]
EXPECTED: dict[str, Judge] = {
    "import tokenwire": lambda said, left: said == POEM,
    "for event in client.responses": lambda said, left: said == POEM,
    "async with tokenwire.AsyncClient() as aclient": lambda said, left: (
        said == POEM * 2
        and left["completion"].choices[0].message.content == POEM
        and left["response"].output_text == POEM
    ),
    "from dataclasses": lambda said, left: isinstance(left["poem"], left["Poem"]) and bool(left["poem"].title),
    "timeouts =": lambda said, left: said == HELLO,
    "stream = client.responses.create": lambda said, left: "".join(left["stream"].text()) == HELLO,
    "async def handler": lambda said, left: said == "You said: Hello",
    "app =": lambda said, left: callable(left["app"]),
    "import asyncio": lambda said, left: left["answers"] == ABOUT,
    "import trio": lambda said, left: "events" in said and "too late" not in said,
    "from tokenwire.wire": lambda said, left: said.splitlines()[-1].startswith("response.completed "),
    "from tokenwire.testing": lambda said, left: said == "",
}


def test_every_block_runs(loop: str, capsys: pytest.CaptureFixture[str]) -> None:
    """From the top to the end, each with the names of those before it, as a reader has them."""
    names: dict[str, Any] = {"__name__": "readme"}
    judges = dict(EXPECTED)
    for block in blocks():
        (begin,) = [begin for begin in judges if block.startswith(begin)]
        if "sock." in block:
            url = names["client"].base_url
            names["sock"] = socket.create_connection(("127.0.0.1", int(url.split(":")[2].split("/")[0])), PATIENCE)
        execute(block.replace("port=8000", "port=0, started=started"), names, loop)
        said = capsys.readouterr().out
        assert judges.pop(begin)(said, names), f"this block came to {said!r}:\n{block}"
    assert judges == {}
    names["client"].close()
    names["sock"].close()


def test_the_commands_are_those_that_ci_runs() -> None:
    commands = [line.strip() for line in text().splitlines() if line.startswith("    python3 -m venv .venv && ")]
    assert commands[:2] == [
        'python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/tokenwire chat "Write a poem about the moon."',
        "python3 -m venv .venv && .venv/bin/pip install '.[test]' && .venv/bin/pytest",
    ]


def test_the_command_line_takes_each_command() -> None:
    pages = text() + (README.parent / "CONTRIBUTING.md").read_text("utf-8")
    found = [shlex.split(line, comments=True)[1:] for line in re.findall(r"(?m)^    (tokenwire .*)$", pages)]
    assert len(found) >= 3
    for arguments in found:
        assert cli._parser().parse_args(arguments).command == arguments[0]


def test_links_lead_somewhere() -> None:
    for page in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        folder = README.parent
        for target in re.findall(r"\]\(([^)]+)\)", (folder / page).read_text("utf-8")):
            assert target.startswith("https://") or (folder / target).exists(), f"{page}: {target}"


def test_the_house_is_the_one_that_stands() -> None:
    """Each room has its line, or is named on one, in the order that test_layers holds."""
    (plan,) = re.findall(r"(?ms)^## How it is built\n.*?^```\n(.*?)^```$", text())
    rooms = [name.split(".")[0] for name in test_layers.HOUSE]
    rooms = [room for room in dict.fromkeys(rooms) if not room.startswith("_")]
    named = re.findall(r"\b(\w+)(?:\.py\b|/)", plan)
    assert sorted(set(named)) == sorted(rooms)
    first = [line.split("/")[0].split(".")[0] for line in plan.splitlines()]
    assert first == [room for room in rooms if room in first]

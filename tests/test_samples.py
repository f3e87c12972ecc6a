"""Every sample of the API's streaming page runs: with tokenwire, and with the official clients.

samples/streaming.txt is the page as text, without the indentation that its code
blocks had. Each sample beside it is one of its code blocks with the indentation put
back; only the key and the URL are swapped to run it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.endpoint import reciting

SAMPLES = Path(__file__).parent / "samples"
NODE_MODULES = os.environ.get("TOKENWIRE_NODE_MODULES")

# A sample without a client of its own goes on where the one before it stopped.
PYTHON = {"chat": [], "responses": ["chat"], "async_chat": [], "async_responses": ["async_chat"]}
JAVASCRIPT = {"chat": [], "responses": ["chat"]}


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with reciting("--backend", request.param) as url:
        yield url


@pytest.fixture(scope="module")
def poem(url: str) -> str:
    """What the endpoint recites for the samples' prompt, asked for in the plainest way there is."""
    question = {"model": "m", "messages": [{"role": "user", "content": "Write a poem about the moon."}]}
    request = urllib.request.Request(
        f"{url}/chat/completions", json.dumps(question).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        text = json.load(answer)["choices"][0]["message"]["content"]
    assert "moon" in text.lower()
    assert len(text) > 200
    return str(text)


def sample(name: str) -> str:
    return (SAMPLES / name).read_text()


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.glob("*.*") if path.suffix != ".txt"))
def test_each_sample_is_the_pages(name: str) -> None:
    page = "\n".join(lines(sample("streaming.txt")))
    # The page's text runs a block's last line into the next block's title.
    assert "\n".join(lines(sample(name))) in page


def setup_of(program: str) -> str:
    """A program as far as its client stands."""
    end = "\n)\n" if "\n)\n" in program else "\n});\n"
    return program[: program.index(end) + len(end)]


def swapped(program: str, url: str) -> str:
    assert program.count("your-api-key") == program.count("https://mume.ai/api/v1") == 1
    return program.replace("your-api-key", "sample-key").replace("https://mume.ai/api/v1", url)


def composed(name: str, before: list[str], suffix: str, url: str) -> str:
    setup = "".join(setup_of(sample(earlier + suffix)) + "\n" for earlier in before)
    return swapped(setup + sample(name + suffix), url)


def run(command: list[str], typed: str | None = None, **variables: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environment |= variables
    done = subprocess.run(
        command, check=False, input=typed, capture_output=True, text=True, timeout=120, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


#: Runs programs one after the other, each as if it were alone: importing openai takes a second, each time.
EACH = """
import json, sys
for program in json.load(sys.stdin):
    exec(compile(program, "<sample>", "exec"), {"__name__": "__main__"})
    print(end="\\0")
"""


@pytest.mark.parametrize("library", ["tokenwire", "openai"])
def test_python(library: str, url: str, poem: str) -> None:
    programs = [composed(name, before, ".py", url) for name, before in PYTHON.items()]
    assert all(program.count("import openai\n") == 1 for program in programs)
    command = [sys.executable, "-c", EACH]
    if library == "tokenwire":
        programs = [program.replace("import openai\n", "import tokenwire as openai\n") for program in programs]
        command[1:1] = ["-W", "error"]
    *said, rest = run(command, json.dumps(programs)).split("\0")
    assert dict(zip(PYTHON, said, strict=True)) == dict.fromkeys(PYTHON, poem)
    assert rest == ""


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not on this machine")
def test_curl(url: str, poem: str) -> None:
    command = sample("chat.sh").replace("https://mume.ai/api/v1", url)
    said = run(["sh", "-c", command], MUME_API_KEY="sample-key")
    events = [line.removeprefix("data: ") for line in said.splitlines() if line.startswith("data: ")]
    assert events.pop() == "[DONE]"
    deltas = [choice["delta"] for event in events for choice in json.loads(event)["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == poem


@pytest.mark.skipif(
    NODE_MODULES is None or shutil.which("node") is None,
    reason="TOKENWIRE_NODE_MODULES does not name a folder with the openai npm package, or node is absent",
)
@pytest.mark.parametrize("name", JAVASCRIPT)
def test_javascript(name: str, url: str, poem: str, tmp_path: Path) -> None:
    assert NODE_MODULES is not None
    (tmp_path / "node_modules").symlink_to(NODE_MODULES, target_is_directory=True)
    program = tmp_path / "sample.mjs"
    program.write_text(composed(name, JAVASCRIPT[name], ".mjs", url))
    assert run(["node", str(program)]) == poem

"""The official npm client, unmodified, over real sockets: against our own server and under uvicorn.

It runs where TOKENWIRE_NODE_MODULES names a folder with the packages openai and zod.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support.asgi_servers import ENDPOINTS, endpoint
from support.served import PATIENCE
from tokenwire.server import Request, recite
from tokenwire.server.recite import pick, tokens

PROGRAM = Path(__file__).parent / "official.mjs"
NODE_MODULES = os.environ.get("TOKENWIRE_NODE_MODULES")
POEM = pick("Write a poem about the moon.").text

#: What the program leaves in mid-stream.
ENDLESS = 4

pytestmark = pytest.mark.skipif(
    NODE_MODULES is None or not Path(NODE_MODULES, "zod").is_dir() or shutil.which("node") is None,
    reason="TOKENWIRE_NODE_MODULES does not name a folder with the npm packages openai and zod, or node is absent",
)


@pytest.mark.parametrize("kind", ENDPOINTS)
def test_the_official_npm_client(kind: str, tmp_path: Path) -> None:
    assert NODE_MODULES is not None
    left: list[str] = []
    all_left = threading.Event()

    async def endless(request: Request) -> AsyncIterator[str]:
        assert request.clock is not None
        try:
            while True:
                yield "more "
                await request.clock.sleep(0.001)
        finally:
            left.append("")
            if len(left) >= ENDLESS:
                all_left.set()

    def handler(request: Request) -> Any:
        return endless(request) if request.prompt == "endless" else recite(request)

    (tmp_path / "node_modules").symlink_to(NODE_MODULES, target_is_directory=True)
    program = shutil.copy(PROGRAM, tmp_path)
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    with endpoint(kind, handler) as url:
        done = subprocess.run(
            ["node", program, url], check=False, capture_output=True, text=True, timeout=120, env=environment
        )
        assert done.returncode == 0, done.stderr
        assert all_left.wait(PATIENCE)
    found = json.loads(done.stdout)
    assert found["chat"] == found["responses"] == found["retrieved"] == found["retrievedByHelper"] == POEM
    assert found["chatHelper"] == found["responsesHelper"] == [POEM, POEM]
    assert found["chatUsage"] == found["wholeUsage"]
    assert found["chatUsage"]["completion_tokens"] == len(tokens(POEM))
    reason, count, arguments = found["chatTool"]
    assert (reason, count, sorted(arguments)) == ("tool_calls", 1, ["count", "word"])
    assert found["responsesTool"] == ["function_call", 1, arguments]
    assert sorted(found["chatParsed"]) == ["lines", "stars", "title"]
    assert found["responsesParsed"] == found["chatParsed"]
    assert found["error"] == ["BadRequestError", 400, "n", "integer_above_max_value"]
    assert found["aborted"] is True
    assert found["helperAborted"] == found["wholeAborted"] == "APIUserAbortError"
    assert found["resumed"] == ["response.completed", True]
    assert found["cancelled"] == ["queued", "cancelled"]



"""The example page in a real headless Chromium: it streams from another origin, and paints each token as it comes."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import queue
import shutil
import signal
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.served import PATIENCE, serving
from tokenwire.server import Request

PAGE = Path(__file__).parents[2] / "examples" / "page.html"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (apt-get install chromium)"),
    pytest.mark.skipif(not PAGE.is_file(), reason="the examples are not beside these tests"),
]

#: Put behind the page: asks an endpoint that allows it, after one that does not, and tells of each frame
#: that was painted with a new text.
DRIVER = """
<script type="module">
  const tell = (what) => fetch("/told", { method: "POST", body: JSON.stringify(what) });
  const shown = document.querySelector("pre"), form = document.querySelector("form");
  let last = "";
  new MutationObserver(() => {
    // The first callback runs before the next frame is painted, the second after it.
    requestAnimationFrame(() => requestAnimationFrame(() => {
      if (shown.textContent !== last) tell({ painted: (last = shown.textContent) });
    }));
  }).observe(shown, { childList: true, characterData: true, subtree: true });
  let refused = "";
  new MutationObserver(() => tell({ done: document.body.dataset.done, text: shown.textContent, refused }))
    .observe(document.body, { attributes: true });
  try {
    await fetch(CLOSED + "/chat/completions", { method: "POST", headers: { authorization: "Bearer x" }, body: "{}" });
  } catch (error) {
    refused = String(error);
  }
  form.url.value = OPEN;
  form.requestSubmit();
</script>
"""


class Origin:
    """What serves the page, and hears from it."""

    def __init__(self) -> None:
        self.told: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.page = b""
        origin = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(200 if self.path == "/" else 404, origin.page if self.path == "/" else b"")

            def do_POST(self) -> None:
                origin.told.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self._answer(200, b"")

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("content-type", "text/html; charset=utf-8")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Origin:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(PATIENCE)


@contextlib.contextmanager
def chromium(url: str, profile: Path) -> Iterator[None]:
    """A headless browser of its own that shows this page."""
    assert CHROMIUM is not None
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-dev-shm-usage"
        " --disable-background-networking --disable-component-update --disable-sync --no-proxy-server"
    )
    command = [CHROMIUM, *flags.split(), f"--user-data-dir={profile}", "--remote-debugging-port=0", url]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
    environment = os.environ | {"HOME": str(profile)}
    with subprocess.Popen(command, **quiet, env=environment, start_new_session=True) as process:
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # it has children; nothing of it is kept


WORDS = ["Slowly, ", "silently, ", "now ", "the moon\n", "walks the night ", "in her ", "silver shoon."]


class Patient:
    """A handler that yields a word only when the one before has been painted."""

    def __init__(self) -> None:
        self.painted = ""
        self.painting = threading.Event()

    async def __call__(self, request: Request) -> AsyncIterator[str]:
        assert request.clock is not None
        said = ""
        for word in WORDS:
            while self.painted != said:
                await request.clock.sleep(0.001)
            yield word
            said += word


def test_a_page_of_another_origin(tmp_path: Path) -> None:
    handler = Patient()
    with (
        Origin() as origin,
        serving(handler, backend="asyncio", cors=["https://app.example.com"]) as closed,
        serving(handler, backend="trio", cors=[origin.url]) as server,
    ):
        driver = DRIVER.replace("CLOSED", json.dumps(closed.url)).replace("OPEN", json.dumps(server.url))
        origin.page = PAGE.read_bytes() + driver.encode()
        painted = []
        with chromium(origin.url + "/", tmp_path):
            while "done" not in (told := origin.told.get(timeout=2 * PATIENCE)):
                painted.append(told["painted"])
                handler.painted = told["painted"]
    assert told == {"done": "ok", "text": "".join(WORDS), "refused": "TypeError: Failed to fetch"}
    # A frame for each word: what is painted is what has come so far, and nothing waits for the end.
    assert painted[: len(WORDS) - 1] == ["".join(WORDS[:k]) for k in range(1, len(WORDS))]

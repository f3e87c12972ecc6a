"""The reciting endpoint, as a process of its own: what the samples and the clients talk to."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def reciting(*options: str) -> Iterator[str]:
    """Run `tokenwire serve` on a free port with these options: its URL, such as http://127.0.0.1:4711/v1."""
    command = [sys.executable, "-m", "tokenwire", "serve", "--port", "0", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            line = process.stderr.readline()
            url = re.search(r"https?://\S+", line)
            assert url, f"the endpoint did not start: {line}{process.stderr.read()}"
            yield url[0]
        finally:
            process.terminate()
            process.wait()

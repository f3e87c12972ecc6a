"""Programs that stand between people and their models, as processes of their own: nginx and tinyproxy."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.loops import PATIENCE


def program(name: str) -> str:
    """Where it is. Skips the test where it is missing, unless TOKENWIRE_REAL_PARTS=1 says that it must be there."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/sbin")
    if found is None:
        assert os.environ.get("TOKENWIRE_REAL_PARTS") != "1", f"{name} is not installed"
        pytest.skip(f"{name} is not installed: apt-get install {name}")
    return found


@contextlib.contextmanager
def _running(process: subprocess.Popen[bytes], log: Path) -> Iterator[None]:
    with process:
        try:
            yield
            assert process.poll() is None, log.read_text()
        finally:
            process.terminate()


@contextlib.contextmanager
def nginx(home: Path, upstream: int, locations: dict[str, str]) -> Iterator[str]:
    """Run nginx before a server on this port: its URL. locations: path -> directives, each with the whole server."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    log = home / "log"
    temporary = "".join(
        f"{kind}_temp_path {home}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    served = "".join(
        f"location {path}/ {{ proxy_pass http://127.0.0.1:{upstream}/; {directives} }}\n"
        for path, directives in locations.items()
    )
    user = "user root;" if os.geteuid() == 0 else ""  # else nobody, who may not read what is ours
    (home / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; {user} pid {home}/pid; error_log {log};\n"
        "events { worker_connections 64; }\n"
        f"http {{ access_log off; {temporary} server {{ listen 127.0.0.1:{port}; {served} }} }}\n"
    )
    command = [program("nginx"), "-p", str(home), "-c", str(home / "nginx.conf"), "-e", str(log)]
    with listener:
        listener.set_inheritable(True)
        # As it hands its own sockets over when it replaces itself: nobody else can take the port meanwhile,
        # and who connects before it runs waits in the queue.
        process = subprocess.Popen(
            command, env={**os.environ, "NGINX": f"{listener.fileno()};"}, pass_fds=[listener.fileno()]
        )
    with _running(process, log):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def tinyproxy(home: Path, *, user: str, reaches: int) -> Iterator[int]:
    """Run tinyproxy: its port. user: "name:password" that it wants. reaches: the one port it makes tunnels to."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = home / "log"
    (home / "tinyproxy.conf").write_text(
        f'Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 20\nLogFile "{log}"\n'
        f"BasicAuth {user.replace(':', ' ')}\nConnectPort {reaches}\n"
    )
    command = [program("tinyproxy"), "-d", "-c", str(home / "tinyproxy.conf")]
    with _running(subprocess.Popen(command), log):
        # Nobody tells when it has begun to listen; asking again is the only way to know.
        end = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=PATIENCE):
                break
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.01)
        yield port

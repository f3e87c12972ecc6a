"""tokenwire serve: a handler of yours, or the reciting one, from the command line.

Exit statuses: 0 ended by SIGTERM, 130 by Ctrl-C, 1 it cannot listen or a worker died, 2 usage.
The first signal begins a graceful shutdown, a second one cuts it short.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tokenwire.backends import named
from tokenwire.backends.base import Backend
from tokenwire.workers import INTERRUPTED, tell, workers

if TYPE_CHECKING:
    import ssl

    from tokenwire.server import Serving

__all__ = ["add_serve", "run_serve"]

_DESCRIPTION = """\
Without HANDLER the endpoint recites: it is no language model, and answers with
public-domain verse that the prompt's words pick, as model "tokenwire-recite-1".
HANDLER is module:name, an async function that takes a tokenwire.server.Request and
yields tokens.
"""

_EPILOG = """\
SIGTERM and Ctrl-C end it gracefully: no new connection is accepted, and answers under way
have --grace seconds. A second one cuts them. Exit statuses: 0 after SIGTERM, 130 after
Ctrl-C, 1 where it cannot listen or a worker died, 2 for wrong usage.
"""


def add_serve(commands: Any) -> None:
    """Add this command's parser."""
    parser = commands.add_parser(
        "serve",
        help="answer both families on a port",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("handler", nargs="?", metavar="HANDLER", help="module:name; without it, verse is recited")
    where = parser.add_argument_group("where it listens")
    where.add_argument("--host", type=_host, help="address to listen on (127.0.0.1)")
    where.add_argument("--port", type=_number(0, 65_535), help="port to listen on (8000); 0 is any free one")
    where.add_argument("--uds", metavar="PATH", help="listen on a Unix socket instead")
    where.add_argument("--certfile", metavar="PEM", help="serve TLS with this certificate chain")
    where.add_argument("--keyfile", metavar="PEM", help="its key, where the certificate's file has none")
    where.add_argument(
        "--cors",
        action="append",
        default=[],
        metavar="ORIGIN",
        help='let pages of this origin use it, such as http://localhost:3000; "*" is any; may be repeated',
    )
    how = parser.add_argument_group("how it runs")
    how.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio", help="how to do I/O (asyncio)")
    how.add_argument(
        "--workers",
        type=_number(1, 1024),
        default=1,
        metavar="N",
        help="processes that share the port (1); where there are more none keeps responses, which no other would know",
    )
    how.add_argument("--grace", type=_seconds, metavar="SECONDS", help="for answers under way at a shutdown (20)")
    how.add_argument("--access-log", action="store_true", help="print a line for each request")
    what = parser.add_argument_group("what it answers")
    what.add_argument("--model", help="the model's name in answers (the handler's own, or the one asked for)")
    what.add_argument("--max-choices", type=_number(1, 128), default=1, metavar="N", help="the largest n (1)")
    what.add_argument(
        "--on-disconnect",
        choices=("cancel", "finish"),
        default="cancel",
        help="what becomes of a handler whose client goes away (cancel)",
    )
    what.add_argument("--tokens-per-second", type=float, metavar="N", help="the reciter's pace (as fast as it goes)")


def _number(least: int, most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"{text!r} is no number from {least} to {most}")
        return int(text)

    return number


def _host(text: str) -> str:
    try:
        text.encode("idna")  # as a look-up does
    except UnicodeError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither an address nor a host's name") from None
    return text


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= (seconds := float(text)) < float("inf"):
            return seconds
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")


def run_serve(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Serve until a signal ends it: the exit status."""
    if arguments.uds is not None:
        for name in ("host", "port"):
            if getattr(arguments, name) is not None:
                parser.error(f"--uds is where it listens: it does not go with --{name}")
        if arguments.workers > 1:
            parser.error("workers share a port: --workers does not go with --uds")
    if arguments.workers > 1 and not hasattr(os, "fork"):
        parser.error("--workers needs a system that forks")
    if arguments.keyfile is not None and arguments.certfile is None:
        parser.error("--keyfile is the key of a certificate: --certfile is needed with it")
    options = {"ssl_context": _ssl_context(arguments, parser), **_options(arguments, parser)}
    handler = _handler(arguments, parser)
    if arguments.access_log:
        _log_access()
    host, port = arguments.host or "127.0.0.1", 8000 if arguments.port is None else arguments.port
    if arguments.workers == 1:
        options |= {"host": host, "port": port, "uds": arguments.uds}
        return _Run(arguments.backend, handler, options, lambda serving: _say(serving.url or serving.address)).run()
    return _run_workers(arguments, handler, options, host, port)


def _run_workers(arguments: argparse.Namespace, handler: Any, options: dict[str, Any], host: str, port: int) -> int:
    from tokenwire.backends.sockets import reserved
    from tokenwire.server.serve import url_of

    try:
        held = reserved(host, port)
    except OSError as error:
        return _cannot_listen(f"{host}:{port}", error)
    with held:
        port = held.getsockname()[1]
        url = url_of((host, port), secure=arguments.certfile is not None)
        options |= {"host": host, "port": port, "reuse_port": True}

        def work(listening: Callable[[], None]) -> int:
            return _Run(arguments.backend, handler, options, lambda serving: listening()).run()

        return workers(arguments.workers, work, lambda count: _say(f"{url} ({count} workers)"))


def _say(where: object) -> None:
    tell(f"serving at {where}")


def _cannot_listen(where: str, error: OSError) -> int:
    tell(f"cannot listen on {where}: {error.strerror or error}")
    return 1


# -- what is asked for ----------------------------------------------------------------


def _options(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> dict[str, Any]:
    from tokenwire.server.cors import Cors
    from tokenwire.server.limits import DEFAULT_SERVER_LIMITS

    limits = DEFAULT_SERVER_LIMITS
    if arguments.grace is not None:
        limits = dataclasses.replace(limits, shutdown=arguments.grace)
    if arguments.workers > 1:
        limits = dataclasses.replace(limits, stored=0)
    try:
        Cors(arguments.cors)
    except ValueError as error:
        parser.error(f"--cors: {error}")
    return {
        "limits": limits,
        "cors": arguments.cors,
        "model": arguments.model,
        "max_choices": arguments.max_choices,
        "on_disconnect": arguments.on_disconnect,
    }


def _ssl_context(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> ssl.SSLContext | None:
    if arguments.certfile is None:
        return None
    from tokenwire.backends.tls import server_context

    try:
        return server_context(arguments.certfile, arguments.keyfile)
    except OSError as error:  # ssl.SSLError is one
        files = " and ".join(name for name in (arguments.certfile, arguments.keyfile) if name)
        parser.error(f"no certificate with its key in {files}: {error.strerror or error}")


def _handler(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> Any:
    if arguments.handler is not None:
        if arguments.tokens_per_second is not None:
            parser.error("--tokens-per-second paces the reciter: it does not go with a handler of yours")
        return _load(arguments.handler, parser)
    from tokenwire.server import Reciter

    try:
        return Reciter(tokens_per_second=arguments.tokens_per_second)
    except ValueError as error:
        parser.error(str(error))


def _load(where: str, parser: argparse.ArgumentParser) -> Any:
    """The handler that module:name names."""
    module, _, name = where.partition(":")
    if not module or not name or module.startswith("."):
        parser.error(f"a handler is named module:name, not {where!r}")
    with contextlib.suppress(FileNotFoundError):  # the directory has gone
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        parser.error(f"no handler {where!r}: {error}")
    if not callable(found):
        parser.error(f"no handler {where!r}: it is no function, but of type {type(found).__name__}")
    return found


def _log_access() -> None:
    lines = logging.StreamHandler()
    lines.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger = logging.getLogger("tokenwire.access")
    logger.addHandler(lines)
    logger.setLevel(logging.INFO)


# -- one process ----------------------------------------------------------------------


class _Run:
    """A server in this process, until a signal ends it."""

    def __init__(
        self, backend: str, handler: Any, options: dict[str, Any], started: Callable[[Serving], object]
    ) -> None:
        self._backend: Backend = named(backend)
        self._handler = handler
        self._options = options
        self._started = started
        self._serving: Serving | None = None
        self._first: int | None = None  # of the signals

    def run(self) -> int:
        try:
            self._backend.run(self._main)
        except OSError as error:
            if self._serving is not None:
                raise
            options = self._options
            return _cannot_listen(options.get("uds") or f"{options['host']}:{options['port']}", error)
        return INTERRUPTED if self._first == signal.SIGINT else 0

    async def _main(self) -> None:
        backend = self._backend
        await backend.first(self._serve, lambda: backend.signals((signal.SIGTERM, signal.SIGINT), self._came))

    async def _serve(self) -> None:
        from tokenwire.server import serve

        await serve(self._handler, backend=self._backend, started=self._begun, **self._options)

    def _begun(self, serving: Serving) -> None:
        self._serving = serving
        self._started(serving)
        if self._first is not None:
            serving.shutdown()

    def _came(self, number: int) -> None:
        again, serving = self._first is not None, self._serving
        if not again:
            self._first = number
        if serving is None:
            return  # as soon as it listens
        serving.shutdown(0 if again else None)
        count = serving.stats["under_way"]
        if count and not again:
            seconds = self._options["limits"].shutdown
            tell(
                f"shutting down; answers under way: {count}, for up to {seconds:g} seconds"
                " (a second signal cuts them)"
            )

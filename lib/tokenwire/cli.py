"""tokenwire chat | respond | serve: the command line.

Exit statuses: 0 done, 1 the API or the way to it failed, or the answer cannot be written, 2 usage,
130 Ctrl-C, 141 the reader of our output went away.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NoReturn, TextIO

from tokenwire._version import __version__
from tokenwire.backends import named
from tokenwire.cli_serve import add_serve, run_serve
from tokenwire.client import AsyncClient, Client
from tokenwire.errors import APIError, TokenwireError

__all__ = ["main"]

_EPILOG = """\
endpoint and key: --base-url and --api-key; else MUME_API_KEY (MUME_BASE_URL), else
OPENAI_API_KEY (OPENAI_BASE_URL). With none of these, a reciting endpoint is started on
this machine: it is no language model, it answers with public-domain verse.
"""

#: What would drive a terminal, C0 and C1, but for tabs and line ends: it is shown as Python writes it.
_CONTROLS: Final = {
    code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n\r"
}


class _Unwritten(Exception):
    """Standard output takes no more, and not because its reader has gone."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tokenwire", description="LLM tokens, straight off the wire.")
    parser.add_argument("--version", action="version", version=f"tokenwire {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="chat | respond | serve")
    for name, what in (("chat", "POST /chat/completions"), ("respond", "POST /responses")):
        ask = commands.add_parser(
            name,
            help=f"print tokens as they come ({what})",
            epilog=_EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        ask.add_argument("prompt", nargs="?", help="what to ask; without it, lines typed at a prompt, or all of a pipe")
        ask.add_argument("--model", help="the model to ask for")
        ask.add_argument("--base-url", help="where the API is, such as http://127.0.0.1:8000/v1")
        ask.add_argument("--api-key", help="the key (the environment hides it better)")
        ask.add_argument("--no-stream", action="store_true", help="ask for the whole answer at once")
        ask.add_argument("--raw", action="store_true", help="print the server-sent events, undecoded")
        ask.add_argument(
            "--backend", choices=("sync", "asyncio", "trio", "anyio"), default="sync", help="how to do I/O (sync)"
        )
    add_serve(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command line's way in: its exit status."""
    _stand_in()
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        if arguments.command == "serve":
            return run_serve(arguments, parser)
        return _ask(arguments, parser)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _drop_output()
        return 141
    except _Unwritten as error:
        _drop_output()
        print(f"\ntokenwire: cannot write the answer: {error}", file=sys.stderr)
        return 1
    except TokenwireError as error:
        sys.stdout.flush()
        print(f"\ntokenwire: {_explained(error)}", file=sys.stderr)
        return 1


def _stand_in() -> None:
    """Take the null device for standard streams that were closed. They are None, and print takes None for stdout."""
    # In this order each gets its own number, which no socket can have then.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, open(null, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - for good


def _drop_output() -> None:
    """Nothing can be written any more: Python would say so again when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _explained(error: TokenwireError) -> str:
    code = f" [{error.code}]" if isinstance(error, APIError) and error.code else ""
    return f"{error}{code}".translate(_CONTROLS)  # it is the server's words


# -- chat, respond -------------------------------------------------------------------


def _ask(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    if arguments.raw and arguments.no_stream:
        parser.error("--raw shows a stream: it does not go with --no-stream")
    options = _endpoint(arguments, parser)
    try:
        Client(**options).close()
    except ValueError as error:  # of the URL, or a proxy's in the environment
        parser.error(str(error))
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors in ("strict", "surrogateescape"):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr is: an answer may hold any character
    for conversation in _turns(arguments.prompt, sys.stdin, parser.error):
        if arguments.backend == "sync":
            with Client(**options) as client:
                said = _talk(client, arguments, conversation)
        else:
            said = named(arguments.backend).run(_Talk(options, arguments, conversation))
        conversation.append({"role": "assistant", "content": said})
    return 0


def _endpoint(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> dict[str, Any]:
    """What makes a client; with nothing configured, the reciting endpoint is started."""
    key = any(os.environ.get(name) for name in ("MUME_API_KEY", "OPENAI_API_KEY"))
    url = any(os.environ.get(name) for name in ("MUME_BASE_URL", "OPENAI_BASE_URL"))
    if arguments.base_url is None and arguments.api_key is None and not (key or url):
        here = _recite_here("trio" if arguments.backend == "trio" else "asyncio")
        print(f"tokenwire: no endpoint is configured, so verse is recited at {here} (see --help)", file=sys.stderr)
        arguments.model = arguments.model or "tokenwire-recite-1"
        return {"api_key": "none", "base_url": here}
    if arguments.model is None:
        parser.error("--model is needed with an endpoint that is configured")
    api_key = arguments.api_key
    if api_key is None and not key:
        api_key = ""  # a server of one's own often wants none
    return {"api_key": api_key, "base_url": arguments.base_url}


def _recite_here(backend: str) -> str:
    """Start the reciting endpoint on a loopback port, in a thread that ends with the process: its URL."""
    from tokenwire.server import recite, serve

    listening = threading.Event()
    urls: list[str] = []

    def started(serving: Any) -> None:
        urls.append(serving.url)
        listening.set()

    def run() -> None:
        try:
            named(backend).run(lambda: serve(recite, port=0, backend=backend, started=started))
        finally:
            listening.set()

    threading.Thread(target=run, name="reciter", daemon=True).start()
    listening.wait()
    if not urls:
        raise TokenwireError("the reciting endpoint could not be started")
    return urls[0]


def _turns(
    prompt: str | None, source: TextIO, refuse: Callable[[str], NoReturn]
) -> Iterator[list[dict[str, str]]]:
    """The conversation, each time something was said: once for an argument or a pipe, else line by line."""

    def read(some: Callable[[], str]) -> str:
        try:
            return some()
        except UnicodeDecodeError:
            refuse(f"what came by standard input is not text in {source.encoding}")

    if prompt is not None:
        yield [{"role": "user", "content": prompt}]
    elif not source.isatty():
        said = read(source.read).strip()
        if not said:
            refuse("there is no prompt: neither an argument nor, by standard input, any text")
        yield [{"role": "user", "content": said}]
    else:
        conversation: list[dict[str, str]] = []
        while True:
            print("> ", end="", file=sys.stderr, flush=True)
            line = read(source.readline)
            if not line:
                print(file=sys.stderr)
                return
            if line.strip():
                conversation.append({"role": "user", "content": line.strip()})
                yield conversation


def _parameters(arguments: argparse.Namespace, conversation: list[dict[str, str]]) -> dict[str, Any]:
    key = "messages" if arguments.command == "chat" else "input"
    return {"model": arguments.model, key: conversation, "stream": not arguments.no_stream}


def _write(text: str) -> str:
    """Write this at once, and return it. Raises BrokenPipeError, _Unwritten."""
    try:
        sys.stdout.write(text.translate(_CONTROLS) if sys.stdout.isatty() else text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _Unwritten(error.strerror or str(error)) from None
    return text


def _end_line(said: str) -> None:
    if not said.endswith("\n"):
        _write("\n")


def _write_event(event: Any) -> None:
    name = f"event: {event.event}\n" if event.event else ""
    data = bytes(event.data).decode("utf-8", "replace").replace("\n", "\ndata: ")
    _write(f"{name}data: {data}\n\n")


def _whole_text(arguments: argparse.Namespace, answer: Any) -> str:
    if arguments.command == "respond":
        return str(answer.output_text)
    return answer.choices[0].message.content or "" if answer.choices else ""


def _resource(client: Any, arguments: argparse.Namespace) -> Callable[..., Any]:
    create: Callable[..., Any] = (
        client.chat.completions.create if arguments.command == "chat" else client.responses.create
    )
    return create


def _talk(client: Client, arguments: argparse.Namespace, conversation: list[dict[str, str]]) -> str:
    """Ask, and print what comes as it comes: the whole text."""
    answer = _resource(client, arguments)(**_parameters(arguments, conversation))
    if arguments.no_stream:
        said = _write(_whole_text(arguments, answer))
    elif arguments.raw:
        with answer:
            for event in answer.raw():
                _write_event(event)
        return ""
    else:
        with answer:
            said = "".join([_write(text) for text in answer.text()])
    _end_line(said)
    return said


class _Talk:
    """`_talk`, for the async backends: called with nothing, it gives the coroutine to run."""

    def __init__(self, options: dict[str, Any], arguments: argparse.Namespace, conversation: list[Any]) -> None:
        self._options = options
        self._arguments = arguments
        self._conversation = conversation

    async def __call__(self) -> str:
        arguments = self._arguments
        async with AsyncClient(**self._options, backend=arguments.backend) as client:
            answer = await _resource(client, arguments)(**_parameters(arguments, self._conversation))
            if arguments.no_stream:
                said = _write(_whole_text(arguments, answer))
            elif arguments.raw:
                async with answer:
                    async for event in answer.raw():
                        _write_event(event)
                return ""
            else:
                async with answer:
                    said = "".join([_write(text) async for text in answer.text()])
            _end_line(said)
            return said

"""The one rule of the house: a room imports only rooms above it in the list. Read off the imports themselves.

What counts: every import statement, wherever it stands, in a function too. What
stands under `if TYPE_CHECKING:` is for the type checker and never runs: it is
held to the order of the rooms as well, but may name ssl, whose SSLContext is
part of public signatures.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import tokenwire

LIB = Path(tokenwire.__file__).parent

#: From the top of the page to its end. A package stands for all that is in it.
#: helper_streams, raw_response and resources are what grew out of streams and client.
HOUSE = [
    "_version",
    "errors",
    "policy",
    "proxy",
    "wire.buffer",
    "wire.body",
    "wire.coding",
    "wire.heads",
    "wire.plain",
    "wire.http1",
    "wire.sse",
    "wire.runs",
    "wire.whole_chunks",
    "wire",
    "families",
    "family",
    "types",
    "refusals",
    "frames",
    "pipeline",
    "whole",
    "backends",
    "tunnel",
    "connections",
    "pool",
    "settings",
    "bodies",
    "requests",
    "stats",
    "sending",
    "exchange",
    "resume",
    "source",
    "streams",
    "helper_streams",
    "raw_response",
    "resources",
    "client",
    "testing",
    "server",
    "workers",
    "cli_serve",
    "cli",
    "__main__",
]

#: What touches the network or colours a function. Only backends may.
NETWORK = {"socket", "ssl", "select", "selectors", "asyncio", "trio", "anyio", "truststore", "uvloop", "sniffio"}

#: Packages that are not Python's own, and who may use them.
THIRD_PARTY = {
    "h11": {"wire"},
    "msgspec": {"families", "refusals", "bodies", "server"},
    "pydantic": {"families"},  # the user's own types, where there are any
    "truststore": {"backends"},
    "trio": {"backends"},
    "anyio": {"backends"},
    "uvloop": {"backends"},
    "sniffio": {"backends"},
}


class Import(NamedTuple):
    module: str  # the one that imports, from the package's root: "wire.body"
    target: str  # what it imports: "tokenwire.wire.buffer", "socket"
    line: int
    typing: bool
    deferred: bool  # within a function

    def __str__(self) -> str:
        return f"{self.module}, line {self.line}: imports {self.target}"


def name_of(path: Path) -> str:
    parts = path.relative_to(LIB).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(LIB.rglob("*.py"))}

#: What is compiled: it imports nothing, and one room alone imports it.
COMPILED = {"families._alike": "families.alike", "wire._runs": "wire.runs"}


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def walk(node: ast.AST, typing: bool = False, deferred: bool = False) -> Iterator[tuple[ast.AST, bool, bool]]:
    for child in ast.iter_child_nodes(node):
        yield child, typing, deferred
        inner = deferred or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        if is_type_checking(child):
            assert isinstance(child, ast.If)
            for statement in child.body:
                yield statement, True, deferred
                yield from walk(statement, True, deferred)
            for statement in child.orelse:
                yield statement, typing, deferred
                yield from walk(statement, typing, deferred)
        else:
            yield from walk(child, typing, inner)


def imports_of(module: str, path: Path) -> Iterator[Import]:
    for node, typing, deferred in walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, alias.name, node.lineno, typing, deferred)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = ["tokenwire", *(module.split(".") if module else [])]
                if path.name != "__init__.py":
                    package.pop()
                here = package[: len(package) - node.level + 1]
                base = ".".join([*here, *([base] if base else [])])
            for alias in node.names:
                if base.removeprefix("tokenwire.") in COMPILED:
                    assert module == COMPILED[base.removeprefix("tokenwire.")], f"{module} imports {base}"
                    continue
                within = f"{base}.{alias.name}".removeprefix("tokenwire.")
                target = f"{base}.{alias.name}" if within in MODULES and base.startswith("tokenwire") else base
                yield Import(module, target, node.lineno, typing, deferred)


IMPORTS = [found for module, path in MODULES.items() for found in imports_of(module, path)]
OURS = [found for found in IMPORTS if found.target.split(".")[0] == "tokenwire"]
OTHERS = [found for found in IMPORTS if found.target.split(".")[0] != "tokenwire"]


def room_of(module: str) -> str:
    """The entry of the house that a module belongs to: itself, or the package it is in."""
    while module not in HOUSE:
        assert "." in module, f"{module} has no place in the house"
        module = module.rpartition(".")[0]
    return module


def top(module: str) -> str:
    return module.split(".")[0]


def test_every_module_has_a_place() -> None:
    rooms = {room_of(module) for module in MODULES if module}
    assert rooms <= set(HOUSE)
    assert len(rooms) >= 17


def test_the_parser_sees_what_it_should() -> None:
    """A test that reads imports and finds none would never fail."""
    seen = {(found.module, found.target) for found in IMPORTS}
    assert ("wire.http1", "tokenwire.wire.body") in seen
    assert ("wire.heads", "h11") in seen
    assert ("client", "tokenwire.policy") in seen
    assert ("backends.asyncio", "asyncio") in seen
    assert ("families.responses.reading", "tokenwire.families.record") in seen
    assert any(found.deferred for found in OURS)
    assert any(found.typing and found.target == "ssl" for found in OTHERS)


def test_a_room_imports_only_rooms_above_it() -> None:
    wrong = []
    for found in OURS:
        if not found.module:
            continue  # the front page, below
        target = found.target.removeprefix("tokenwire").removeprefix(".")
        if not target:
            wrong.append(f"{found}: the front page")
            continue
        here, there = room_of(found.module), room_of(target)
        if here == "wire" or (here == there and "." not in here):
            continue  # a package's own front page; the rooms of a package among themselves
        if HOUSE.index(there) >= HOUSE.index(here):
            wrong.append(str(found))
    assert wrong == []


def test_the_front_page_imports_nothing_that_runs_but_the_version() -> None:
    assert {found.target for found in OURS if not found.module and not found.typing} == {"tokenwire._version"}


def test_no_circle() -> None:
    """Within a package, too: what is imported at once never leads back."""
    graph: dict[str, set[str]] = {module: set() for module in MODULES}
    for found in OURS:
        if not found.typing and not found.deferred and found.module:
            target = found.target.removeprefix("tokenwire").removeprefix(".")
            if target != found.module:
                graph[found.module].add(target)
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module not in done:
            for target in sorted(graph[module]):
                visit(target, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_only_backends_touch_the_network() -> None:
    wrong = [
        str(found)
        for found in OTHERS
        if top(found.target) in NETWORK
        and top(found.module) != "backends"
        and not (found.typing and found.target == "ssl")
    ]
    assert wrong == []


def test_wire_is_the_standard_library_and_h11() -> None:
    allowed = {"tokenwire.errors", "tokenwire.policy"}
    for found in IMPORTS:
        if top(found.module) != "wire":
            continue
        if top(found.target) == "tokenwire":
            assert found.target in allowed or found.target.startswith("tokenwire.wire."), str(found)
        else:
            assert found.target == "h11" or top(found.target) in sys.stdlib_module_names, str(found)
            assert top(found.target) not in {"json", "time", "random", "os", "threading", "http", "urllib"}, str(found)


def test_families_know_no_http() -> None:
    for found in IMPORTS:
        if top(found.module) == "families":
            assert top(found.target) not in {"h11", "http", "urllib", "email"}, str(found)
            if top(found.target) == "tokenwire":
                room = room_of(found.target.removeprefix("tokenwire."))
                assert room in ("errors", "policy", "families"), str(found)


def test_backends_see_no_frame() -> None:
    for found in OURS:
        if top(found.module) == "backends":
            room = room_of(found.target.removeprefix("tokenwire."))
            assert room in ("_version", "errors", "policy", "proxy", "wire.buffer", "backends"), str(found)


@pytest.mark.parametrize(
    "colour", ["wire", "families", "pipeline", "policy", "proxy", "errors", "server.session", "server.store"]
)
def test_half_of_the_house_has_no_colour(colour: str) -> None:
    modules = [module for module in MODULES if module == colour or module.startswith(colour + ".")]
    assert modules
    for module in modules:
        tree = ast.parse(MODULES[module].read_text("utf-8"))
        for node in ast.walk(tree):
            assert not isinstance(node, (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)), module
        for found in OTHERS:
            if found.module == module and not found.typing:
                assert top(found.target) not in NETWORK | {"time", "random"}, str(found)


def test_other_peoples_packages_stay_where_they_are_expected() -> None:
    for found in OTHERS:
        package = top(found.target)
        if package not in sys.stdlib_module_names:
            assert top(found.module) in THIRD_PARTY.get(package, set()), str(found)


def test_no_drawer_for_odds_and_ends() -> None:
    for module in MODULES:
        assert not {"utils", "util", "helpers", "models", "common", "misc"} & set(module.split(".")), module


def test_every_module_reads_its_annotations_late() -> None:
    for module, path in MODULES.items():
        tree = ast.parse(path.read_text("utf-8"))
        code = [node for node in tree.body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))]
        if module in ("_version", "__main__") or not code:
            continue
        first = code[0]
        assert isinstance(first, ast.ImportFrom), module
        assert first.module == "__future__", module

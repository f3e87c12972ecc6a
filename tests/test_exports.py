"""Every name that is promised is there, and says what it is."""

from __future__ import annotations

import ast
import importlib
import importlib.machinery
import importlib.util
import inspect
import pkgutil
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

import tokenwire
from tokenwire.backends.base import Backend, Transport
from tokenwire.server import Session
from tokenwire.wire import BodyReader


def modules() -> Iterator[str]:
    yield "tokenwire"
    for found in pkgutil.walk_packages(tokenwire.__path__, "tokenwire."):
        spec = importlib.util.find_spec(found.name)
        assert spec is not None
        compiled = isinstance(spec.loader, importlib.machinery.ExtensionFileLoader)  # its room's, and nobody else's
        if not compiled and not found.name.endswith("__main__"):
            yield found.name


MODULES = list(modules())


def test_all_modules_are_found() -> None:
    files = {path for path in Path(tokenwire.__path__[0]).rglob("*.py") if path.name != "__main__.py"}
    assert len(MODULES) == len(files)


@pytest.mark.parametrize("name", MODULES)
def test_every_name_in_all_exists_once_and_is_documented(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__file__ is not None
    source = Path(module.__file__).read_text("utf-8").strip()
    assert module.__doc__ or not source or name.endswith("_version"), f"{name} does not say what it is"
    names = getattr(module, "__all__", [])
    assert len(names) == len(set(names))
    for exported in names:
        value = getattr(module, exported)
        if isinstance(value, type) or inspect.isroutine(value):
            own = value.__dict__.get("__doc__") if isinstance(value, type) else value.__doc__
            assert own, f"{name}.{exported} has no docstring"
            assert not own.startswith(f"{exported}("), f"{name}.{exported}: only the one that Python makes up"


#: What people use by name, and what they get their hands on by way of that.
PUBLIC = [name for name in MODULES if name.startswith(("tokenwire.policy", "tokenwire.wire", "tokenwire.types"))]
PUBLIC += ["tokenwire", "tokenwire.server", "tokenwire.testing", "tokenwire.stats"]
PUBLIC += ["tokenwire.resources.chat", "tokenwire.resources.responses", "tokenwire.resources.raw"]


@pytest.mark.parametrize("name", PUBLIC)
def test_public_methods_are_documented(name: str) -> None:
    module = importlib.import_module(name)
    for exported in getattr(module, "__all__", []):
        cls = getattr(module, exported)
        for owner in cls.__mro__ if isinstance(cls, type) else ():
            if not owner.__module__.startswith("tokenwire."):
                continue
            for method, value in vars(owner).items():
                if method.startswith("_") or not isinstance(value, (types.FunctionType, property, classmethod)):
                    continue
                # What implements a port is described there, once; and a property may be, among the fields of its class.
                ports = [vars(port).get(method) for port in (BodyReader, Backend, Transport, Session)]
                told = any(port is not None and port.__doc__ for port in ports)
                assert value.__doc__ or told or f"{method}: " in (owner.__doc__ or ""), f"{name}.{exported}.{method}"


# -- The front page ---------------------------------------------------------------


def test_every_lazy_name_resolves_to_the_object_of_its_room() -> None:
    for name in tokenwire.__all__:
        assert getattr(tokenwire, name) is not None
        assert name in dir(tokenwire)
    for name, room in tokenwire._HOME.items():
        assert getattr(tokenwire, name) is getattr(importlib.import_module(f"tokenwire.{room}"), name)
    for alias, name in tokenwire._ALIASES.items():
        assert getattr(tokenwire, alias) is getattr(tokenwire, name)


def test_rooms_resolve_and_other_names_do_not() -> None:
    for room in ("backends", "families", "server", "wire", "client", "streams", "policy", "errors"):
        assert tokenwire.__getattr__(room) is importlib.import_module(f"tokenwire.{room}")
    with pytest.raises(AttributeError, match="module 'tokenwire' has no attribute 'nothing'"):
        tokenwire.nothing  # noqa: B018
    assert not hasattr(tokenwire, "utils")


def test_all_public_errors_are_on_the_front_page() -> None:
    from tokenwire import errors

    assert set(errors.__all__) - set(tokenwire._ROOMS["errors"]) == {"status_error"}


def test_what_the_type_checker_reads_is_what_runs() -> None:
    tree = ast.parse(Path(tokenwire.__file__).read_text("utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    homes: dict[str, str] = {}
    for node in block.body:
        if isinstance(node, ast.ImportFrom):
            assert node.module is not None
            for alias in node.names:
                assert alias.asname == alias.name, f"{alias.name} is not exported again"
                homes[alias.name] = node.module.removeprefix("tokenwire").removeprefix(".")
        else:
            assert isinstance(node, ast.Assign)
            assert isinstance(node.targets[0], ast.Name)
            assert isinstance(node.value, ast.Name)
            homes[node.targets[0].id] = "= " + node.value.id
    lazy = dict(tokenwire._HOME)
    lazy |= {alias: f"= {name}" for alias, name in tokenwire._ALIASES.items()}
    lazy |= dict.fromkeys(("backends", "server", "testing", "types", "wire"), "")
    assert homes == lazy
    assert set(tokenwire.__all__) == {*lazy, "__version__"}


def test_a_name_is_looked_up_once() -> None:
    vars(tokenwire).pop("Timeouts", None)
    assert tokenwire.Timeouts is vars(tokenwire)["Timeouts"]

"""Modules as they are elsewhere."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import pytest

__all__ = ["imported_without"]


def imported_without(module: ModuleType, other: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """This module, imported anew, where another cannot be had. Nobody else sees it."""
    assert module.__file__ is not None
    monkeypatch.setitem(sys.modules, other, None)
    spec = importlib.util.spec_from_file_location(f"{module.__name__}_without", module.__file__)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made

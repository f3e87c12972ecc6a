"""ServerLimits: what is no limit is told where it is made."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tokenwire.server import ServerLimits

NAMES = [field.name for field in dataclasses.fields(ServerLimits)]
MAY_BE_ZERO = {"shutdown", "stored", "stored_age"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [-1, -0.5, float("nan"), "1", []])
def test_what_is_no_limit(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"ServerLimits\.{name} must be a .*number.*, not "):
        ServerLimits(**{name: value})


@pytest.mark.parametrize("name", NAMES)
def test_zero(name: str) -> None:
    """keep_alive=0 is not "never": it would be a comment as soon as the one before has left, and so without end."""
    if name in MAY_BE_ZERO:
        assert getattr(ServerLimits(**{name: 0}), name) == 0
        return
    with pytest.raises(ValueError, match=rf"ServerLimits\.{name} must be a positive number.*, not 0"):
        ServerLimits(**{name: 0})


@pytest.mark.parametrize("name", NAMES)
def test_none(name: str) -> None:
    if name == "keep_alive":
        assert ServerLimits(keep_alive=None).keep_alive is None
        return
    with pytest.raises(ValueError, match=rf"ServerLimits\.{name} must be a .*number.*, not None"):
        ServerLimits(**{name: None})

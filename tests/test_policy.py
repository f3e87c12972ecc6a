"""Timeouts, Limits, Retry: tables."""

from __future__ import annotations

import dataclasses
import email.utils
import math
from typing import Any

import httpx
import pytest
from hypothesis import given, settings, strategies as st

from tokenwire.policy import DEFAULT_LIMITS, DEFAULT_TIMEOUTS, Limits, Retry, Timeouts, retry_after
from tokenwire.wire.heads import Headers

NOW = 1_750_000_000.0


# -- Timeouts --------------------------------------------------------------------


def test_the_official_defaults() -> None:
    assert Timeouts() == DEFAULT_TIMEOUTS
    assert dataclasses.asdict(DEFAULT_TIMEOUTS) == {
        "connect": 5.0,
        "write": 600.0,
        "read": 600.0,
        "first_event": 600.0,
        "event": 600.0,
        "total": None,
    }


@pytest.mark.parametrize("seconds", [2, 0.5, 1e9])
def test_a_number_is_every_clock_but_total(seconds: float) -> None:
    clocks = dataclasses.asdict(Timeouts.of(seconds))
    assert clocks.pop("total") is None
    assert set(clocks.values()) == {seconds}


def test_none_is_no_clock() -> None:
    assert set(dataclasses.asdict(Timeouts.of(None)).values()) == {None}


def test_timeouts_are_taken_as_they_are() -> None:
    timeouts = Timeouts(read=1.0, total=10.0)
    assert Timeouts.of(timeouts) is timeouts


def test_the_timeout_that_the_official_sdk_takes() -> None:
    expected = Timeouts(connect=2, write=None, read=60, first_event=60, event=60)
    assert Timeouts.of(httpx.Timeout(60, connect=2, write=None)) == expected


@pytest.mark.parametrize("seconds", [0, -1, -0.0, math.nan, -math.inf, "5", (1, 2), b"", object()])
def test_what_is_no_time(seconds: Any) -> None:
    with pytest.raises(ValueError, match="timeout must be a positive number of seconds, or None"):
        Timeouts.of(seconds)
    for clock in dataclasses.fields(Timeouts):
        with pytest.raises(ValueError, match=rf"Timeouts\.{clock.name} must be a positive number"):
            Timeouts(**{clock.name: seconds})


def test_values_cannot_be_changed_or_given_by_place() -> None:
    for value in (Timeouts(), Limits(), Retry()):
        name = dataclasses.fields(value)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, 1)
        with pytest.raises(TypeError):
            type(value)(1)  # type: ignore[call-arg] - that is the point


# -- Limits ------------------------------------------------------------------------


def test_the_bounds_that_are_documented() -> None:
    assert Limits() == DEFAULT_LIMITS
    assert DEFAULT_LIMITS.receive_buffer == 32 * 1024
    assert DEFAULT_LIMITS.event_bytes == 32 * 1024 * 1024


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("receive_buffer", 1),
        ("receive_buffer", 0),
        ("head_bytes", 0),
        ("chunk_line_bytes", 0),
        ("trailer_bytes", -1),
        ("event_bytes", 0),
        ("body_bytes", 0),
        ("expansion", 0.5),
        ("expansion", math.nan),
        ("max_connections", 0),
        ("max_idle", -1),
        ("idle_expiry", -0.1),
        ("pool_timeout", -1),
        ("max_connections", "5"),
        ("max_idle", None),
    ],
)
def test_bounds_that_nothing_could_meet(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"Limits\.{name} must be at least"):
        Limits(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("receive_buffer", 2),
        ("max_idle", 0),
        ("idle_expiry", 0),
        ("pool_timeout", 0),
        ("pool_timeout", None),
        ("expansion", 1),
    ],
)
def test_bounds_that_are_tight_and_can_be_met(name: str, value: Any) -> None:
    assert getattr(Limits(**{name: value}), name) == value


# -- Retry: whether -----------------------------------------------------------------

WANTED = {408, 409, 429, *range(500, 600)}


@pytest.mark.parametrize("said", [None, "true", "false", "TRUE", "", "yes"])
def test_whether_to_try_again(said: str | None) -> None:
    retry = Retry()
    headers = Headers([]) if said is None else Headers([(b"X-Should-Retry", said.encode())])
    for status in range(200, 600):
        expected = {"true": True, "false": False}.get(said or "", status in WANTED)
        assert retry.wants(status, headers) == expected


def test_two_retries() -> None:
    assert Retry().max_retries == 2


# -- Retry: when ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("taken", "random", "seconds"),
    [
        (0, 0.0, 0.5),
        (1, 0.0, 1.0),
        (2, 0.0, 2.0),
        (3, 0.0, 4.0),
        (4, 0.0, 8.0),
        (5, 0.0, 8.0),
        (1_000_000, 0.0, 8.0),
        (0, 1.0, 0.375),
        (0, 0.5, 0.4375),
        (4, 1.0, 6.0),
    ],
)
def test_the_back_off(taken: int, random: float, seconds: float) -> None:
    assert Retry().delay(taken, {}, wall_clock=NOW, random=random) == seconds


def test_the_back_off_is_the_callers() -> None:
    retry = Retry(first=0.1, longest=0.3, longest_asked=1.0)
    assert [retry.delay(n, {}, wall_clock=NOW, random=0.0) for n in range(4)] == [0.1, 0.2, 0.3, 0.3]
    assert retry.delay(0, {"retry-after": "1"}, wall_clock=NOW, random=0.0) == 1.0
    assert retry.delay(0, {"retry-after": "1.1"}, wall_clock=NOW, random=0.0) == 0.1


def date(ahead: float) -> str:
    return email.utils.formatdate(NOW + ahead, usegmt=True)


ASKED: list[tuple[dict[str, str], float | None]] = [
    ({}, None),
    ({"retry-after": "3"}, 3.0),
    ({"retry-after": "0"}, 0.0),
    ({"retry-after": "-3"}, -3.0),
    ({"retry-after": " 2.5 "}, 2.5),
    ({"retry-after-ms": "1500"}, 1.5),
    ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
    ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
    ({"retry-after-ms": "nan", "retry-after": "9"}, 9.0),
    ({"retry-after-ms": "inf"}, None),
    ({"retry-after": date(30)}, 30.0),
    ({"retry-after": date(-30)}, -30.0),
    ({"retry-after": "Sun, 15 Jun 2025 15:06:50 GMT"}, 10.0),
    ({"retry-after": "Sunday, 15-Jun-25 15:06:50 GMT"}, 10.0),  # RFC 850, obsolete
    ({"retry-after": "Sun Jun 15 15:06:50 2025"}, 10.0),  # asctime, obsolete
    ({"retry-after": "Sun, 15 Jun 2025 17:06:50 +0200"}, 10.0),
    ({"retry-after": "soon"}, None),
    ({"retry-after": ""}, None),
    ({"retry-after": "nan"}, None),
    ({"retry-after": "inf"}, None),
    ({"retry-after": "Sun, 99 Foo 99999 15:06:50 GMT"}, None),
    ({"retry-after": "Sun, 15 Jun 99999 15:06:50 GMT"}, None),
    ({"retry-after": "Sun, 15 Jun 999999999999999999999 15:06:50 GMT"}, None),
]


@pytest.mark.parametrize(("headers", "seconds"), ASKED)
def test_what_the_server_asks_for(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, wall_clock=NOW) == seconds
    delay = Retry().delay(0, headers, wall_clock=NOW, random=0.0)
    assert delay == (seconds if seconds is not None and seconds > 0 else 0.5)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "120"}, 120.0),
        ({"retry-after": "120.1"}, 0.5),
        ({"retry-after": "86400"}, 0.5),
        ({"retry-after-ms": "120000"}, 120.0),
        ({"retry-after-ms": "120001"}, 0.5),
        ({"retry-after": date(120)}, 120.0),
        ({"retry-after": date(121)}, 0.5),
    ],
)
def test_what_is_asked_for_is_honoured_up_to_two_minutes(headers: dict[str, str], seconds: float) -> None:
    assert Retry().delay(0, headers, wall_clock=NOW, random=0.0) == seconds


@settings(deadline=None, max_examples=200)
@given(
    st.one_of(
        st.text(max_size=30),
        st.lists(
            st.sampled_from(
                ["Sun", ",", " ", "15", "Jun", "2025", "99999", "15:06:50", "::", "GMT", "+9999", "-", "0", "1e999"]
            ),
            max_size=10,
        ).map("".join),
    )
)
def test_whatever_the_header_says_a_delay_comes_out(value: str) -> None:
    for headers in ({"retry-after": value}, {"retry-after-ms": value}):
        assert 0 < Retry().delay(0, headers, wall_clock=NOW, random=0.0) <= 120

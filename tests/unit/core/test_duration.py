"""Durations as people write them, and times as they read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.core.duration import DAY, HOUR, MINUTE, SECOND, in_words, microseconds, rfc3339
from agent_runtime.errors import InvalidRequest

TEN_YEARS = 3650 * DAY


@pytest.mark.parametrize(
    ("written", "span"),
    [
        (1, SECOND),
        (0.5, SECOND // 2),
        (1e-6, 1),
        (1e-9, 1),
        (timedelta(minutes=3), 3 * MINUTE),
        (timedelta(microseconds=1), 1),
        ("90s", 90 * SECOND),
        ("250ms", SECOND // 4),
        ("30m", 30 * MINUTE),
        ("1.5h", 90 * MINUTE),
        ("1h30m", 90 * MINUTE),
        ("1h 30m", 90 * MINUTE),
        ("2d", 2 * DAY),
        ("3650d", TEN_YEARS),
        (TEN_YEARS // SECOND, TEN_YEARS),
    ],
)
def test_what_people_write(written: Any, span: int) -> None:
    assert microseconds(written) == span


@pytest.mark.parametrize(
    "written",
    [
        *(0, -1, 0.0, -0.5, float("nan"), float("inf"), timedelta(0), timedelta(seconds=-1)),
        *("", " ", "30", "m", "-5m", "0s", "30 minutes", "1h,30m", "1e3s", "3651d", "1..5h", "٣m", "30M"),
        *(True, False, None, [], {}, b"30m", object()),
        TEN_YEARS // SECOND + 1,
    ],
)
def test_what_is_no_duration(written: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"^remind_after: "):
        microseconds(written, "remind_after")


@given(st.integers(1, TEN_YEARS))
def test_a_timedelta_keeps_every_microsecond(span: int) -> None:
    assert microseconds(timedelta(microseconds=span)) == span


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (0, "0 s"),
        (-5, "0 s"),
        (SECOND, "1 s"),
        (119 * SECOND, "119 s"),
        (2 * MINUTE, "2 min"),
        (15 * MINUTE + 29 * SECOND, "15 min"),
        (119 * MINUTE, "119 min"),
        (2 * HOUR, "2 h"),
        (2 * HOUR + 5 * MINUTE, "2 h 5 min"),
        (47 * HOUR + 59 * MINUTE, "47 h 59 min"),
        (2 * DAY, "2 d"),
        (3 * DAY + 4 * HOUR, "3 d 4 h"),
    ],
)
def test_in_words(span: int, words: str) -> None:
    assert in_words(span) == words


def test_rfc3339() -> None:
    assert rfc3339(None) is None
    assert rfc3339(0) == "1970-01-01T00:00:00.000000Z"
    assert rfc3339(1_790_000_000_123_456) == "2026-09-21T14:13:20.123456Z"


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)))  # noqa: DTZ001 - UTC is added below
def test_rfc3339_keeps_every_microsecond(moment: datetime) -> None:
    moment = moment.replace(tzinfo=UTC)
    at = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    shown = rfc3339(at)
    assert shown is not None
    assert datetime.fromisoformat(shown) == moment

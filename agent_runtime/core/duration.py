"""Durations as people write them, held as integer microseconds."""

from __future__ import annotations

import functools
import re
from datetime import UTC, datetime, timedelta

from agent_runtime.errors import InvalidRequest

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

Duration = int | float | str | timedelta
"""Seconds, a `timedelta`, or text such as "90s", "30m", "1h30m", "2d"."""

_UNITS = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "ms": 1000}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])", re.ASCII)


def microseconds(value: Duration, field: str = "duration") -> int:
    """`value` in microseconds, more than zero.

    Raises InvalidRequest naming `field` where it is no duration, not positive, or longer than ten years.
    """
    amount: float
    if isinstance(value, timedelta):
        amount = value.total_seconds() * SECOND
    elif isinstance(value, bool) or not isinstance(value, int | float | str):
        raise InvalidRequest(f"{field}: {value!r} is no duration; write seconds, a timedelta, or text such as '30m'")
    elif isinstance(value, int | float):
        amount = value * SECOND
    else:
        parts = _PART.findall(value)
        if not parts or "".join(number + unit for number, unit in parts) != value.replace(" ", ""):
            raise InvalidRequest(
                f"{field}: {value!r} is no duration; write seconds, or text such as '90s', '30m', '1h30m'"
            )
        amount = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not 0 < amount <= 3650 * DAY:
        raise InvalidRequest(f"{field}: must be more than zero and at most ten years")
    return max(1, round(amount))


def in_words(span: int) -> str:
    """`span` microseconds as a person says it: "45 s", "15 min", "2 h", "1 d 3 h"."""
    seconds = max(0, round(span / SECOND))
    if seconds < 120:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def rfc3339(at: int | None) -> str | None:
    """Epoch microseconds as RFC 3339 in UTC, or None."""
    if at is None:
        return None
    seconds, rest = divmod(at, SECOND)
    return f"{_to_the_second(seconds)}.{rest:06d}Z"


@functools.lru_cache(maxsize=1024)
def _to_the_second(seconds: int) -> str:
    """Most times that are shown together are of a few seconds."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat(timespec="seconds")

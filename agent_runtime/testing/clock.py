"""A clock that stands still until it is moved."""

from __future__ import annotations

import time

from agent_runtime.core.duration import Duration, microseconds


class ManualClock:
    """Epoch microseconds when called. Begins now."""

    def __init__(self) -> None:
        self._now = time.time_ns() // 1000

    def __call__(self) -> int:
        return self._now

    def advance(self, duration: Duration) -> None:
        """Moves on by seconds, a timedelta, or text such as "30m"; raises InvalidRequest for anything else."""
        self._now += microseconds(duration)

    def move_to(self, now: int) -> None:
        """Moves on to epoch microseconds `now`; an earlier time changes nothing."""
        self._now = max(self._now, now)

"""Where a process takes its time from, so that a step of the host's clock neither stops nor repeats anything."""

from __future__ import annotations

import time
from collections.abc import Callable


def wall_clock() -> int:
    """The host's clock, epoch microseconds; somebody may set it."""
    return time.time_ns() // 1000


def since_start() -> int:
    """Microseconds since some moment; nobody sets this clock."""
    return time.monotonic_ns() // 1000


class SteadyClock:
    """The host's clock, epoch microseconds, that never goes back.

    A step forward is followed at once. After a step back it goes on at half its speed until the host's clock has caught
    up: what was due stays due, work that was queued can be claimed, and pauses and leases still come to their ends.
    """

    def __init__(self, wall: Callable[[], int] = wall_clock, monotonic: Callable[[], int] = since_start) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._followed = (wall(), monotonic())
        """The host's clock when it was followed last, and when that was."""

    def __call__(self) -> int:
        wall, monotonic = self._wall(), self._monotonic()
        followed, at = self._followed
        slowly = followed + (monotonic - at) // 2
        if wall < slowly:
            return slowly
        self._followed = (wall, monotonic)
        return wall


system_clock = SteadyClock()
"""The time of this process, where the database has none of its own."""

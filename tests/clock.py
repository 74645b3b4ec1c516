"""A clock that tests move by hand."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable


class Clock:
    """Epoch microseconds that stand still until `advance` or `set`; call it, or read `now`.

    Moving it is awaited: on PostgreSQL, where time is the database's, the database is told.
    """

    def __init__(self, tell: Callable[[int], Awaitable[None]] | None = None) -> None:
        self._now = time.time_ns() // 1000
        self._tell = tell

    @property
    def now(self) -> int:
        return self._now

    def __call__(self) -> int:
        return self._now

    async def advance(self, microseconds: int) -> int:
        """Moves on (negative: back) and returns the new time; write `15 * MINUTE` with agent_runtime.core.duration."""
        return await self.set(self._now + microseconds)

    async def set(self, now: int) -> int:
        """Moves to `now`."""
        if self._tell is not None:
            await self._tell(now)
        self._now = now
        return now

"""A reasoner's own time limit. It stands still while the execution waits for people."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class RunClock:
    """Counts while it runs; None for no limit."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self.ran_out = False
        self._limit: asyncio.Timeout | None = None
        self._left: float | None = None

    @asynccontextmanager
    async def limit(self) -> AsyncIterator[None]:
        """Raises TimeoutError where the block runs longer; `ran_out` then tells it from the block's own."""
        async with asyncio.timeout(self.seconds) as limit:
            self._limit = None if self.seconds is None else limit
            try:
                yield
            finally:
                self.ran_out = limit.expired()
                self._limit = None

    def stop(self) -> None:
        """People have the word."""
        limit = self._limit
        if limit is not None and not limit.expired() and (until := limit.when()) is not None:
            self._left = until - asyncio.get_running_loop().time()
            limit.reschedule(None)

    def go_on(self) -> None:
        """The code has it again."""
        limit = self._limit
        if limit is not None and not limit.expired() and self._left is not None:
            limit.reschedule(asyncio.get_running_loop().time() + self._left)
            self._left = None

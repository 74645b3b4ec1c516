"""Connections for reads, kept open between them. asyncpg's pool spends more on lending one than a short read takes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy.engine import URL

from agent_runtime.store.postgres.connecting import READING, arguments, connect, disconnect
from agent_runtime.store.postgres.faults import broken

UNUSED = 300.0
"""Seconds after which a connection that nobody needed is closed, where others are in use."""


class Links:
    """Lends asyncpg connections, the one that was used last first; opens one where none is idle."""

    def __init__(self, url: URL, first: Any) -> None:
        self._arguments = arguments(url, READING)
        self._idle: deque[tuple[Any, float]] = deque([(first, time.monotonic())])

    @classmethod
    async def open(cls, url: URL) -> Links:
        """Raises StoreUnavailable or InvalidSetting where no connection can be had."""
        return cls(url, await connect(url, READING))

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Any]:
        """A connection for the block. What the block raises tells whether it can be used again."""
        link = await self._take()
        usable = False
        try:
            yield link
            usable = True
        except Exception as error:
            usable = not broken(error)
            raise
        finally:
            if usable:
                self._idle.append((link, time.monotonic()))
                self._close_unused()
            else:
                link.terminate()

    def renew(self) -> None:
        """Lets go of those that nobody uses now: what broke one is likely to have broken the others."""
        while self._idle:
            self._idle.pop()[0].terminate()

    async def close(self) -> None:
        """Closes what is idle; nothing may be lent any more."""
        while self._idle:
            await disconnect(self._idle.pop()[0])

    async def _take(self) -> Any:
        while self._idle:
            link, _ = self._idle.pop()
            if not link.is_closed():
                return link
        return await asyncpg.connect(**self._arguments)

    def _close_unused(self) -> None:
        while time.monotonic() - self._idle[0][1] > UNUSED:
            self._idle.popleft()[0].terminate()

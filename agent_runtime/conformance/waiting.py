"""Waiting for what other processes do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable


async def until(condition: Callable[[], Awaitable[object]], *, within: float, every: float = 0.1) -> bool:
    """Whether `condition` came true within so many seconds; asked again `every` so many."""
    end = time.monotonic() + within
    while not await condition():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(every)
    return True


async def stopped(*working: asyncio.Task[None]) -> None:
    """Ends what runs beside."""
    for one in working:
        one.cancel()
    await asyncio.gather(*working, return_exceptions=True)

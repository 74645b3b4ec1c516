"""Waiting for what will be so, and noticing that it never was."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 15.0


async def until(
    check: Callable[[], Awaitable[T | None]],
    what: str,
    *,
    within: float = PATIENCE,
    explain: Callable[[], str] = lambda: "",
) -> T:
    """What `check` returns once that is true; fails after `within` seconds, with what `explain` says."""
    end = time.monotonic() + within
    while not (found := await check()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {within:g} s: {what}\n{explain()}")
        await asyncio.sleep(0.03)
    return found

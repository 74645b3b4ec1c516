"""Waiting for one's turn in a lane: as fast as the other side takes it, and not at all while it asks for a pause."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from agent_runtime.delivery.notifier import RetryAfter
from agent_runtime.delivery.pacing import Pacing

LONGEST_WAIT = 20.0
"""Seconds that a delivery waits for its lane; past it the row goes back, and others take its place meanwhile."""


class LaneBusy(Exception):
    """Its turn is more than LONGEST_WAIT away: `seconds`. Nothing was tried."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the lane is busy for {seconds:.0f} s")
        self.seconds = seconds


@dataclass(slots=True)
class Lanes:
    """The lanes of one notifier."""

    pacing: Pacing

    async def enter(self, name: str) -> bool:
        """Returns at one's turn; whether it was at once. Raises LaneBusy."""
        wait = self.pacing.reserve(name, asyncio.get_running_loop().time(), LONGEST_WAIT)
        if wait > LONGEST_WAIT:
            raise LaneBusy(wait)
        if wait > 0:
            await asyncio.sleep(wait)
        return wait <= 0

    def block(self, name: str, error: RetryAfter) -> None:
        """Nothing more on this lane for as long as the other side asks for."""
        if error.seconds is not None:
            self.pacing.block(name, asyncio.get_running_loop().time() + error.seconds)

    def forget_idle(self) -> None:
        """Drops lanes that nobody uses."""
        self.pacing.forget_idle(asyncio.get_running_loop().time())


def edits(lane: str) -> str:
    """Edits are limited apart from posts, and must not wait behind them."""
    return f"{lane} (edits)"

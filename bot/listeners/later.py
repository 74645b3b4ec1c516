"""Work that goes on after the acknowledgement: answers to people, modals. Bounded, and waited for at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

log = structlog.get_logger(__name__)

AT_ONCE = 500
"""Past it, answers are dropped and logged, so that a flood of clicks does not grow without end."""

PATIENCE = 5.0
"""Seconds that `close` waits for what is under way."""


class Later:
    """Tasks that nobody awaits; their errors are logged."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, Any], what: str) -> None:
        """Runs `work` in the background; `what` names it in the log."""
        if len(self._tasks) >= AT_ONCE:
            work.close()
            log.error("slack: too much to answer at once; dropped", what=what)
            return
        task = asyncio.create_task(work, name=what)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def close(self) -> None:
        """Waits for what is under way, then ends it."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=PATIENCE)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("slack: background work failed", what=task.get_name(), exc_info=error)

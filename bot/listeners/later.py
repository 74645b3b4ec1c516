"""Work that goes on after the acknowledgement: answers to people, modals. Bounded, and waited for at the end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Hashable
from typing import Any

import structlog

from agent_runtime.errors import Overloaded

log = structlog.get_logger(__name__)

AT_ONCE = 500
"""Past it nothing is taken, and what asked for it is not acknowledged: a flood neither grows without end nor is met
with silence.
"""

OF_ONE_PERSON = 10
"""As many of these for one person, so that whoever clicks on everything does not take the answers of all others."""

PATIENCE = 5.0
"""Seconds that `close` waits for what is under way."""


class Later:
    """Tasks that nobody awaits; their errors are logged."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[Any], tuple[Hashable, str]] = {}
        self._named: set[Hashable] = set()
        self._for: Counter[str] = Counter()

    def under_way(self, name: Hashable) -> bool:
        """Whether what was spawned under this name has not ended yet."""
        return name in self._named

    def require_room(self, person: str = "") -> None:
        """Raises Overloaded where `spawn` would, for that person."""
        if len(self._tasks) >= AT_ONCE or (person and self._for[person] >= OF_ONE_PERSON):
            raise Overloaded("too much is being answered at once; try again in a moment")

    def spawn(self, work: Coroutine[Any, Any, Any], what: str, *, name: Hashable = None, person: str = "") -> None:
        """Runs `work` in the background; `what` stands in the log, `name` is for `under_way`. Raises Overloaded."""
        try:
            self.require_room(person)
        except Overloaded:
            work.close()
            raise
        task = asyncio.create_task(work, name=what)
        self._tasks[task] = (name, person)
        self._named.add(name)
        self._for[person] += 1
        task.add_done_callback(self._done)

    async def close(self) -> None:
        """Waits for what is under way, then ends it."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=PATIENCE)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _done(self, task: asyncio.Task[Any]) -> None:
        name, person = self._tasks.pop(task)
        self._named.discard(name)
        self._for[person] -= 1
        if not self._for[person]:
            del self._for[person]
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, Overloaded):
            log.warning("slack: too much to answer at once; left out", what=task.get_name())
        else:
            log.error("slack: background work failed", what=task.get_name(), exc_info=error)

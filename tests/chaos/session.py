"""One claimed execution on one replica, as the engine runs it, which can be stopped between any two of its writes."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from agent_runtime.core.execution import Execution
from agent_runtime.store.database import Database

Stop = int | str | None
"""A boundary by its number from 1 (0: before anything), by its name ("before X" or "after X": an operation or a tool),
or none.
"""

SESSION: contextvars.ContextVar[Session] = contextvars.ContextVar("session")


@dataclass
class Session:
    """One claimed execution on one replica, which stops for good or for a while at one boundary: `stop_at` is how many
    it passes, or what that is called.
    """

    worker_id: str
    stop_at: Stop
    claimed: Execution
    """As it was claimed, with the fence of that claim."""
    passed: int = 0
    in_effect: bool = False
    """A call of it stopped within the tool's own code, where nothing but a crash can be meant."""
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    running: asyncio.Task[None] | None = None
    writes: set[asyncio.Future[Any]] = field(default_factory=set)
    """Under way in the database, which a process that stops does not call back."""

    async def boundary(self, place: str, *, in_effect: bool = False) -> None:
        """Where it has stopped, or stops here, all that it does stops at its next boundary."""
        self.passed += 1
        if self.stop_at in {self.passed, place}:
            self.stopped.set()
        if self.stopped.is_set():
            self.in_effect |= in_effect and not self.woken.is_set()
            await self.woken.wait()

    async def still(self) -> None:
        """What it had sent when it stopped is committed."""
        while self.writes:
            await asyncio.wait(set(self.writes))


class Stopping:
    """The database as one session sees it, with a boundary before and after each write."""

    def __init__(self, database: Database, session: Session) -> None:
        self._database, self._session = database, session
        self.wakes, self.url, self.clock = database.wakes, database.url, database.clock
        self.one, self.all = database.one, database.all

    async def write(self, operation: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        await self._session.boundary(f"before {operation.__name__}")
        writing = asyncio.ensure_future(self._database.write(operation, *args, **kwargs))
        self._session.writes.add(writing)
        writing.add_done_callback(self._session.writes.discard)
        result = await writing
        await self._session.boundary(f"after {operation.__name__}")
        return result

"""What is stopped, as this worker last saw it: read every second, and at once where somebody announces a change.

A hint that ends work early. The transactions that claim an execution or start a gated call look for themselves.
"""

from __future__ import annotations

import asyncio

import structlog

from agent_runtime.core.switches import covering
from agent_runtime.errors import Overloaded, StoreUnavailable
from agent_runtime.operations.stop import TOPIC, stopped_by
from agent_runtime.store.database import Database
from agent_runtime.store.switches import SWITCHES

log = structlog.get_logger(__name__)


class Switchboard:
    """`require` raises Stopped; `until_resumed` waits."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stopped: frozenset[str] = frozenset()
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Follows the switches until it is cancelled; while the database is away they stay as they were."""
        with self._database.wakes.listen(TOPIC) as woken:
            while True:
                woken.clear()
                try:
                    await self.look()
                except (StoreUnavailable, Overloaded) as error:
                    log.warning("could not look at the stop switches", reason=error.message)
                await woken.wait()

    async def look(self) -> None:
        """Reads what is stopped now."""
        stopped = frozenset(switch.scope for switch in await self._database.all(SWITCHES))
        if stopped != self._stopped:
            log.warning("stop switches changed", stopped=sorted(stopped))
            self._stopped = stopped
            self._changed.set()
            self._changed = asyncio.Event()

    def covering(self, agent: str, tool: str | None = None) -> str:
        """The scope that stops an agent's work, or its call of a tool; "" where none does."""
        return covering(self._stopped, agent, tool) if self._stopped else ""

    def require(self, agent: str, tool: str | None = None) -> None:
        """Raises Stopped where something covers it."""
        if scope := self.covering(agent, tool):
            raise stopped_by(scope)

    async def until_resumed(self, agent: str) -> None:
        """Returns once nothing stops this agent."""
        while self.covering(agent):
            await self._changed.wait()

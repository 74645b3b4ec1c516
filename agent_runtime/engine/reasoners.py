"""The reasoners of a worker: those that run, and those that are parked in memory, up to a bound."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agent_runtime.agent import Agent
from agent_runtime.core.execution import Execution
from agent_runtime.engine.journaled import Journaled, Surroundings
from agent_runtime.engine.reasoning import Reasoning
from agent_runtime.engine.run_clock import RunClock
from agent_runtime.engine.tenure import Tenure
from agent_runtime.errors import InvalidDefinition
from agent_runtime.operations.claim import release_one
from agent_runtime.store.database import Database
from agent_runtime.store.executions import HOLDERS, HOLDERS_AT_ONCE


class Reasoners:
    """One copy of each coroutine at most. `taken_back` is called where one claims its execution by itself, to go on."""

    def __init__(
        self,
        database: Database,
        worker_id: str,
        around: Surroundings,
        parked_at_most: int,
        taken_back: Callable[[Execution], None],
    ) -> None:
        self._database = database
        self._worker_id = worker_id
        self._around = around
        self._parked_at_most = parked_at_most
        self._taken_back = taken_back
        self._here: dict[str, Reasoning] = {}
        self._parked: dict[str, Reasoning] = {}

    async def session(self, agent: Agent, execution: Execution) -> None:
        """Runs an execution that this worker has claimed until it parks or ends: the coroutine that is here, or a new
        one. Raises LostClaim, ModelUnavailable, …
        """
        self._parked.pop(execution.execution_id, None)
        reasoning = self._here.get(execution.execution_id)
        if reasoning is None:
            reasoning = self._new(agent, execution)
            self._here[execution.execution_id] = reasoning
        await reasoning.session(execution)

    async def settle(self, execution_id: str) -> None:
        """After a session: a parked coroutine stays, up to the bound; an ended or broken one goes."""
        reasoning = self._here.get(execution_id)
        if reasoning is None:
            return
        if not reasoning.parked:
            await self._drop(reasoning)
            return
        self._parked[execution_id] = reasoning
        while len(self._parked) > self._parked_at_most:
            oldest = next((parked for parked in self._parked.values() if parked.droppable), None)
            if oldest is None:
                return
            await self._drop(oldest)
            await self._database.write(release_one, oldest.execution, self._worker_id)

    async def check_parked(self) -> None:
        """Drops the copies whose executions others have claimed, or ended, meanwhile."""
        parked = list(self._parked)
        for first in range(0, len(parked), HOLDERS_AT_ONCE):
            ids = parked[first : first + HOLDERS_AT_ONCE]
            binds = {f"b_{n}": ids[n] if n < len(ids) else "" for n in range(HOLDERS_AT_ONCE)}
            for row in await self._database.all(HOLDERS, **binds):
                reasoning = self._parked.get(row.execution_id)
                if row.worker_id != self._worker_id and reasoning is not None:
                    await self._drop(reasoning)

    async def drop_all(self) -> None:
        """Cancels every coroutine; their executions go on from the journal, here or elsewhere."""
        await asyncio.gather(*(self._drop(reasoning) for reasoning in list(self._here.values())))

    async def _drop(self, reasoning: Reasoning) -> None:
        execution_id = reasoning.execution.execution_id
        if self._here.get(execution_id) is reasoning:
            del self._here[execution_id]
        if self._parked.get(execution_id) is reasoning:
            del self._parked[execution_id]
        await reasoning.drop()

    def _new(self, agent: Agent, execution: Execution) -> Reasoning:
        reasoner = agent.reasoners.get(execution.reasoner or "")
        if reasoner is None:
            raise InvalidDefinition(f"{agent.name} has no reasoner called {execution.reasoner!r} any more")
        clock = RunClock(reasoner.timeout_seconds)
        tenure = Tenure(execution, self._database, self._worker_id, clock, self._around.switchboard, self._taken_back)
        return Reasoning(reasoner, tenure, Journaled(agent, tenure, self._around))

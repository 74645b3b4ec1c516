"""The start of a call, committed before its effect. For an approved one it joins the transaction that claims its
execution, and so often that of the decision: they become durable together, and after one commit the function can run.

Nothing else is different: a start looks for itself, is guarded and recorded as it is alone.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from agent_runtime.agent import Agent
from agent_runtime.core.execution import Execution, Step, StepStatus
from agent_runtime.core.journal import Calls, next_action
from agent_runtime.engine.switchboard import Switchboard
from agent_runtime.operations.calls import start_call
from agent_runtime.operations.claim import Claim, claim
from agent_runtime.store.database import Database
from agent_runtime.store.intake import Request
from agent_runtime.tools import Tool


@dataclass(frozen=True, slots=True)
class Begun:
    """A call whose start is being committed; `since` is a time before that (monotonic seconds)."""

    fence: int
    since: float
    started: asyncio.Future[Step]


class Starting:
    """Starts calls for a worker."""

    def __init__(
        self, database: Database, switchboard: Switchboard, worker_id: str, agents: Mapping[str, Agent]
    ) -> None:
        self.database = database
        self._switchboard = switchboard
        self._worker_id = worker_id
        self._agents = agents
        self._begun: dict[str, dict[int, Begun]] = {}

    async def start(self, execution: Execution, tool: Tool, step: Step) -> tuple[Step, float]:
        """What `start_call` returns, which may have been committed with the claim, and a time before that (monotonic
        seconds). `step` is as this claim knows it: one that was started by an earlier claim is started again.
        """
        begun = self._taken(execution, step.position)
        if begun is not None:
            return begun.started.result(), begun.since
        since = time.monotonic()
        again = step.status == StepStatus.started
        started = await self.database.write(
            start_call, execution, step.position, tool.version, tool.validate, again=again
        )
        return started, since

    def joining(self, ran: Sequence[Request], since: float) -> Sequence[Request]:
        """The starts that join a transaction in which this worker claims."""
        return [
            self._along(claimed.execution, tool, step, since)
            for request in ran
            if request.operation is claim
            for claimed in request.result
            if claimed.execution.worker_id == self._worker_id
            for tool, step in self._ready(claimed)
        ]

    def forget(self, execution: Execution) -> None:
        """This claim is over; the next one may have begun its calls already. What nobody took is not run: whoever
        claims it next settles it.
        """
        starts = self._begun.get(execution.execution_id, {})
        self._keep(execution.execution_id, {at: one for at, one in starts.items() if one.fence > execution.fence})

    def _taken(self, execution: Execution, position: int) -> Begun | None:
        begun = self._begun.get(execution.execution_id, {}).pop(position, None)
        return begun if begun is not None and begun.fence == execution.fence and begun.started.done() else None

    def _ready(self, claimed: Claim) -> Iterator[tuple[Tool, Step]]:
        """The approved calls that the execution goes on with."""
        agent = self._agents.get(claimed.execution.agent)
        action = next_action(claimed.journal) if agent is not None and claimed.journal else None
        if agent is None or not isinstance(action, Calls):
            return
        for step in action.ready:
            tool = agent.tool(step.name) if step.status == StepStatus.approved else None
            if tool is not None and not self._switchboard.covering(agent.name, step.name):
                yield tool, step

    def _along(self, execution: Execution, tool: Tool, step: Step, since: float) -> Request:
        begun = Begun(execution.fence, since, asyncio.get_running_loop().create_future())
        begun.started.add_done_callback(functools.partial(self._look, execution.execution_id, step.position, begun))
        self._begun.setdefault(execution.execution_id, {})[step.position] = begun
        return Request(start_call, (execution, step.position, tool.version, tool.validate), {}, begun.started)

    def _look(self, execution_id: str, position: int, begun: Begun, started: asyncio.Future[Step]) -> None:
        """One that failed is tried again by itself, by whoever has the claim."""
        starts = self._begun.get(execution_id, {})
        if started.exception() is not None and starts.get(position) is begun:
            del starts[position]
            self._keep(execution_id, starts)

    def _keep(self, execution_id: str, starts: dict[int, Begun]) -> None:
        if starts:
            self._begun[execution_id] = starts
        else:
            self._begun.pop(execution_id, None)

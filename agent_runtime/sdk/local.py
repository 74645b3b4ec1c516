"""Executions of a database that this process has open."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import math
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

import structlog

from agent_runtime.agent import Agent
from agent_runtime.core.approval import ApprovalRequest, Decision, Outcome, Vote
from agent_runtime.core.duration import SECOND
from agent_runtime.core.execution import TERMINAL, Execution, ExecutionStatus, Step, StepKind
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.errors import NotFound, RuntimeClosed
from agent_runtime.operations.cancel import cancel
from agent_runtime.operations.edits import fitting
from agent_runtime.operations.resolve import resolve
from agent_runtime.operations.settle import settle
from agent_runtime.operations.start import Start
from agent_runtime.replica import GRACE, Replica
from agent_runtime.sdk.executions import WantedStart
from agent_runtime.sdk.snapshot import Snapshot, SnapshotRows, of_rows
from agent_runtime.store.agents import LIVE_WORKERS
from agent_runtime.store.approvals import OF_EXECUTION, VOTES
from agent_runtime.store.executions import CHILDREN, GET_EXECUTION, SHOWN, STANDING
from agent_runtime.store.statement import Q
from agent_runtime.store.steps import JOURNAL
from agent_runtime.store.wakes import EVERYTHING

log = structlog.get_logger(__name__)

R = TypeVar("R")

AT_REST = TERMINAL | {ExecutionStatus.waiting}

LOOK_EVERY = 1.0
"""Seconds between looks where nothing was announced: announcements are a hint, never the truth."""

ALIVE = 30 * SECOND
"""A worker without a heartbeat for this long serves nobody."""

FAMILY = 1_000
"""Executions whose approvals are looked for, from one execution down its calls."""

REMEMBERED = 1_000
"""Executions that this process moved and lets finish when it closes; past it the oldest are left to others."""


class LocalExecutions:
    """`Executions` on an open replica; decisions are those of the local operator."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self._database = replica.database
        self._moved: OrderedDict[str, None] = OrderedDict()
        self._closing = False

    async def deploy(self, *agents: Agent) -> None:
        await self.replica.deploy(*agents)

    async def start(self, wanted: WantedStart) -> str:
        if isinstance(wanted.agent, Agent):
            await self.replica.deploy(wanted.agent)
        name = wanted.agent_name
        request = Start(name, wanted.given, reasoner=wanted.reasoner, idempotency_key=wanted.idempotency_key)
        execution_id = (await self.replica.start_execution(request)).execution.execution_id
        self._will_move(execution_id)
        if not self.runs_here(name):
            await self._warn_unserved(name)
        return execution_id

    async def look(self, execution_id: str) -> Snapshot:
        snapshot = await self._look_if(lambda execution: True, execution_id)
        assert snapshot is not None
        return snapshot

    async def _look_if(self, wanted: Callable[[Any], bool], execution_id: str) -> Snapshot | None:
        """None where `wanted` says no to how the execution stands."""
        look = functools.partial(self._rows, wanted, execution_id)
        rows = await self._database.at_one_moment(look, self._unchanged)
        return None if rows is None else of_rows(rows)

    async def _rows(self, wanted: Callable[[Any], bool], execution_id: str) -> SnapshotRows | None:
        execution = await self._one(SHOWN, execution_id)
        if not wanted(execution):
            return None
        journal = await self._database.all(JOURNAL, b_id=execution_id)
        return SnapshotRows(execution, journal, await self._approvals(execution_id, journal))

    async def _unchanged(self, rows: SnapshotRows | None) -> bool:
        """Whether nothing was decided since; an execution that has ended stays as it is."""
        if rows is None or rows.execution.status in TERMINAL:
            return True
        now = await self._one(STANDING, rows.execution.execution_id)
        return bool(now.version == rows.execution.version)

    async def changed(self, since: Snapshot) -> Snapshot:
        topics = [f"execution:{since.execution_id}"]
        topics += (f"approval:{approval['approval_request_id']}" for approval in since.pending)
        if any(step.kind == StepKind.call for step in since.journal):
            topics.append("approvals")  # those of the executions that it called
        with self._database.wakes.listen(*topics) as woken:
            while not self._closing:
                woken.clear()
                snapshot = await self.look(since.execution_id)
                if snapshot != since:
                    return snapshot
                await _announced(woken)
        raise RuntimeClosed()

    async def settled(self, execution_id: str, seconds: float) -> Snapshot:
        until = asyncio.get_running_loop().time() + seconds
        snapshot = await self._reached(execution_id, AT_REST, until)
        try:
            while snapshot.running and self.runs_here(snapshot.agent):  # it waits for one that it called
                async with asyncio.timeout_at(until):
                    snapshot = await self.changed(snapshot)
        except TimeoutError:
            return await self.look(execution_id)
        return snapshot

    async def ended(self, execution_id: str) -> Snapshot:
        return await self._reached(execution_id, TERMINAL, also_elsewhere=True)

    async def _reached(
        self, execution_id: str, statuses: Collection[str], until: float = math.inf, *, also_elsewhere: bool = False
    ) -> Snapshot:
        """Once its status is one of these, or it is `until` (the loop's time); at once where it runs elsewhere and that
        is not waited for.
        """
        loop = asyncio.get_running_loop()

        def there(now: Any) -> bool:
            return now.status in statuses or loop.time() >= until or not (also_elsewhere or self.runs_here(now.agent))

        with self._database.wakes.listen(f"rest:{execution_id}") as woken:
            announced = False
            while not self._closing:
                woken.clear()
                if announced or there(await self._one(STANDING, execution_id)):
                    snapshot = await self._look_if(there, execution_id)
                    if snapshot is not None:
                        return snapshot
                announced = await _announced(woken, until)
        raise RuntimeClosed()

    def runs_here(self, agent: str) -> bool:
        return agent in self.replica.agents

    async def decide(self, approval_request_id: str, decision: Decision) -> bool:
        made = await self._database.write(
            resolve, approval_request_id, decision, by=LOCAL_OPERATOR, via=Via.sdk, fits=fitting(self.replica.agents)
        )
        self._will_move(made.approval.execution_id)
        return made.already_processed

    async def settle(self, approval_request_id: str, outcome: Outcome, result: Any, evidence: str) -> None:
        made = await self._database.write(
            settle,
            approval_request_id,
            outcome,
            by=LOCAL_OPERATOR,
            via=Via.sdk,
            result=result,
            evidence=evidence,
        )
        self._will_move(made.approval.execution_id)

    async def cancel(self, execution_id: str, reason: str) -> None:
        await self._database.write(cancel, execution_id, by=LOCAL_OPERATOR, via=Via.sdk, reason=reason)

    async def close(self) -> None:
        """What this process started or decided is let go on until it waits or ends; then the replica closes."""
        loop = asyncio.get_running_loop()
        until = loop.time() + GRACE
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    for execution_id in reversed(self._moved):
                        await self._let_finish(execution_id)
        finally:
            self._closing = True
            self._database.wakes.announce([EVERYTHING])
            await self.replica.close(max(0.0, until - loop.time()))

    async def _let_finish(self, execution_id: str) -> None:
        with self._database.wakes.listen(f"execution:{execution_id}") as woken:
            while True:
                woken.clear()
                if not self._under_way(await self._one(GET_EXECUTION, execution_id)):
                    return
                await _announced(woken)

    def _under_way(self, execution: Execution) -> bool:
        if not self.runs_here(execution.agent):
            return False
        if execution.status == ExecutionStatus.queued:
            return execution.run_after <= self._database.clock()
        return execution.worker_id == self.replica.worker.worker_id and execution.status == ExecutionStatus.running

    def _will_move(self, execution_id: str | None) -> None:
        if execution_id is not None:
            self._moved[execution_id] = None
            self._moved.move_to_end(execution_id)
            if len(self._moved) > REMEMBERED:
                self._moved.popitem(last=False)

    async def _one(self, q: Q[R], execution_id: str) -> R:
        row = await self._database.one(q, b_id=execution_id)
        if row is None:
            raise NotFound(f"no execution has the id {execution_id!r} in this database")
        return row

    async def _approvals(
        self, execution_id: str, journal: Sequence[Step]
    ) -> list[tuple[ApprovalRequest, Sequence[Vote]]]:
        """Its approvals with the votes on them, then those of the executions that it called, and so on down."""
        found: list[ApprovalRequest] = []
        family = [execution_id]
        for member in family:
            found += await self._database.all(OF_EXECUTION, b_execution=member)
            if any(step.kind == StepKind.call for step in journal):
                children = await self._database.all(CHILDREN, b_parent=member)
                family += [child.execution_id for child in children[: FAMILY - len(family)]]
        return [(approval, await self._votes(approval)) for approval in found]

    async def _votes(self, approval: ApprovalRequest) -> Sequence[Vote]:
        if approval.version == 1:  # nothing has happened to it yet
            return ()
        return await self._database.all(VOTES, b_id=approval.approval_request_id)

    async def _warn_unserved(self, agent: str) -> None:
        workers = await self._database.all(LIVE_WORKERS, b_since=self._database.clock() - ALIVE)
        if not any(agent in json.loads(worker.agents) for worker in workers):
            log.warning("queued: no live process serves this agent; start `countersign serve` with it", agent=agent)


async def _announced(woken: asyncio.Event, until: float = math.inf) -> bool:
    """Until something was announced; not after LOOK_EVERY, or `until` (the loop's time). Whether something was."""
    loop = asyncio.get_running_loop()
    looking = loop.call_at(min(loop.time() + LOOK_EVERY, until), woken.set)
    try:
        await woken.wait()
    finally:
        looking.cancel()
    return loop.time() < looking.when()

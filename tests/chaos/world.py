"""A deployment in one process whose clock stands still, and whose replicas can be stopped between any two writes.

The real engine and the real operations on a real SQLite file. A replica that is stopped keeps its claim, as a paused
process does; it is woken, or buried as one that crashed.
"""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from agent_runtime.agent import Agent
from agent_runtime.conformance.agents import Model
from agent_runtime.core.approval import ApprovalRequest, Decision, Outcome, Verdict
from agent_runtime.core.duration import HOUR, MINUTE, SECOND
from agent_runtime.core.execution import Execution
from agent_runtime.core.policy import Approval, Defaults
from agent_runtime.core.principal import LOCAL_OPERATOR, Actor, Via
from agent_runtime.engine.calls import Calls
from agent_runtime.engine.conversation import Conversation
from agent_runtime.engine.functions import Functions
from agent_runtime.engine.starting import Starting
from agent_runtime.engine.switchboard import Switchboard
from agent_runtime.errors import CountersignError, LostClaim
from agent_runtime.operations.claim import claim, heartbeat, retry_later, take_over_from
from agent_runtime.operations.deploy import deploy
from agent_runtime.operations.resolve import resolve
from agent_runtime.operations.settle import settle
from agent_runtime.operations.start import Start, start
from agent_runtime.operations.sweep import sweep
from agent_runtime.store.approvals import GET_APPROVAL, list_approvals
from agent_runtime.store.database import Database
from agent_runtime.store.executions import GET_EXECUTION, claim_queued
from agent_runtime.store.faults import Collision
from agent_runtime.store.steps import JOURNAL
from agent_runtime.tools import Tool
from tests.chaos.session import SESSION, Session, Stop, Stopping

AGENT = "machine"
REVIEWER, REVIEWER_2, STRANGER = "U0REVIEWER1", "U0REVIEWER2", "U0STRANGER1"
QUORUM = 2
"""Reviewers who have to approve a `keyed` call; of an `unsafe` one, one."""

EXPIRES_AFTER, VALID_FOR = HOUR, 30 * MINUTE
CLAIMABLE = claim_queued([AGENT])
PENDING = list_approvals(pending=True, status=False, kind=False, after=False)

WHO: dict[str, tuple[Actor, Via]] = {
    "operator": (LOCAL_OPERATOR, Via.api),
    "webhook": (Actor("webhook:approval-response", operator=True), Via.webhook),
    "reviewer": (Actor(f"slack:T1:{REVIEWER}", frozenset({REVIEWER})), Via.slack),
    "another": (Actor(f"slack:T1:{REVIEWER_2}", frozenset({REVIEWER_2})), Via.slack),
    "stranger": (Actor(f"slack:T1:{STRANGER}", frozenset({STRANGER})), Via.slack),
    "requester": (Actor("slack:T1:U0REQUESTER", frozenset({"U0REQUESTER", REVIEWER})), Via.slack),
}
REVIEWERS = frozenset({"reviewer", "another"})
PERMITTED = REVIEWERS | {"operator", "webhook"}


@dataclass(frozen=True)
class Happened:
    """An effect, as the outside world knows it."""

    execution_id: str
    kind: str
    reference: str
    key: str
    version: str
    """Of the tool whose code ran."""


class World:
    """Opened on the loop of `runner`; every method waits until what it does is done."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 1_800_000_000 * SECOND
        self.runner = asyncio.Runner()
        self.effects: list[Happened] = []
        self.sleeping: list[Session] = []
        self.executions: list[str] = []
        self.problems: list[str] = []
        self.workers = 0
        self.version = 1
        ids = itertools.count(1)  # what is drawn twice alike happens twice alike
        self._patched = [
            *(
                mock.patch(f"agent_runtime.{module}.time", SimpleNamespace(monotonic=lambda: self.now / SECOND))
                for module in ("engine.calls", "engine.starting", "store.batch")
            ),
            mock.patch("agent_runtime.core.ids.secrets", SimpleNamespace(randbits=lambda bits: next(ids))),
        ]
        for patched in self._patched:
            patched.start()
        self.agent = self._agent()
        self.runner.run(self._open())

    async def _open(self) -> None:
        self.database = await Database.open(f"sqlite+aiosqlite:///{self.path}", clock=lambda: self.now)
        self._functions = Functions()
        await self._deploy()

    async def _deploy(self) -> None:
        agent = self.agent
        await self.database.write(deploy, AGENT, agent.version, agent.definition(), by=LOCAL_OPERATOR)

    def close(self) -> None:
        async def end() -> None:
            for session in list(self.sleeping):
                await self._bury(session)
            self._functions.close()
            await self.database.close()

        self.runner.run(end())
        self.runner.close()
        for patched in self._patched:
            patched.stop()

    def _agent(self, version: str = "1") -> Agent:
        async def act(kind: str, reference: str, version: str, key: str = "") -> str:
            session = SESSION.get()
            await session.boundary(f"before {kind}", in_effect=True)
            self.effects.append(Happened(session.claimed.execution_id, kind, reference, key, version))
            await session.boundary(f"after {kind}", in_effect=True)
            return f"{kind} done"

        async def keyed(reference: str, idempotency_key: str) -> str:
            return await act("keyed", reference, "1", idempotency_key)

        async def unsafe(reference: str) -> str:
            return await act("unsafe", reference, version)

        def gate(quorum: int) -> Approval:
            return Approval(
                reviewers=[REVIEWER, REVIEWER_2],
                quorum=quorum,
                expires_in_hours=EXPIRES_AFTER / HOUR,
                valid_for=VALID_FOR / SECOND,
            )

        return Agent(
            AGENT,
            tools=[
                Tool(keyed, approval_required=True, approval=gate(QUORUM), effect="keyed"),
                Tool(unsafe, approval_required=True, approval=gate(1), version=version),
            ],
        )

    # --- what programs and people do ------------------------------------------------------------------------------

    def start(self, key: str) -> str:
        """Starts an execution under an idempotency key; its id."""
        wanted = Start(AGENT, {"prompt": f"{key} keyed unsafe"}, idempotency_key=key)
        by = Actor("slack:T1:U0REQUESTER", frozenset({"U0REQUESTER"}))
        begun = self.runner.run(self.database.write(start, wanted, by=by, via=Via.slack))
        execution_id = begun.execution.execution_id
        if begun.created:
            self.executions.append(execution_id)
        return str(execution_id)

    def decide(self, approval: ApprovalRequest, verdict: Verdict, who: str, digest: str | None) -> str:
        """The status that a decision led to, or the class of its refusal."""
        by, via = WHO[who]
        decision = Decision(verdict, digest=digest)
        try:
            resolution = self.runner.run(
                self.database.write(resolve, approval.approval_request_id, decision, by=by, via=via)
            )
        except CountersignError as refused:
            return type(refused).__name__
        return "repeated" if resolution.already_processed else str(resolution.approval.status)

    def settle(self, approval: ApprovalRequest) -> None:
        """As somebody does who looks where the effect would show."""
        looked_for = (approval.execution_id, approval.tool_name)
        happened = any((one.execution_id, one.kind) == looked_for for one in self.effects)
        outcome = Outcome.happened if happened and approval.position is not None else Outcome.not_happened
        result = "settled" if outcome is Outcome.happened else None
        self.runner.run(
            self.database.write(
                settle, approval.approval_request_id, outcome, by=LOCAL_OPERATOR, via=Via.cli, result=result
            )
        )

    # --- what replicas do -----------------------------------------------------------------------------------------

    def work(self, stop_at: Stop = None, *, along: bool = False) -> bool:
        """A replica claims the oldest execution that is queued, and runs it; whether there was one. `along`: its
        approved calls are started in the transaction of the claim.
        """
        return self.runner.run(self._work(stop_at, along))

    async def _work(self, stop_at: Stop, along: bool) -> bool:
        self.workers += 1
        worker_id = f"worker-{self.workers}"
        switchboard = Switchboard(self.database)
        starting = Starting(self.database, switchboard, worker_id, {self.agent.name: self.agent} if along else {})
        with self.database.joined(starting.joining):
            claims = await self.database.write(claim, CLAIMABLE, worker_id, 1, Defaults())
        if not claims:
            return False
        session = Session(worker_id, stop_at, claims[0].execution)
        database: Any = Stopping(self.database, session)
        starting.database = database
        calls = Calls(database, Defaults(), self._functions, switchboard, starting)
        conversation = Conversation.of(claims[0], self.agent, database, Model(), calls)
        SESSION.set(session)
        session.running = asyncio.create_task(self._run(conversation, claims[0].execution))
        if stop_at == 0:
            await self._bury(session)
            return True
        stopped = asyncio.create_task(session.stopped.wait())
        await asyncio.wait({session.running, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if session.stopped.is_set() and not session.running.done():
            await session.still()
            self.sleeping.append(session)
        else:
            self._ended(session)
        return True

    async def _run(self, conversation: Conversation, execution: Execution) -> None:
        try:
            await conversation.run()
        except (LostClaim, Collision) as lost:  # a sleeper finds that another has written at its place
            await self.database.write(retry_later, execution, delay=0, reason=lost.message)

    def _ended(self, session: Session) -> None:
        assert session.running is not None
        error = session.running.exception()
        if error is not None:
            self.problems.append("a session failed: " + "".join(traceback.format_exception(error)))

    def wake(self, session: Session) -> None:
        """A process that was paused goes on, and runs until it parks, ends or has lost its claim."""

        async def go_on() -> None:
            assert session.running is not None
            session.woken.set()
            await asyncio.wait({session.running})
            self._ended(session)

        self.sleeping.remove(session)
        overtaken, before = self._overtaken(session), self._recorded(session)
        self.runner.run(go_on())
        if overtaken and self._recorded(session) != before:
            self.problems.append(f"fence: {session.worker_id} wrote under a claim that another had taken over")

    def _overtaken(self, session: Session) -> bool:
        """Whether another holds its execution, and no call is left whose end is its own to record."""
        claimed = session.claimed
        mine = [one for one in self.journal(claimed.execution_id) if one.fence == claimed.fence]
        return self.execution(claimed.execution_id).fence > claimed.fence and not any(
            one.status == "started" for one in mine
        )

    def _recorded(self, session: Session) -> list[Any]:
        """All that is recorded of its execution."""
        connection = sqlite3.connect(self.path)
        try:
            return [
                connection.execute(
                    f"SELECT * FROM {table} WHERE execution_id = ?",
                    (session.claimed.execution_id,),
                ).fetchall()
                for table in ("executions", "steps", "approvals", "events")
            ]
        finally:
            connection.close()

    def bury(self, session: Session, *, noticed: bool) -> None:
        """A process that was stopped is dead; where that is `noticed`, its claims are taken over at once."""
        self.sleeping.remove(session)
        self.runner.run(self._bury(session))
        if noticed:
            self.runner.run(self.database.write(take_over_from, session.worker_id))

    async def _bury(self, session: Session) -> None:
        assert session.running is not None
        session.running.cancel()
        await asyncio.wait({session.running})

    def beat(self, session: Session) -> None:
        """A process that hangs in one place still keeps up its leases."""
        self.runner.run(self.database.write(heartbeat, session.worker_id))

    def release(self) -> None:
        """The next version of the `unsafe` tool is deployed, and what is claimed from now on runs with it."""
        self.version += 1
        self.agent = self._agent(str(self.version))
        self.runner.run(self._deploy())

    def advance(self, microseconds: int) -> None:
        self.now += microseconds

    def sweep(self) -> None:
        self.runner.run(self.database.write(sweep, Defaults()))

    # --- what somebody with access to the file does ---------------------------------------------------------------

    def tamper(self, table: str, column: str, forged: str, approval: ApprovalRequest) -> None:
        """Puts something else (`forged`, SQL) where what was approved is stored."""
        connection = sqlite3.connect(self.path, isolation_level=None)
        try:
            connection.execute(
                f"UPDATE {table} SET {column} = {forged} WHERE approval_request_id = ?",
                (approval.approval_request_id,),
            )
        finally:
            connection.close()

    # --- what is recorded -----------------------------------------------------------------------------------------

    def pending(self) -> list[ApprovalRequest]:
        return self.runner.run(self.database.all(PENDING, b_limit=200))

    def approval(self, approval_request_id: str) -> ApprovalRequest:
        [found] = self.runner.run(self.database.all(GET_APPROVAL, b_id=approval_request_id))
        return found

    def execution(self, execution_id: str) -> Execution:
        [found] = self.runner.run(self.database.all(GET_EXECUTION, b_id=execution_id))
        return found

    def journal(self, execution_id: str) -> list[Any]:
        return self.runner.run(self.database.all(JOURNAL, b_id=execution_id))

"""One execution, moved along by operations alone: what an engine would do, step by step."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from agent_runtime.agent import Agent
from agent_runtime.core.approval import ApprovalRequest, Decision, Verdict
from agent_runtime.core.execution import Execution, Step, StepStatus
from agent_runtime.core.policy import Defaults, Policy
from agent_runtime.core.principal import LOCAL_OPERATOR, Actor, Via
from agent_runtime.operations.advance import ProposedCall, record_reply
from agent_runtime.operations.calls import finish_call, start_call
from agent_runtime.operations.claim import Claim, claim, park
from agent_runtime.operations.deploy import deploy
from agent_runtime.operations.resolve import Resolution, resolve
from agent_runtime.operations.start import Start, start
from agent_runtime.store.approvals import GET_APPROVAL, OF_EXECUTION, PENDING_OF_EXECUTION
from agent_runtime.store.database import Database
from agent_runtime.store.events import EVENTS_OF_STREAM
from agent_runtime.store.executions import GET_EXECUTION, claim_queued
from agent_runtime.store.steps import JOURNAL
from tests.samples import REQUESTER, REVIEWERS

AGENT = Agent("refund_agent")
CLAIMABLE = claim_queued([AGENT.name])
ASKED_BY = Actor(REQUESTER, frozenset({"U9"}))
POLICY = Policy(reviewers=REVIEWERS)
APPROVE = Decision(Verdict.approved)
REJECT = Decision(Verdict.rejected, "Too much.")


def gated(
    tool_name: str = "refund", *, policy: Policy = POLICY, effect: str = "unsafe", version: str = "1", **arguments: Any
) -> ProposedCall:
    """A call that people have to approve."""
    return ProposedCall(f"call_{tool_name}", tool_name, arguments or {"order": "ORD-8821"}, version, effect, policy)


def free(tool_name: str = "look", *, effect: str = "idempotent", problem: str = "") -> ProposedCall:
    """A call that nothing gates."""
    return ProposedCall(f"call_{tool_name}", tool_name, {"order": "ORD-8821"}, "1", effect, problem=problem)


@dataclass
class Flow:
    """One execution and what is known of it. `held` is it as it was last claimed, with that claim's fence."""

    database: Database
    execution_id: str
    held: Execution | None = None
    worker_id: str = "worker-1"

    @classmethod
    async def started(cls, database: Database, *, by: Actor = ASKED_BY, **wanted: Any) -> Flow:
        """Deploys the agent and starts an execution of it."""
        await database.write(deploy, AGENT.name, AGENT.version, AGENT.definition(), by=LOCAL_OPERATOR)
        given = wanted.pop("given", {"prompt": "Refund ORD-8821"})
        queued = await database.write(start, Start(AGENT.name, given, **wanted), by=by, via=Via.slack)
        return cls(database, queued.execution.execution_id, queued.execution)

    @classmethod
    async def asked(cls, database: Database, *calls: ProposedCall, waiting: bool = True, **wanted: Any) -> Flow:
        """An execution whose model has proposed `calls` (one gated call by default), parked where `waiting`."""
        flow = await cls.started(database, **wanted)
        await flow.claim()
        await flow.propose(*(calls or (gated(),)))
        if waiting:
            await flow.park()
        return flow

    # --- what a worker does ---

    async def claim(self, worker_id: str | None = None) -> Claim:
        """Claims this execution, which is the only one that is queued."""
        self.worker_id = worker_id or self.worker_id
        [claimed] = await self.database.write(claim, CLAIMABLE, self.worker_id, 64, Defaults())
        assert claimed.execution.execution_id == self.execution_id
        self.held = claimed.execution
        return claimed

    async def propose(self, *calls: ProposedCall, words: str = "I will do that.", turn: int = 0) -> list[Step]:
        position = len(await self.journal())
        reply = {"message": {"role": "assistant", "content": words}}
        return await self.database.write(record_reply, self.held, position, turn, reply, calls)

    async def park(self, seen: int | None = None) -> str:
        signals = self.held.signals if seen is None else seen
        return await self.database.write(park, self.held, signals)

    async def start_call(self, position: int = 1, tool_version: str = "1", *, again: bool = False) -> Step:
        return await self.database.write(start_call, self.held, position, tool_version, again=again)

    async def finish_call(
        self, step: Step, status: StepStatus = StepStatus.succeeded, held: Execution | None = None, **result: Any
    ) -> Step:
        return await self.database.write(finish_call, held or self.held, step, status, result or {"value": "done"})

    # --- what people do ---

    async def resolve(
        self, decision: Decision = APPROVE, *, by: Actor = LOCAL_OPERATOR, via: Via = Via.api, position: int = 1
    ) -> Resolution:
        """Decides the newest approval of the call at `position`."""
        approval = await self.approval(position)
        return await self.database.write(resolve, approval.approval_request_id, decision, by=by, via=via)

    # --- what is recorded ---

    async def execution(self) -> Execution:
        found = await self.database.one(GET_EXECUTION, b_id=self.execution_id)
        assert found is not None
        return found

    async def journal(self) -> list[Step]:
        return await self.database.all(JOURNAL, b_id=self.execution_id)

    async def step(self, position: int = 1) -> Step:
        return (await self.journal())[position]

    async def result(self, position: int = 1) -> Any:
        """The recorded result of a step, parsed."""
        recorded = (await self.step(position)).result
        return None if recorded is None else json.loads(recorded)

    async def pending(self) -> list[ApprovalRequest]:
        return await self.database.all(PENDING_OF_EXECUTION, b_execution=self.execution_id)

    async def approvals(self, position: int | None = None) -> list[ApprovalRequest]:
        """Its approvals by position, each before the one that supersedes it; of one `position`, where that is given."""
        found = await self.database.all(OF_EXECUTION, b_execution=self.execution_id)
        chain = [one for one in found if one.supersedes is None]
        while len(chain) < len(found):
            chain += [
                one
                for one in found
                if one not in chain and one.supersedes in {each.approval_request_id for each in chain}
            ]
        return [one for one in sorted(chain, key=lambda one: one.position or 0) if position in {None, one.position}]

    async def approval(self, position: int = 1) -> ApprovalRequest:
        """The newest approval of the call at `position`."""
        return (await self.approvals(position))[-1]

    async def events(self, after: int = 0) -> list[Any]:
        """Its events after `after`, whose sequence is checked to be dense."""
        found = await self.database.all(EVENTS_OF_STREAM, b_stream=self.execution_id, b_after=0, b_limit=1000)
        assert [event.seq for event in found] == [*range(1, len(found) + 1)]
        return found[after:]

    async def types(self, after: int = 0) -> list[str]:
        return [event.type for event in await self.events(after)]


async def approval_of(database: Database, approval_request_id: str) -> ApprovalRequest:
    found = await database.one(GET_APPROVAL, b_id=approval_request_id)
    assert found is not None
    return found

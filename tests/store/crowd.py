"""Many executions at once, each waiting for the people it asked."""

from __future__ import annotations

import asyncio

from agent_runtime.agent import Agent
from agent_runtime.core.approval import ApprovalRequest
from agent_runtime.core.execution import Execution
from agent_runtime.core.policy import Defaults, Policy
from agent_runtime.core.principal import LOCAL_OPERATOR, Actor, Via
from agent_runtime.operations.advance import ProposedCall, record_reply
from agent_runtime.operations.claim import Claim, claim, park
from agent_runtime.operations.deploy import deploy
from agent_runtime.operations.start import Start, start
from agent_runtime.store.approvals import PENDING_OF_EXECUTION
from agent_runtime.store.database import Database
from agent_runtime.store.executions import GET_EXECUTION, claim_queued
from tests.samples import REQUESTER, REVIEWERS

AGENT = Agent("refund_agent")
CLAIMABLE = claim_queued([AGENT.name])
ASKED_BY = Actor(REQUESTER, frozenset({"U9"}))


async def queued(database: Database, executions: int) -> list[str]:
    """Ids of new executions that are queued."""
    await database.write(deploy, AGENT.name, AGENT.version, AGENT.definition(), by=LOCAL_OPERATOR)
    wanted = Start(AGENT.name, {"prompt": "Refund ORD-8821"})
    begun = await asyncio.gather(
        *(database.write(start, wanted, by=ASKED_BY, via=Via.slack) for _ in range(executions))
    )
    return [one.execution.execution_id for one in begun]


async def claimed(database: Database, limit: int, worker_id: str = "worker-1") -> list[Claim]:
    """What one worker claims."""
    return await database.write(claim, CLAIMABLE, worker_id, limit, Defaults())


async def running(database: Database, executions: int) -> list[Execution]:
    """New executions, claimed by one worker."""
    await queued(database, executions)
    held: list[Execution] = []
    while len(held) < executions:
        held += [one.execution for one in await claimed(database, 64)]
    return held


async def asking(
    database: Database, executions: int, *, calls: int = 1, policy: Policy | None = None
) -> list[tuple[Execution, list[ApprovalRequest]]]:
    """New executions that wait for `calls` approvals each."""
    proposed = [
        ProposedCall(f"call_{n}", "refund", {"order": "ORD-8821", "n": n}, "1", "unsafe", policy or Policy(REVIEWERS))
        for n in range(calls)
    ]

    async def ask(held: Execution) -> tuple[Execution, list[ApprovalRequest]]:
        await database.write(record_reply, held, 0, 0, {"message": {"role": "assistant", "content": ""}}, proposed)
        await database.write(park, held, held.signals)
        return held, await database.all(PENDING_OF_EXECUTION, b_execution=held.execution_id)

    return await asyncio.gather(*(ask(held) for held in await running(database, executions)))


async def execution(database: Database, execution_id: str) -> Execution:
    found = await database.one(GET_EXECUTION, b_id=execution_id)
    assert found is not None
    return found

"""A rolling deploy: the old and the new definition of an agent side by side on one database."""

from __future__ import annotations

import pytest

from agent_runtime.agent import Agent
from agent_runtime.core.approval import Decision, Verdict
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.operations.resolve import resolve
from agent_runtime.store.database import Database
from agent_runtime.tools import tool
from tests.engine.conftest import OpenReplica
from tests.engine.replies import Replies, calls, says
from tests.engine.running import Run

pytestmark = pytest.mark.databases("sqlite")
REPLIES = [calls(("refund", {"order": "ORD-1"})), says("Done.")]


async def approve(database: Database, run: Run) -> str:
    [approval] = await run.waits()
    decision = Decision(Verdict.approved)
    await database.write(resolve, approval.approval_request_id, decision, by=LOCAL_OPERATOR, via=Via.api)
    return approval.approval_request_id


async def test_a_parked_call_whose_tool_changed_asks_again_and_none_runs_with_the_wrong_tool(
    open_replica: OpenReplica,
) -> None:
    ran: list[str] = []

    @tool(name="refund", approval_required=True)
    async def old_refund(order: str) -> str:
        ran.append(f"old {order}")
        return "refunded"

    @tool(name="refund", approval_required=True, version="2")
    async def new_refund(order: str, currency: str = "EUR") -> str:
        ran.append(f"new {order} {currency}")
        return "refunded"

    @tool(name="refund", approval_required=True)
    async def same_refund(order: str) -> str:
        ran.append(f"same {order}")
        return "refunded"

    old = await open_replica(Replies(*REPLIES), Agent("changed", tools=[old_refund]), Agent("same", tools=[old_refund]))
    parked = await Run.begun(old, "changed")
    unchanged = await Run.begun(old, "same")
    await parked.waits()
    await unchanged.waits()
    version = (await parked.execution()).agent_version

    new = await open_replica(
        Replies(*REPLIES), Agent("changed", tools=[new_refund]), Agent("same", tools=[same_refund])
    )
    started = await Run.begun(old, "changed")  # through the old server, with the new definition
    assert (await started.execution()).agent_version != version
    await old.close()

    first = await approve(new.database, Run(new.database, parked.execution_id))
    again = Run(new.database, parked.execution_id)
    [asked] = await again.asks()
    while asked.approval_request_id == first:
        [asked] = await again.asks()
    assert asked.supersedes == first
    assert "the tool has changed" in (asked.context or "")
    assert ran == []
    await approve(new.database, again)
    assert await again.output() == "Done."
    assert ran == ["new ORD-1 EUR"]

    other = Run(new.database, unchanged.execution_id)
    await approve(new.database, other)
    assert await other.output() == "Done."
    assert ran == ["new ORD-1 EUR", "same ORD-1"]

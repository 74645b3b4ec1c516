"""The stop switch on a running replica: what runs ends its step, and what comes next waits until it is resumed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agent_runtime.agent import Agent
from agent_runtime.core.approval import Decision, Verdict
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.operations.resolve import resolve
from agent_runtime.operations.stop import resume, stop
from agent_runtime.store.database import Database
from agent_runtime.tools import tool
from tests.engine.conftest import OpenReplica
from tests.engine.replies import Replies, calls, says
from tests.engine.running import Run, until
from tests.reasoners.running import Answers, recorded
from tests.reasoners.running import begin as begin_reasoner

pytestmark = pytest.mark.databases("sqlite")
BY: dict[str, Any] = {"by": LOCAL_OPERATOR, "via": Via.cli}


async def held(run: Run) -> None:
    async def there() -> bool:
        execution = await run.execution()
        return execution.status == "queued" and (await run.types())[-1] == "execution.held"

    await until(run, there)


async def test_a_step_that_runs_ends_and_the_next_one_waits(open_replica: OpenReplica, live_database: Database) -> None:
    began, may_end = asyncio.Event(), asyncio.Event()

    @tool
    async def look() -> str:
        began.set()
        await may_end.wait()
        return "seen"

    model = Replies(calls(("look", {})), says("Done."))
    replica = await open_replica(model, Agent("an_agent", tools=[look]))
    run = await Run.begun(replica, "an_agent")
    await began.wait()
    await live_database.write(stop, "an_agent", **BY)  # another process
    await replica.worker.switchboard.look()
    may_end.set()
    await held(run)
    assert [step.status for step in await run.journal()] == ["succeeded", "succeeded"]
    assert len(model.requests) == 1
    later = await Run.begun(replica, "an_agent")
    await live_database.write(resume, "an_agent", **BY)
    assert [await run.output(), await later.output()] == ["Done.", "Done."]


async def test_an_approved_call_of_a_stopped_tool_waits_across_a_restart(open_replica: OpenReplica) -> None:
    ran: list[str] = []

    @tool(approval_required=True)
    async def refund(order: str) -> str:
        ran.append(order)
        return "refunded"

    agent = Agent("an_agent", tools=[refund])
    replies = [calls(("refund", {"order": "ORD-1"})), says("Done.")]
    first = await open_replica(Replies(*replies), agent)
    run = await Run.begun(first, "an_agent")
    [approval] = await run.waits()
    await first.database.write(stop, "refund", **BY)
    decision = Decision(Verdict.approved)
    await first.database.write(resolve, approval.approval_request_id, decision, by=LOCAL_OPERATOR, via=Via.api)
    await held(run)
    await first.close()
    second = await open_replica(Replies(*replies), agent)
    again = Run(second.database, run.execution_id)
    other = await Run.begun(second, "an_agent")  # its agent is not stopped
    await other.waits()
    assert ran == []
    await second.database.write(resume, "refund", **BY)
    assert await again.output() == "Done."
    assert ran == ["ORD-1"]


async def test_a_reasoner_waits_on_its_line(open_replica: OpenReplica) -> None:
    app, began, went_on = Agent("claims"), 0, asyncio.Event()
    go = asyncio.Event()

    @app.step
    async def assess(number: int) -> int:
        return number

    @app.reasoner()
    async def work() -> int:
        nonlocal began
        began += 1
        first = await assess(1)
        await go.wait()
        went_on.set()
        return first + await assess(2)

    replica = await open_replica(Answers(), app)
    run = await begin_reasoner(replica)
    await recorded(run, 1)
    await replica.database.write(stop, "", **BY)
    await replica.worker.switchboard.look()
    go.set()
    await went_on.wait()
    assert len(await run.journal()) == 1
    await replica.database.write(resume, "", **BY)
    assert await run.output() == 3
    assert began == 1

"""Starts of approved calls that are committed with the claim, and with the decision that led to it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from agent_runtime.agent import Agent
from agent_runtime.core.execution import StepStatus
from agent_runtime.engine.starting import Starting
from agent_runtime.engine.switchboard import Switchboard
from agent_runtime.errors import LostClaim
from agent_runtime.operations.stop import resume, stop
from agent_runtime.store.database import Database
from agent_runtime.tools import Tool, tool
from tests.engine.conftest import Begin, OpenReplica
from tests.engine.replies import Replies, calls, says
from tests.engine.running import Run
from tests.engine.test_stop import BY, held
from tests.flow import AGENT, Flow, gated


async def _refund(order: str) -> str:
    return f"refunded {order}"


REFUND = Tool(_refund, name="refund", approval_required=True)
WITH_IT = Agent(AGENT.name, tools=[REFUND])


async def approved(database: Database) -> Flow:
    """Its call is approved, and nobody has claimed it since."""
    flow = await Flow.asked(database, gated(version=REFUND.version))
    await flow.resolve()
    return flow


@contextmanager
def starting(database: Database, worker_id: str = "worker-1") -> Iterator[Starting]:
    """What a worker starts along with its claims, meanwhile."""
    along = Starting(database, Switchboard(database), worker_id, {AGENT.name: WITH_IT})
    with database.joined(along.joining):
        yield along


async def test_decision_claim_and_start_are_one_transaction(begin: Begin) -> None:
    run = await begin([calls(("refund", {"order": "ORD-1"})), says("Done.")], REFUND)
    await run.waits()
    await run.resolve()
    assert await run.output() == "Done."
    at = {event.type: event.at for event in await run.events()}
    assert at["approval.approved"] == at["call.started"] < at["call.succeeded"]
    begun = [event.at for event in await run.events() if event.type == "execution.claimed"]
    assert begun[-1] == at["call.started"]


async def test_every_approved_call_of_a_turn_is_started_and_no_other(begin: Begin) -> None:
    other = Tool(lambda: "wiped", name="wipe", approval_required=True)
    run = await begin([calls(("refund", {"order": "ORD-1"}), ("wipe", {})), says("Done.")], REFUND, other)
    await run.waits()
    await run.resolve(position=1)
    await run.has("succeeded", 1)
    assert (await run.step(2)).status == "gated"
    await run.resolve(position=2)
    assert await run.output() == "Done."
    assert [step.attempt for step in await run.journal()] == [0, 1, 1, 0]


async def test_the_worker_takes_what_was_started_with_its_claim(database: Database) -> None:
    flow = await approved(database)
    with starting(database) as along:
        before = time.monotonic()
        [*_, step] = (await flow.claim()).journal
        assert step.status == StepStatus.approved  # as it was when it was claimed
        assert (await flow.step()).status == StepStatus.started
        assert flow.held is not None
        begun, since = await along.start(flow.held, REFUND, step)
    assert (begun.status, begun.attempt, begun.fence) == ("started", 1, flow.held.fence)
    assert before <= since <= time.monotonic()
    assert (await flow.types()).count("call.started") == 1
    with pytest.raises(LostClaim, match="cannot start"):  # it was taken, and is not started twice
        await along.start(flow.held, REFUND, step)


async def test_another_workers_claim_starts_nothing_here(database: Database) -> None:
    flow = await approved(database)
    with starting(database, "worker-2"):
        await flow.claim("worker-1")
    assert (await flow.step()).status == StepStatus.approved


async def test_the_end_of_a_claim_forgets_no_start_of_the_next(database: Database) -> None:
    """The session that parked it may end after the decision has led to the next claim."""
    flow = await approved(database)
    with starting(database) as along:
        [*_, step] = (await flow.claim()).journal
        assert flow.held is not None
        along.forget(flow.held._replace(fence=flow.held.fence - 1))
        assert (await along.start(flow.held, REFUND, step))[0].attempt == 1


async def test_what_nobody_took_is_not_run_again_under_that_claim(database: Database) -> None:
    flow = await approved(database)
    with starting(database) as along:
        [*_, step] = (await flow.claim()).journal
        assert flow.held is not None
        along.forget(flow.held)
        with pytest.raises(LostClaim, match="cannot start"):
            await along.start(flow.held, REFUND, step)
    assert (await flow.types()).count("call.started") == 1


async def test_a_stop_that_the_worker_has_not_seen_stops_the_start_alone(
    open_replica: OpenReplica, live_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    @tool(approval_required=True)
    async def pay(order: str) -> str:
        ran.append(order)
        return "paid"

    replica = await open_replica(
        Replies(calls(("pay", {"order": "ORD-1"})), says("Done.")), Agent("an_agent", tools=[pay])
    )
    run = await Run.begun(replica, "an_agent")
    await run.waits()
    await live_database.write(stop, "pay", **BY)
    with monkeypatch.context() as blind:
        blind.setattr(replica.worker.switchboard, "covering", lambda *what: "")
        await run.resolve()
        await held(run)
    assert "call.started" not in await run.types()
    assert "approval.approved" in await run.types()
    await live_database.write(resume, "pay", **BY)
    assert await run.output() == "Done."
    assert ran == ["ORD-1"]


async def test_a_call_whose_tool_changed_meanwhile_is_asked_again(open_replica: OpenReplica) -> None:
    replies = [calls(("refund", {"order": "ORD-1"})), says("Done.")]
    first = await open_replica(Replies(*replies), Agent("an_agent", tools=[REFUND]))
    run = await Run.begun(first, "an_agent")
    await run.waits()
    await first.close()
    changed = Tool(_refund, name="refund", approval_required=True, version="2")
    second = await open_replica(Replies(*replies), Agent("an_agent", tools=[changed]))
    again = Run(second.database, run.execution_id)
    await again.resolve()
    [fresh] = await again.asks()
    assert "the tool has changed" in (fresh.context or "")
    await again.resolve()
    assert await again.output() == "Done."

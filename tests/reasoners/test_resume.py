"""`wait_for_resume`: nothing, one's own approval after a crash, one of an execution that ended; and who may not."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from agent_runtime.agent import Agent
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.operations.cancel import cancel
from agent_runtime.store.database import Database
from tests.engine.conftest import OpenReplica
from tests.engine.running import Run
from tests.reasoners.running import AGENT, Answers, asked, begin, decide, notes, recorded

Log = list[str]


def resilient(log: Log, agent: str = AGENT, **changes: Any) -> Agent:
    """Looks for a pending approval first, else assesses and pauses; pays where it is approved. `log` is what it did."""
    app = Agent(agent)

    @app.step
    async def pay(claim_id: str) -> str:
        log.append("paid")
        return "paid"

    @app.reasoner()
    async def process(claim_id: str) -> dict[str, str]:
        pending = await app.wait_for_resume(approval_request_id=f"claim-{claim_id}", timeout=3600)
        if pending:
            app.note("resumed")
            if not pending.approved:
                return {"way": "resumed", "decision": pending.decision, "feedback": pending.feedback}
            return {"way": "resumed", "decision": pending.decision, "pay": await pay(claim_id)}
        await app.ai(user="Assess.")
        result = await app.pause(approval_request_id=f"claim-{claim_id}")
        if not result.approved:
            return {"way": "straight", "decision": result.decision, "feedback": result.feedback}
        paid = await pay(claim_id)
        await changes.get("hold", asyncio.sleep)(0)
        return {"way": "straight", "decision": result.decision, "pay": paid}

    return app


async def waiting(database: Database, open_replica: OpenReplica, log: Log) -> Run:
    """An execution that waits for claim-1, and whose worker is gone."""
    replica = await open_replica(Answers(), resilient(log))
    run = await begin(replica, claim_id="1")
    await run.waits()
    await replica.close()
    return Run(database, run.execution_id)


async def test_nothing_pending_is_none_at_once(open_replica: OpenReplica) -> None:
    log: Log = []
    run = await begin(await open_replica(Answers(), resilient(log)), claim_id="1")
    await run.waits()
    await decide(run.database, "claim-1")
    assert await run.output() == {"way": "straight", "decision": "approved", "pay": "paid"}
    assert log == ["paid"]


@pytest.mark.parametrize("verdict", ["rejected", "request_changes"])
async def test_its_own_approval_decided_after_a_crash(
    live_database: Database, open_replica: OpenReplica, verdict: str
) -> None:
    log: Log = []
    run = await waiting(live_database, open_replica, log)
    await decide(live_database, "claim-1", verdict, "Hm.")
    model = Answers()
    await open_replica(model, resilient(log))
    assert await run.output() == {"way": "resumed", "decision": verdict, "feedback": "Hm."}
    assert model.asked == []
    assert await notes(run) == ["resumed"]


async def test_its_own_approval_is_waited_for_after_a_crash(open_replica: OpenReplica) -> None:
    """Replayed for another reason, it waits at the resumption and not at the pause."""
    app = Agent(AGENT)
    ways: Log = []

    @app.reasoner()
    async def process() -> list[str]:
        async def claim() -> str:
            pending = await app.wait_for_resume(approval_request_id="claim-1", timeout=3600)
            if pending:
                return f"resumed {pending.decision}"
            ways.append("pauses")
            return (await app.pause(approval_request_id="claim-1", name="claim")).decision

        async def other() -> str:
            return (await app.pause(approval_request_id="other", name="other")).decision

        return list(await asyncio.gather(claim(), other()))

    replica = await open_replica(Answers(), app, parked_at_most=0)
    run = await begin(replica)
    assert len(await run.waits()) == 2
    await decide(run.database, "other", "rejected")
    await asked(run, "claim-1")
    await decide(run.database, "claim-1")
    assert await run.output() == ["resumed approved", "rejected"]
    assert ways == ["pauses"]


async def test_a_crash_after_the_resumption_goes_the_same_way_again(
    live_database: Database, open_replica: OpenReplica
) -> None:
    log: Log = []
    run = await waiting(live_database, open_replica, log)
    await decide(live_database, "claim-1")
    app = resilient(log)
    begun, never = asyncio.Event(), asyncio.Event()

    @app.step
    async def slow() -> None:
        begun.set()
        await never.wait()

    process = app.reasoners["process"].function

    async def process_slowly(claim_id: str) -> Any:
        result = await process(claim_id)
        await slow()
        return result

    app.reasoners["process"].function = process_slowly
    second = await open_replica(Answers(), app)
    async with asyncio.timeout(30):
        await begun.wait()
    await second.close(0)
    await open_replica(Answers(), resilient(log))
    assert await run.output() == {"way": "resumed", "decision": "approved", "pay": "paid"}
    assert log == ["paid"]


async def test_a_crash_after_the_pause_was_answered_goes_straight_on(
    live_database: Database, open_replica: OpenReplica
) -> None:
    """What followed the pause is recorded there: going another way now would pay twice."""
    log: Log = []
    never = asyncio.Event()
    first = await open_replica(Answers(), resilient(log, hold=lambda _: never.wait()))
    run = Run(live_database, (await begin(first, claim_id="1")).execution_id)
    await run.waits()
    await decide(live_database, "claim-1")
    await recorded(run, 3)
    await first.close(0)
    await open_replica(Answers(), resilient(log))
    assert await run.output() == {"way": "straight", "decision": "approved", "pay": "paid"}
    assert log == ["paid"]


async def test_its_own_approval_in_the_same_life(open_replica: OpenReplica) -> None:
    app = Agent(AGENT)

    @app.step
    async def look() -> str:
        return "looked"

    @app.reasoner()
    async def process() -> list[str]:
        first = await app.pause(approval_request_id="claim-1")
        again = await app.wait_for_resume(approval_request_id="claim-1")
        assert again is not None
        return [first.decision, again.decision, again.feedback, await look()]

    run = await begin(await open_replica(Answers(), app, parked_at_most=0))
    await run.waits()
    await decide(run.database, "claim-1", feedback="Fine.")
    assert await run.output() == ["approved", "approved", "Fine.", "looked"]


async def given_up(app: Agent) -> None:
    """Asks for claim-1 and does not wait for the answer."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.02):
            await app.pause(approval_request_id="claim-1")


async def test_several_wait_for_one(open_replica: OpenReplica) -> None:
    app = Agent(AGENT)

    @app.reasoner()
    async def process() -> list[str]:
        await given_up(app)
        resumed = await asyncio.gather(*(app.wait_for_resume(approval_request_id="claim-1") for _ in range(3)))
        return [result.decision if result else "nothing" for result in resumed]

    run = await begin(await open_replica(Answers(), app))
    await run.waits()
    await decide(run.database, "claim-1")
    assert await run.output() == ["approved", "approved", "approved"]


# --- its time limit -----------------------------------------------------------------------------------------


async def test_a_wait_that_times_out_is_an_error_to_branch_on_and_stays_so(
    live_database: Database, open_replica: OpenReplica
) -> None:
    app = Agent(AGENT)
    nudged = []

    @app.step
    async def nudge(number: int) -> None:
        nudged.append(number)

    @app.reasoner()
    async def process() -> list[str]:
        await given_up(app)
        decisions = []
        for number in range(3):
            result = await app.wait_for_resume(approval_request_id="claim-1", timeout=0.02)
            assert result is not None
            decisions.append(f"{result.decision}: {result.feedback}")
            await nudge(number)
        result = await app.wait_for_resume(approval_request_id="claim-1")
        assert result is not None
        return [*decisions, result.decision]

    first = await open_replica(Answers(), app)
    run = Run(live_database, (await begin(first)).execution_id)
    await recorded(run, 7)
    [approval] = await run.waits()
    assert approval.status == "pending"
    await first.close()
    await decide(live_database, "claim-1")
    await open_replica(Answers(), app)
    assert await run.output() == ["error: nobody decided in time"] * 3 + ["approved"]
    assert nudged == [0, 1, 2]


# --- taken over from an execution that ended ----------------------------------------------------------------


async def ended_unused(database: Database, open_replica: OpenReplica, log: Log, verdict: str = "approved") -> Run:
    """An execution that was cancelled after people had decided, and before its code heard of it."""
    run = await waiting(database, open_replica, log)
    await decide(database, "claim-1", verdict, "Decided.")
    await database.write(cancel, run.execution_id, by=LOCAL_OPERATOR, via=Via.cli)
    return run


async def test_an_answer_that_an_ended_execution_did_not_use(
    live_database: Database, open_replica: OpenReplica
) -> None:
    log: Log = []
    ended = await ended_unused(live_database, open_replica, log)
    replica = await open_replica(Answers(), resilient(log))
    run = await begin(replica, claim_id="1")
    assert await run.output() == {"way": "resumed", "decision": "approved", "pay": "paid"}
    [approval] = await run.approvals()
    assert approval.approval_request_id == "claim-1"
    assert await ended.approvals() == []
    assert "approval.taken_over" in await run.types()

    third = await (await begin(replica, claim_id="1")).output()
    assert (third["type"], run.execution_id in third["message"]) == ("Conflict", True)
    assert log == ["paid"]


async def test_one_that_was_withdrawn_is_an_error(live_database: Database, open_replica: OpenReplica) -> None:
    log: Log = []
    run = await waiting(live_database, open_replica, log)
    await live_database.write(cancel, run.execution_id, by=LOCAL_OPERATOR, via=Via.cli)
    replica = await open_replica(Answers(), resilient(log))
    assert await (await begin(replica, claim_id="1")).output() == {
        "way": "resumed",
        "decision": "error",
        "feedback": "the execution has ended",
    }


async def test_a_live_execution_keeps_its_own(open_replica: OpenReplica) -> None:
    replica = await open_replica(Answers(), resilient([]))
    first = await begin(replica, claim_id="1")
    await first.waits()
    error = await (await begin(replica, claim_id="1")).output()
    assert error["type"] == "Conflict"
    assert f"{first.execution_id}, which resumes by itself" in error["message"]
    await decide(replica.database, "claim-1")
    assert (await first.output())["way"] == "straight"


async def test_another_input_does_not_take_it_over(live_database: Database, open_replica: OpenReplica) -> None:
    app = Agent(AGENT)

    @app.reasoner()
    async def process(claim_id: str) -> Any:
        pending = await app.wait_for_resume(approval_request_id="claim-1")
        return pending.decision if pending else (await app.pause(approval_request_id="claim-1")).decision

    first = await open_replica(Answers(), app)
    ended = Run(live_database, (await begin(first, claim_id="1")).execution_id)
    await ended.waits()
    await first.close()
    await decide(live_database, "claim-1")
    await live_database.write(cancel, ended.execution_id, by=LOCAL_OPERATOR, via=Via.cli)
    error = await (await begin(await open_replica(Answers(), app), claim_id="2")).output()
    assert error["type"] == "Conflict"
    assert "only an execution with the same agent, reasoner and input" in error["message"]

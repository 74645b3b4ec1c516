"""Calls that run while their execution is ended: let finish, and asked about where their worker dies over them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent_runtime.core.approval import Outcome
from agent_runtime.core.duration import SECOND
from agent_runtime.core.execution import LEASE, Step
from agent_runtime.core.policy import Defaults
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.engine.liveness import WorkerLock, dead_workers, lock_folder
from agent_runtime.engine.scheduler import Clockwork
from agent_runtime.engine.worker import beat, register
from agent_runtime.errors import LostClaim
from agent_runtime.operations.calls import ask_in_doubt
from agent_runtime.operations.cancel import cancel
from agent_runtime.operations.claim import take_over_from
from agent_runtime.operations.settle import settle
from agent_runtime.operations.sweep import sweep
from agent_runtime.store.database import Database
from tests.clock import Clock
from tests.flow import Flow, gated


async def cancelled_while_it_ran(database: Database) -> tuple[Flow, Step]:
    """An approved call that a live worker runs; its execution is cancelled meanwhile."""
    flow = await Flow.asked(database, gated(), gated("wipe", table="x"))
    await database.write(register, flow.worker_id, ["an_agent"])
    await flow.resolve()
    await flow.claim()
    running = await flow.start_call()
    await database.write(cancel, flow.execution_id, by=LOCAL_OPERATOR, via=Via.cli)
    return flow, running


async def test_one_whose_worker_died_is_asked_about(database: Database, clock: Clock) -> None:
    flow, _ = await cancelled_while_it_ran(database)
    assert await flow.pending() == []
    await clock.advance(LEASE)
    assert (await database.write(sweep)).orphaned == 1
    [asked] = await flow.pending()
    assert (asked.kind, asked.tool_name, asked.position) == ("in_doubt", "refund", 1)
    assert asked.expires_at is None
    assert (await flow.step()).status == "in_doubt"
    execution = await flow.execution()
    assert (execution.status, execution.open_approvals) == ("cancelled", 1)
    assert (execution.worker_id, execution.lease_until) == (None, None)
    assert (await flow.types())[-1] == "call.in_doubt"
    assert (await database.write(sweep)).orphaned == 0


@pytest.mark.databases("sqlite")
async def test_its_lock_shows_at_once_that_a_worker_beside_a_file_died(database: Database) -> None:
    """No lease has to run out: a free lock is the proof."""
    flow, _ = await cancelled_while_it_ran(database)
    folder = lock_folder(Path(database.url.database or ""))
    clockwork = Clockwork(database)
    with WorkerLock(folder, flow.worker_id):
        await clockwork.tick()
        assert await flow.pending() == [], "it lives, and may finish"
    (folder / flow.worker_id).touch()  # as one leaves it that was killed
    await clockwork.tick()
    [asked] = await flow.pending()
    assert (asked.kind, asked.tool_name, asked.position) == ("in_doubt", "refund", 1)
    execution = await flow.execution()
    assert (execution.status, execution.worker_id, execution.lease_until) == ("cancelled", None, None)
    assert dead_workers(folder) == []
    await clockwork.tick()
    assert len(await flow.pending()) == 1


async def test_one_that_nobody_ran_any_more_when_it_was_cancelled(database: Database, clock: Clock) -> None:
    """Its worker had died, and been taken over from."""
    flow = await Flow.asked(database)
    await flow.resolve()
    await flow.claim()
    await flow.start_call()
    await database.write(take_over_from, flow.worker_id)
    await database.write(cancel, flow.execution_id, by=LOCAL_OPERATOR, via=Via.cli)
    assert (await database.write(sweep)).orphaned == 1
    [asked] = await flow.pending()
    assert asked.kind == "in_doubt"


async def test_one_whose_worker_lives_is_let_finish(database: Database, clock: Clock) -> None:
    flow, running = await cancelled_while_it_ran(database)
    await clock.advance(LEASE)
    await database.write(beat, flow.worker_id, ["an_agent"])
    await clock.advance(SECOND)
    await database.write(sweep)
    assert await flow.pending() == []
    assert (await flow.execution()).worker_id == flow.worker_id
    await flow.finish_call(running, value="refunded")
    await clock.advance(LEASE)
    await database.write(sweep)
    assert (await flow.step()).status == "succeeded"
    assert await flow.pending() == []
    assert (await flow.execution()).worker_id is None


async def test_a_worker_that_slept_past_it_changes_nothing(database: Database, clock: Clock) -> None:
    flow, running = await cancelled_while_it_ran(database)
    await clock.advance(LEASE)
    await database.write(sweep)
    with pytest.raises(LostClaim):
        await flow.finish_call(running, value="refunded")
    assert (await flow.step()).status == "in_doubt"


@pytest.mark.parametrize(
    ("outcome", "status"),
    [(Outcome.happened, "succeeded"), (Outcome.not_happened, "failed"), (Outcome.stop, "failed")],
)
async def test_settled_after_the_end(database: Database, clock: Clock, outcome: Outcome, status: str) -> None:
    """What a person found is recorded; nothing runs, and the execution stays as it ended."""
    flow, _ = await cancelled_while_it_ran(database)
    await clock.advance(LEASE)
    await database.write(sweep)
    [asked] = await flow.pending()
    found = {"result": {"refund": "re_1"}} if outcome is Outcome.happened else {}
    await database.write(settle, asked.approval_request_id, outcome, by=LOCAL_OPERATOR, via=Via.cli, **found)
    step = await flow.step()
    assert step.status == status
    if outcome is Outcome.happened:
        assert json.loads(step.result or "{}")["value"] == {"refund": "re_1"}
    execution = await flow.execution()
    assert (execution.status, execution.open_approvals) == ("cancelled", 0)
    assert await flow.pending() == []


async def test_one_in_doubt_already_is_still_asked_after_a_cancellation(database: Database, clock: Clock) -> None:
    flow = await Flow.asked(database)
    await flow.resolve()
    await flow.claim()
    await flow.start_call()
    await clock.advance(LEASE)
    await database.write(sweep)
    await flow.claim("worker-2")
    await database.write(ask_in_doubt, flow.held, await flow.step(), "its process died", Defaults())
    await database.write(cancel, flow.execution_id, by=LOCAL_OPERATOR, via=Via.cli)
    [asked] = await flow.pending()
    assert asked.kind == "in_doubt"
    await database.write(
        settle, asked.approval_request_id, Outcome.happened, by=LOCAL_OPERATOR, via=Via.cli, result="re_1"
    )
    assert (await flow.result())["value"] == "re_1"

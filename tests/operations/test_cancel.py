"""cancel: an execution ends from outside, with all that it was waiting for."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from agent_runtime.core.execution import ExecutionStatus
from agent_runtime.core.policy import Defaults
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.errors import AlreadyResolved, Conflict, LostClaim, NotFound
from agent_runtime.operations.advance import complete
from agent_runtime.operations.calls import ask_in_doubt
from agent_runtime.operations.cancel import cancel
from agent_runtime.store.database import Database
from agent_runtime.store.outbox import DUE_DELIVERIES, EXECUTION_RESULT
from tests.clock import Clock
from tests.flow import ASKED_BY, POLICY, Flow, free, gated


async def stop(flow: Flow, reason: str = "") -> None:
    await flow.database.write(cancel, flow.execution_id, by=ASKED_BY, via=Via.slack, reason=reason)


@pytest.mark.parametrize("status", ["queued", "running", "waiting"])
async def test_whatever_has_not_ended_can_be_cancelled(database: Database, clock: Clock, status: str) -> None:
    flow = await (Flow.started(database) if status == "queued" else Flow.asked(database, waiting=status == "waiting"))
    assert (await flow.execution()).status == status
    fence = (await flow.execution()).fence
    seen = len(await flow.events())
    await stop(flow, "no longer needed")
    execution = await flow.execution()
    assert (execution.status, execution.finish_reason, execution.ended_at) == ("cancelled", "CANCELLED", clock.now)
    assert json.loads(execution.error or "{}") == {"type": "Cancelled", "message": "no longer needed"}
    assert (execution.worker_id, execution.lease_until) == (None, None)
    assert execution.fence == fence + 1
    assert await flow.pending() == []
    withdrawn = [] if status == "queued" else ["approval.cancelled"]
    assert await flow.types(seen) == ["execution.cancelled", *withdrawn]
    assert {event.principal for event in await flow.events(seen)} == {ASKED_BY.principal}


async def test_without_a_reason_it_says_who(database: Database) -> None:
    flow = await Flow.started(database)
    await stop(flow)
    assert json.loads((await flow.execution()).error or "{}")["message"] == f"cancelled by {ASKED_BY.principal}"


async def test_what_was_asked_is_withdrawn_and_cannot_be_decided(database: Database) -> None:
    flow = await Flow.asked(database, gated(), gated("wipe", table="x"), free())
    await flow.resolve(position=2)
    await stop(flow)
    first, second = await flow.approvals()
    assert (first.status, second.status) == ("cancelled", "approved")
    assert [step.status for step in await flow.journal()] == ["succeeded", "refused", "approved", "proposed"]
    assert (await flow.execution()).open_approvals == 0
    with pytest.raises(AlreadyResolved, match="already cancelled by"):
        await flow.resolve(position=1)
    assert (await flow.execution()).status == "cancelled"


async def test_nothing_approved_starts_after_it(database: Database) -> None:
    flow = await Flow.asked(database)
    await flow.resolve()
    await flow.claim()
    await stop(flow)
    with pytest.raises(LostClaim):
        await flow.start_call()
    assert (await flow.approval()).consumed_at is None


async def test_calls_whose_outcome_is_open_are_named(database: Database) -> None:
    flow = await Flow.asked(database, gated(), gated("wipe", table="x"), gated("mail", to="y"))
    for position in (1, 2):
        await flow.resolve(position=position)
    await flow.claim()
    await flow.start_call(1)
    doubtful = await flow.start_call(2)
    await database.write(ask_in_doubt, flow.held, doubtful, "it timed out", Defaults())
    await stop(flow, "enough")
    event = next(event for event in await flow.events() if event.type == "execution.cancelled")
    assert json.loads(event.data) == {"reason": "enough", "open_outcomes": [1, 2]}


async def test_cancelling_again_changes_nothing(database: Database) -> None:
    flow = await Flow.asked(database)
    await stop(flow)
    seen = await flow.events()
    await stop(flow, "another reason")
    assert await flow.events() == seen


async def test_what_ended_otherwise_stays_as_it_ended(database: Database) -> None:
    flow = await Flow.started(database)
    await flow.claim()
    await database.write(
        complete, flow.held, ExecutionStatus.succeeded, output={"result": "done"}, finish_reason="STOP"
    )
    with pytest.raises(Conflict, match="succeeded already"):
        await stop(flow)


async def test_an_unknown_id(database: Database) -> None:
    with pytest.raises(NotFound, match="'exe_none'"):
        await database.write(cancel, "exe_none", by=LOCAL_OPERATOR, via=Via.cli)


async def test_whoever_asked_is_told(database: Database, clock: Clock) -> None:
    flow = await Flow.asked(database, gated(policy=replace(POLICY, notified=True)), origin={"channel": "C1"})
    await stop(flow)
    due = await database.all(DUE_DELIVERIES, b_now=clock.now, b_limit=100)
    assert [row.subject for row in due if row.topic == EXECUTION_RESULT] == [flow.execution_id]


async def test_an_end_withdraws_what_is_still_asked(database: Database) -> None:
    flow = await Flow.asked(database, gated(), waiting=False)
    await database.write(
        complete,
        flow.held,
        ExecutionStatus.failed,
        output={"result": "x"},
        error={"type": "CollaborationError", "message": "rejected"},
        finish_reason="REJECTED",
    )
    assert (await flow.approval()).status == "cancelled"
    assert (await flow.types())[-2:] == ["execution.failed", "approval.cancelled"]

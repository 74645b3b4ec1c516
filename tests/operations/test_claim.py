"""claim: one worker at a time, by lease and fence; what leads nowhere is parked and asked about."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent_runtime.core.approval import Outcome
from agent_runtime.core.duration import SECOND
from agent_runtime.core.execution import LEASE, MAX_ATTEMPTS, ExecutionStatus
from agent_runtime.core.policy import Approval, Defaults
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.errors import LostClaim
from agent_runtime.operations.advance import complete, record_note, record_reply
from agent_runtime.operations.claim import (
    claim,
    hand_over,
    heartbeat,
    retry_later,
    take_over_from,
    take_over_lapsed,
)
from agent_runtime.operations.settle import settle
from agent_runtime.store.database import Database
from agent_runtime.store.events import code_version
from agent_runtime.store.executions import claim_queued
from tests.clock import Clock
from tests.flow import CLAIMABLE, Flow, free, gated


async def claims(database: Database, worker: str = "worker-1", limit: int = 64, agents: Any = CLAIMABLE) -> list[str]:
    claimed = await database.write(claim, agents, worker, limit, Defaults(Approval(reviewers=["U123"])))
    return [one.execution.execution_id for one in claimed]


async def test_a_claim_has_a_lease_a_fence_and_the_journal(database: Database, clock: Clock) -> None:
    flow = await Flow.asked(database)
    await flow.resolve()
    claimed = await flow.claim("worker-2")
    execution = claimed.execution
    assert (execution.status, execution.worker_id, execution.fence) == ("running", "worker-2", 2)
    assert (execution.lease_until, execution.attempts) == (clock.now + LEASE, 1)
    assert [step.status for step in claimed.journal] == ["succeeded", "approved"]
    event = (await flow.events())[-1]
    assert (event.type, json.loads(event.data)) == (
        "execution.claimed",
        {"worker_id": "worker-2", "fence": 2, "attempt": 1, "code_version": code_version()},
    )


async def test_only_queued_ones_of_known_agents_whose_time_has_come(database: Database, clock: Clock) -> None:
    flow = await Flow.started(database)
    assert await claims(database, agents=claim_queued(["another_agent"])) == []
    assert await claims(database) == [flow.execution_id]
    assert await claims(database, "worker-2") == []
    flow.held = await flow.execution()
    await database.write(retry_later, flow.held, delay=5 * SECOND, reason="the model is away")
    await clock.advance(5 * SECOND - 1)
    assert await claims(database) == []
    await clock.advance(1)
    assert await claims(database) == [flow.execution_id]


async def test_oldest_first_and_no_more_than_asked_for(database: Database, clock: Clock) -> None:
    started = []
    for _ in range(5):
        await clock.advance(1)
        started.append((await Flow.started(database)).execution_id)
    assert await claims(database, limit=2) == started[:2]
    assert await claims(database, limit=9) == started[2:]


# --- heartbeat and hand-over --------------------------------------------------------------------------------


async def test_a_heartbeat_extends_this_workers_leases(database: Database, clock: Clock) -> None:
    flow = await Flow.asked(database, waiting=False)
    await clock.advance(LEASE - 1)
    held = await database.write(heartbeat, "worker-1")
    assert held == {flow.execution_id: (1, 0)}
    assert (await flow.execution()).lease_until == clock.now + LEASE
    await clock.advance(LEASE - 1)
    assert await database.write(take_over_lapsed) == 0
    assert await database.write(heartbeat, "worker-2") == {}


async def test_a_lapsed_lease_goes_to_another_and_refuses_the_sleeper(database: Database, clock: Clock) -> None:
    flow = await Flow.asked(database, free(), gated(), waiting=False)
    sleeper = flow.held
    await clock.advance(LEASE)
    assert await database.write(take_over_lapsed) == 1
    assert await database.write(heartbeat, "worker-1") == {}
    await flow.claim("worker-2")
    journal, events = await flow.journal(), await flow.events()
    holder, flow.held = flow.held, sleeper
    with pytest.raises(LostClaim):
        await flow.propose(gated())
    with pytest.raises(LostClaim):
        await flow.start_call()
    with pytest.raises(LostClaim):
        await flow.finish_call(journal[1])
    with pytest.raises(LostClaim):
        await flow.park()
    with pytest.raises(LostClaim):
        await database.write(record_note, sleeper, 3, 0, "late")
    with pytest.raises(LostClaim):
        await database.write(
            complete, sleeper, ExecutionStatus.succeeded, output={"result": "late"}, finish_reason="STOP"
        )
    await database.write(retry_later, sleeper, delay=SECOND, reason="late")
    await database.write(hand_over, sleeper)
    assert await flow.journal() == journal
    assert await flow.events() == events
    assert (await flow.execution()).worker_id == "worker-2"
    flow.held = holder
    assert (await flow.start_call()).status == "started"


async def test_a_hand_over_is_no_failed_attempt(database: Database) -> None:
    flow = await Flow.started(database)
    for _ in range(MAX_ATTEMPTS + 3):
        await flow.claim()
        await database.write(hand_over, flow.held)
        assert (await flow.execution()).attempts == 0
    assert (await flow.types())[-1] == "execution.queued"


async def test_the_claims_of_a_dead_worker_are_taken_at_once(database: Database) -> None:
    flow = await Flow.asked(database, waiting=False)
    assert await database.write(take_over_from, "worker-2") == 0
    assert await database.write(take_over_from, "worker-1") == 1
    assert (await flow.execution()).status == "queued"
    assert (await flow.types())[-1] == "execution.taken_over"


# --- what leads nowhere -------------------------------------------------------------------------------------


async def poisoned(database: Database) -> Flow:
    """An execution whose worker died at every attempt."""
    flow = await Flow.started(database)
    for _ in range(MAX_ATTEMPTS):
        await flow.claim()
        await database.write(take_over_from, "worker-1")
    assert await claims(database) == []
    return flow


async def test_after_many_attempts_without_progress_people_are_asked(database: Database) -> None:
    flow = await poisoned(database)
    execution = await flow.execution()
    assert (execution.status, execution.open_approvals) == ("waiting", 1)
    [doubt] = await flow.pending()
    assert (doubt.kind, doubt.position, doubt.expires_at) == ("in_doubt", None, None)
    assert "10 times without progress" in doubt.title
    assert doubt.policy.reviewers == ("U123",)
    assert await flow.types(-2) == ["approval.requested", "execution.waiting"]


async def test_they_may_have_it_tried_again(database: Database) -> None:
    flow = await poisoned(database)
    [doubt] = await flow.pending()
    by = {"by": LOCAL_OPERATOR, "via": Via.cli}
    await database.write(settle, doubt.approval_request_id, Outcome.not_happened, **by)
    claimed = await flow.claim()
    assert claimed.execution.attempts == 1
    assert claimed.execution.open_approvals == 0


async def test_they_may_stop_it(database: Database) -> None:
    flow = await poisoned(database)
    [doubt] = await flow.pending()
    await database.write(settle, doubt.approval_request_id, Outcome.stop, by=LOCAL_OPERATOR, via=Via.cli)
    assert (await flow.execution()).status == "failed"


async def test_each_turn_is_progress(database: Database) -> None:
    flow = await Flow.started(database)
    for turn in range(MAX_ATTEMPTS + 3):
        await flow.claim()
        await flow.propose(turn=turn)
        await database.write(take_over_from, "worker-1")
    assert (await flow.execution()).attempts == 0


async def test_another_attempt_at_a_call_is_none(database: Database) -> None:
    flow = await Flow.asked(database, free(effect="keyed"), waiting=False)
    for attempt in range(1, MAX_ATTEMPTS + 2):
        assert (await flow.start_call(again=attempt > 1)).attempt == attempt
        await database.write(take_over_from, "worker-1")
        if attempt <= MAX_ATTEMPTS:
            await flow.claim()
    assert await claims(database) == []
    assert [approval.kind for approval in await flow.pending()] == ["in_doubt"]


# --- parking ------------------------------------------------------------------------------------------------


async def test_parked_it_holds_no_lease(database: Database) -> None:
    flow = await Flow.asked(database, waiting=False)
    assert await flow.park() == "waiting"
    execution = await flow.execution()
    assert (execution.status, execution.worker_id, execution.lease_until, execution.attempts) == (
        "waiting",
        None,
        None,
        0,
    )
    assert await claims(database) == []


async def test_with_news_it_is_queued_instead(database: Database) -> None:
    flow = await Flow.asked(database, gated(), gated("wipe", table="x"), waiting=False)
    await flow.resolve(position=1)
    seen = (await flow.execution()).signals
    await flow.resolve(position=2)
    assert await flow.park(seen) == "queued"
    assert await claims(database) == [flow.execution_id]


async def test_with_what_was_seen_it_waits(database: Database) -> None:
    flow = await Flow.asked(database, gated(), gated("wipe", table="x"), waiting=False)
    await flow.resolve(position=1)
    assert await flow.park((await flow.execution()).signals) == "waiting"
    await flow.resolve(position=2)
    assert (await flow.execution()).status == "queued"


async def test_a_sleepers_reply_is_refused_by_the_fence_before_its_steps_collide(database: Database) -> None:
    flow = await Flow.started(database)
    sleeper = (await flow.claim("worker-1")).execution
    await database.write(take_over_from, "worker-1")
    await flow.claim("worker-2")
    await flow.propose(gated())
    reply = {"message": {"role": "assistant", "content": "Late."}}
    with pytest.raises(LostClaim):
        await database.write(record_reply, sleeper, 0, 0, reply, [gated()], seen=0)
    assert [step.name for step in await flow.journal()] == ["model", "refund"]
    assert len(await flow.pending()) == 1

"""request: how an approval begins, together with the step that waits for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent_runtime.core.canonical import call_digest
from agent_runtime.core.duration import HOUR, MINUTE
from agent_runtime.core.ladder import DELIVERY_GRACE
from agent_runtime.core.policy import Policy
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.errors import LostClaim
from agent_runtime.operations.cancel import cancel
from agent_runtime.store.database import Database
from agent_runtime.store.outbox import APPROVAL_CARD, DUE_DELIVERIES, EXECUTION_PROGRESS
from tests.clock import Clock
from tests.flow import ASKED_BY, POLICY, Flow, free, gated
from tests.samples import REVIEWERS


async def test_a_gated_call_asks_in_the_transaction_of_the_reply(database: Database, clock: Clock) -> None:
    flow = await Flow.started(database, conversation_id="C1:1", origin={"channel": "C1"})
    await flow.claim()
    model, step = await flow.propose(gated(policy=Policy(reviewers=REVIEWERS, expires_after=HOUR, quorum=2)))
    approval = await flow.approval()
    assert (model.kind, model.position, step.kind, step.position) == ("model", 0, "tool", 1)
    assert (step.status, step.approval_request_id) == ("gated", approval.approval_request_id)
    assert (approval.kind, approval.status, approval.position) == ("tool", "pending", 1)
    assert (approval.execution_id, approval.conversation_id) == (flow.execution_id, "C1:1")
    assert (approval.tool_name, approval.tool_version, approval.arguments) == ("refund", "1", '{"order":"ORD-8821"}')
    assert approval.digest == step.digest == call_digest("refund", "1", {"order": "ORD-8821"}, None)
    assert (approval.requested_by, approval.agent) == (ASKED_BY.principal, "refund_agent")
    assert json.loads(approval.origin or "{}") == {"channel": "C1"}
    assert json.loads(approval.context or "{}") == {"words": "I will do that."}
    assert (approval.created_at, approval.clock_started_at, approval.expires_at) == (
        clock.now,
        clock.now,
        clock.now + HOUR,
    )
    assert approval.next_due_at == clock.now + HOUR - 10 * MINUTE
    assert (await flow.execution()).open_approvals == 1
    assert await flow.types() == ["execution.queued", "execution.claimed", "approval.requested"]
    asked = json.loads((await flow.events())[-1].data)
    assert asked["digest"] == approval.digest
    assert asked["policy"] == {"reviewers": list(REVIEWERS), "expires_after": HOUR, "quorum": 2}


async def test_several_calls_of_a_turn_each_have_their_own(database: Database) -> None:
    flow = await Flow.started(database)
    await flow.claim()
    steps = await flow.propose(free(), gated(), gated("wipe", table="orders"), free("broken", problem="no such tool"))
    assert [step.status for step in steps] == ["succeeded", "proposed", "gated", "gated", "failed"]
    assert await flow.journal() == steps
    assert [approval.tool_name for approval in await flow.pending()] == ["refund", "wipe"]
    assert (await flow.execution()).open_approvals == 2
    assert steps[4].result == '{"error":"no such tool"}'
    assert len({step.idempotency_key for step in steps[1:]}) == 4


async def test_where_somebody_is_notified_the_clock_waits_for_the_card(database: Database, clock: Clock) -> None:
    notified = Policy(reviewers=REVIEWERS, expires_after=HOUR, notified=True)
    flow = await Flow.asked(database, gated(policy=notified))
    approval = await flow.approval()
    assert (approval.clock_started_at, approval.expires_at) == (None, None)
    assert approval.next_due_at == clock.now + DELIVERY_GRACE
    shown = await database.all(DUE_DELIVERIES, b_now=clock.now, b_limit=10)
    assert [(row.topic, row.subject) for row in shown] == [(APPROVAL_CARD, approval.approval_request_id)]


async def test_where_nobody_is_notified_nothing_is_sent(database: Database, clock: Clock) -> None:
    await Flow.asked(database)
    assert await database.all(DUE_DELIVERIES, b_now=clock.now, b_limit=10) == []


async def test_an_execution_with_an_origin_shows_its_progress(database: Database, clock: Clock) -> None:
    flow = await Flow.asked(database, origin={"channel": "C1"})
    shown = await database.all(DUE_DELIVERIES, b_now=clock.now, b_limit=10)
    assert {(row.topic, row.subject) for row in shown} == {(EXECUTION_PROGRESS, flow.execution_id)}


async def test_a_lost_claim_asks_nobody(database: Database, clock: Clock) -> None:
    flow = await Flow.started(database)
    await flow.claim()
    await database.write(cancel, flow.execution_id, by=LOCAL_OPERATOR, via=Via.cli)
    with pytest.raises(LostClaim):
        await flow.propose(gated())
    assert await flow.approvals() == []
    assert await flow.journal() == []


@pytest.mark.parametrize("words", ["", "Because the parcel was lost."])
async def test_what_the_agent_said_is_kept_apart_from_the_title(database: Database, words: str) -> None:
    flow = await Flow.started(database)
    await flow.claim()
    await flow.propose(gated(), words=words)
    approval = await flow.approval()
    assert approval.title == "Approval needed: refund"
    stored: Any = json.loads(approval.context) if approval.context else None
    assert stored == ({"words": words} if words else None)


async def test_ids_are_new_each_time(database: Database) -> None:
    flow = await Flow.asked(database, gated(), gated())
    first, second = await flow.approvals()
    assert first.approval_request_id != second.approval_request_id
    assert first.policy == second.policy == POLICY

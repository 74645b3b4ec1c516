"""One call: what may start, with which arguments, what is asked again, and what is recorded of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import literal, update

from agent_runtime.core.approval import Kind
from agent_runtime.core.canonical import call_digest
from agent_runtime.core.duration import DAY, HOUR, SECOND
from agent_runtime.core.execution import LEASE, StepStatus
from agent_runtime.core.policy import Approval, Defaults
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.errors import InvalidRequest, LostClaim
from agent_runtime.operations.calls import ask_in_doubt, start_call
from agent_runtime.operations.cancel import cancel
from agent_runtime.operations.claim import take_over_from
from agent_runtime.store.database import Database
from agent_runtime.store.events import code_version
from agent_runtime.store.outbox import APPROVAL_CARD, DUE_DELIVERIES
from agent_runtime.store.schema import approvals, steps
from agent_runtime.store.statement import Q
from tests.clock import Clock
from tests.flow import AGENT, APPROVE, POLICY, REJECT, Flow, approval_of, free, gated
from tests.samples import reviewer

EDITS = replace(POLICY, allow_edits=True)
EDITED = replace(APPROVE, edited_arguments='{"order":"ORD-1"}')


async def approved(database: Database, *calls: object, **fields: object) -> Flow:
    """An execution with an approved call, claimed again."""
    flow = await Flow.asked(database, *calls, **fields)  # type: ignore[arg-type]
    await flow.resolve()
    await flow.claim()
    return flow


# --- started ------------------------------------------------------------------------------------------------


async def test_an_approved_call_starts_once_with_what_was_approved(database: Database, clock: Clock) -> None:
    flow = await approved(database)
    seen = len(await flow.events())
    step = await flow.start_call()
    assert (step.status, step.arguments, step.attempt, step.fence) == ("started", '{"order":"ORD-8821"}', 1, 2)
    assert step.started_at == clock.now
    assert await flow.step() == step
    approval = await flow.approval()
    assert approval.consumed_at == clock.now
    [event] = await flow.events(seen)
    assert (event.type, event.approval_request_id) == ("call.started", approval.approval_request_id)
    assert json.loads(event.data) == {
        "tool_name": "refund",
        "position": 1,
        "attempt": 1,
        "fence": 2,
        "idempotency_key": f"{flow.execution_id}:1",
        "digest": approval.digest,
        "tool_version": "1",
        "agent_version": AGENT.version,
        "code_version": code_version(),
    }


async def test_edited_arguments_are_what_starts_with_their_own_digest(database: Database) -> None:
    flow = await Flow.asked(database, gated(policy=EDITS))
    await flow.resolve(EDITED)
    await flow.claim()
    step = await flow.start_call()
    assert step.arguments == '{"order":"ORD-1"}'
    started = json.loads((await flow.events())[-1].data)
    assert started["digest"] == call_digest("refund", "1", {"order": "ORD-1"}, None)
    await flow.finish_call(step)
    assert await flow.result() == {"value": "done", "ran_with": {"order": "ORD-1"}}


async def test_arguments_that_were_edited_to_what_they_were_are_not_edited(database: Database) -> None:
    flow = await Flow.asked(database, gated(policy=EDITS))
    await flow.resolve(replace(APPROVE, edited_arguments='{"order":"ORD-8821"}'))
    await flow.claim()
    await flow.finish_call(await flow.start_call())
    assert await flow.result() == {"value": "done"}


async def test_edits_that_the_tool_cannot_take_do_not_start_but_are_asked_about_again(database: Database) -> None:
    """A door whose process has not loaded the tool lets them in."""

    def fits(arguments: Mapping[str, Any]) -> None:
        if arguments["order"] == "ORD-1":
            raise InvalidRequest("order: is unknown")

    flow = await Flow.asked(database, gated(policy=EDITS))
    await flow.resolve(EDITED)
    await flow.claim()
    step = await database.write(start_call, flow.held, 1, "1", fits)
    assert (step.status, step.arguments) == ("gated", '{"order":"ORD-8821"}')
    asked = await flow.approval()
    assert json.loads(asked.context or "{}") == {
        "why": "asked again: the edited arguments do not fit: order: is unknown"
    }
    await flow.resolve()
    await flow.finish_call(await database.write(start_call, flow.held, 1, "1", fits))
    assert await flow.result() == {"value": "done"}, "what runs in the end is what the agent proposed"


@pytest.mark.parametrize("decision", [None, REJECT])
async def test_a_call_that_nobody_approved_cannot_start(database: Database, decision: object) -> None:
    flow = await Flow.asked(database, waiting=False)
    if decision is not None:
        await flow.resolve(REJECT)
    seen = await flow.events()
    with pytest.raises(LostClaim):
        await flow.start_call()
    assert await flow.events() == seen
    assert len(await flow.approvals()) == 1


async def test_a_call_that_ended_cannot_start_again(database: Database) -> None:
    flow = await approved(database)
    await flow.finish_call(await flow.start_call())
    with pytest.raises(LostClaim):
        await flow.start_call()
    with pytest.raises(LostClaim):
        await flow.start_call(position=7)


async def test_what_was_started_starts_again_only_where_that_is_meant(database: Database) -> None:
    flow = await approved(database)
    await flow.start_call()
    with pytest.raises(LostClaim, match="cannot start"):
        await flow.start_call()
    assert (await flow.step()).attempt == 1


async def test_an_approval_that_was_used_is_not_used_again(database: Database) -> None:
    flow = await approved(database)
    await flow.start_call()
    back = (
        update(steps).where(steps.c.execution_id == flow.execution_id, steps.c.position == 1).values(status="approved")
    )
    await database.write(lambda tx: tx.run(Q(back.returning(literal(1).label("one")))))
    with pytest.raises(LostClaim, match="used up"):
        await flow.start_call()


# --- asked again --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("late", [-1, 0, 1])
async def test_past_its_validity_it_is_asked_again(database: Database, clock: Clock, late: int) -> None:
    flow = await approved(database)
    await clock.set(((await flow.approval()).valid_until or 0) + late)
    step = await flow.start_call()
    if late < 0:
        assert step.status == "started"
        return
    assert step.status == "gated"
    old, fresh = await flow.approvals()
    assert step.approval_request_id == fresh.approval_request_id
    assert (fresh.status, fresh.supersedes, fresh.position) == ("pending", old.approval_request_id, 1)
    assert (fresh.policy, fresh.digest, fresh.arguments) == (old.policy, old.digest, old.arguments)
    assert json.loads(fresh.context or "{}") == {"why": "asked again: the approval was not used in time"}
    assert old.consumed_at is None
    assert (await flow.execution()).open_approvals == 1
    assert await flow.park() == "waiting"
    await flow.resolve(by=reviewer("U1"))
    await flow.claim()
    assert (await flow.start_call()).status == "started"


async def test_a_tool_that_changed_is_asked_again_with_its_new_version(database: Database) -> None:
    flow = await approved(database)
    step = await flow.start_call(tool_version="2")
    assert (step.status, step.tool_version) == ("gated", "2")
    fresh = await flow.approval()
    assert fresh.digest == step.digest == call_digest("refund", "2", {"order": "ORD-8821"}, None)
    assert "the tool has changed" in (fresh.context or "")
    await flow.resolve()
    assert (await flow.start_call(tool_version="2")).status == "started"


@pytest.mark.parametrize(
    "changed", ["arguments", "edited arguments", "digest", "preview", "the step's name", "the step's digest"]
)
async def test_whatever_was_changed_after_the_approval_does_not_run(database: Database, changed: str) -> None:
    flow = await Flow.asked(database, gated(policy=EDITS))
    await flow.resolve(EDITED)
    await flow.claim()
    resolution = {**((await flow.approval()).resolution or {}), "edited_arguments": '{"order":"ORD-6666"}'}
    of_approval, of_step = approvals.c.execution_id, steps.c.execution_id
    tampering = {
        "arguments": update(approvals).where(of_approval == flow.execution_id).values(arguments='{"order":"ORD-6"}'),
        "edited arguments": update(approvals)
        .where(of_approval == flow.execution_id)
        .values(resolution=json.dumps(resolution)),
        "digest": update(approvals).where(of_approval == flow.execution_id).values(digest="sha256:other"),
        "preview": update(approvals).where(of_approval == flow.execution_id).values(preview='{"title":"Nothing"}'),
        "the step's name": update(steps).where(of_step == flow.execution_id).values(name="wipe"),
        "the step's digest": update(steps).where(of_step == flow.execution_id).values(digest="sha256:other"),
    }
    await database.write(lambda tx: tx.run(Q(tampering[changed].returning(literal(1).label("one")))))
    step = await flow.start_call()
    assert step.status == "gated"
    assert "not what was approved" in ((await flow.approval()).context or "")


async def test_the_model_is_told_of_edits_also_where_it_was_asked_again(database: Database, clock: Clock) -> None:
    flow = await Flow.asked(database, gated(policy=EDITS))
    await flow.resolve(EDITED)
    await flow.claim()
    await clock.advance(DAY)
    assert (await flow.start_call()).status == "gated"
    assert (await flow.approval()).arguments == '{"order":"ORD-1"}'
    await flow.resolve()
    await flow.finish_call(await flow.start_call())
    assert await flow.result() == {"value": "done", "ran_with": {"order": "ORD-1"}}


# --- after a lost claim -------------------------------------------------------------------------------------


async def test_another_attempt_has_the_same_key_and_arguments(database: Database) -> None:
    flow = await Flow.asked(database, gated(policy=EDITS, effect="keyed"))
    await flow.resolve(EDITED)
    await flow.claim("worker-1")
    first = await flow.start_call()
    await database.write(take_over_from, "worker-1")
    await flow.claim("worker-2")
    second = await flow.start_call(again=True)
    assert (first.attempt, second.attempt) == (1, 2)
    assert first.idempotency_key == second.idempotency_key
    assert first.arguments == second.arguments == '{"order":"ORD-1"}'
    await flow.finish_call(second)
    assert (await flow.result())["ran_with"] == {"order": "ORD-1"}


async def test_another_attempt_has_a_whole_lease_and_is_no_progress(database: Database, clock: Clock) -> None:
    """The look-up before it may have taken most of the lease."""
    flow = await Flow.asked(database, gated(effect="checkable"))
    await flow.resolve()
    await flow.claim("worker-1")
    await flow.start_call()
    await database.write(take_over_from, "worker-1")
    await flow.claim("worker-2")
    await clock.advance(LEASE - SECOND)
    await flow.start_call(again=True)
    execution = await flow.execution()
    assert (execution.lease_until, execution.attempts) == (clock.now + LEASE, 1)


async def test_the_sleeper_cannot_finish_what_another_has_taken(database: Database) -> None:
    flow = await Flow.asked(database, gated(effect="keyed"))
    await flow.resolve()
    sleeper = (await flow.claim("worker-1")).execution
    mine = await flow.start_call()
    await database.write(take_over_from, "worker-1")
    await flow.claim("worker-2")
    theirs = await flow.start_call(again=True)
    with pytest.raises(LostClaim, match="another worker"):
        await flow.finish_call(mine, held=sleeper)
    assert (await flow.step()).status == "started"
    await flow.finish_call(theirs)
    assert (await flow.step()).status == "succeeded"


async def test_the_sleeper_cannot_start_or_finish_a_free_call(database: Database) -> None:
    flow = await Flow.asked(database, free(), free("other", effect="unsafe"), waiting=False)
    sleeper = flow.held
    step = await flow.step()
    await database.write(take_over_from, "worker-1")
    await flow.claim("worker-2")
    with pytest.raises(LostClaim):
        await flow.finish_call(step, held=sleeper)
    flow.held, mine = sleeper, flow.held
    with pytest.raises(LostClaim):
        await flow.start_call(position=2)
    flow.held = mine
    await flow.finish_call(step)
    assert (await flow.step()).attempt == 1


# --- finished -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "result"), [(StepStatus.succeeded, {"value": {"ok": True}}), (StepStatus.failed, {"error": "no"})]
)
async def test_how_a_call_ended_is_recorded_and_shown(
    database: Database, clock: Clock, status: StepStatus, result: dict[str, object]
) -> None:
    flow = await approved(database, gated(policy=replace(POLICY, notified=True)))
    step = await flow.start_call()
    before = await flow.approval()
    shown = len(await database.all(DUE_DELIVERIES, b_now=clock.now, b_limit=100))
    await clock.advance(HOUR)
    finished = await flow.finish_call(step, status, **result)
    assert (finished.status, finished.ended_at) == (status.value, clock.now)
    assert await flow.result() == result
    event = (await flow.events())[-1]
    assert (event.type, event.approval_request_id) == (f"call.{status.value}", before.approval_request_id)
    assert (await flow.approval()).version == before.version + 1
    due = await database.all(DUE_DELIVERIES, b_now=clock.now, b_limit=100)
    assert [(row.topic, row.subject) for row in due[shown:]] == [(APPROVAL_CARD, before.approval_request_id)]


async def test_the_result_of_a_call_that_was_running_when_somebody_cancelled_is_kept(database: Database) -> None:
    flow = await approved(database)
    step = await flow.start_call()
    await database.write(cancel, flow.execution_id, by=LOCAL_OPERATOR, via=Via.cli)
    await flow.finish_call(step, value="refunded")
    assert (await flow.execution()).status == "cancelled"
    assert (await flow.step()).status == "succeeded"
    assert await flow.result() == {"value": "refunded"}
    assert (await flow.types())[-1] == "call.succeeded"


async def test_but_no_free_call_ends_after_that(database: Database) -> None:
    flow = await Flow.asked(database, free(), waiting=False)
    await database.write(cancel, flow.execution_id, by=LOCAL_OPERATOR, via=Via.cli)
    with pytest.raises(LostClaim):
        await flow.finish_call(await flow.step())


# --- in doubt -----------------------------------------------------------------------------------------------


async def test_an_unknown_outcome_is_asked_and_the_question_does_not_end_by_itself(database: Database) -> None:
    policy = replace(POLICY, expires_after=HOUR, quorum=1, allow_edits=True)
    flow = await approved(database, gated(policy=policy))
    step = await flow.start_call()
    seen = len(await flow.events())
    held = await database.write(ask_in_doubt, flow.held, step, "the process died", Defaults())
    doubt = await flow.approval()
    assert (held.status, held.approval_request_id) == ("in_doubt", doubt.approval_request_id)
    assert (doubt.kind, doubt.status, doubt.expires_at) == (Kind.in_doubt, "pending", None)
    assert doubt.policy == replace(policy, expires_after=None)
    assert doubt.supersedes == (await flow.approvals())[0].approval_request_id
    assert json.loads(doubt.context or "{}") == {
        "why": "the process died",
        "attempt": 1,
        "idempotency_key": step.idempotency_key,
    }
    assert await flow.types(seen) == ["approval.requested", "call.in_doubt"]
    assert (await flow.execution()).open_approvals == 1
    with pytest.raises(LostClaim):
        await flow.start_call()


async def test_the_card_before_says_that_a_newer_one_asks(database: Database, clock: Clock) -> None:
    flow = await Flow.asked(database, gated(policy=replace(POLICY, notified=True)))
    await flow.resolve()
    await flow.claim()
    started = await flow.start_call()
    before = await flow.approval()
    due = {"b_now": clock.now, "b_limit": 100}
    shown = {row.outbox_id for row in await database.all(DUE_DELIVERIES, **due)}
    await database.write(ask_in_doubt, flow.held, started, "its process died", Defaults())
    repainted = [row.subject for row in await database.all(DUE_DELIVERIES, **due) if row.outbox_id not in shown]
    assert repainted.count(before.approval_request_id) == 1
    assert (await approval_of(database, before.approval_request_id)).version > before.version


async def test_a_free_call_in_doubt_is_asked_of_the_environments_reviewers(database: Database) -> None:
    flow = await Flow.asked(database, free(effect="unsafe"), waiting=False)
    step = await flow.start_call()
    defaults = Defaults(Approval(reviewers=["U123"], expires_in_hours=1, quorum=2))
    await database.write(ask_in_doubt, flow.held, step, "it timed out", defaults)
    doubt = await flow.approval()
    assert (doubt.policy.reviewers, doubt.policy.quorum, doubt.expires_at) == (("U123",), 1, None)
    assert doubt.policy.rules == ("in_doubt",)

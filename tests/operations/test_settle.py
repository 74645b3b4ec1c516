"""settle: what becomes of a call whose effect nobody knows."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from agent_runtime.core.approval import Outcome
from agent_runtime.core.duration import DAY, HOUR
from agent_runtime.core.policy import Approval, Defaults
from agent_runtime.core.principal import LOCAL_OPERATOR, Actor, Via
from agent_runtime.errors import AlreadyResolved, InvalidRequest, NotAuthorized, NotFound
from agent_runtime.operations.calls import ask_in_doubt
from agent_runtime.operations.resolve import Resolution
from agent_runtime.operations.settle import settle
from agent_runtime.operations.sweep import sweep
from agent_runtime.store.database import Database
from tests.clock import Clock
from tests.flow import APPROVE, ASKED_BY, POLICY, REJECT, Flow, free, gated
from tests.samples import reviewer

TIMED = replace(POLICY, expires_after=HOUR, quorum=2)
EDITED = replace(APPROVE, edited_arguments='{"order":"ORD-1"}')


async def in_doubt(database: Database, *calls: Any, waiting: bool = True) -> Flow:
    """An execution whose approved call was started and then lost."""
    flow = await Flow.asked(database, *calls)
    await flow.resolve()
    await flow.claim()
    await doubt(flow, waiting=waiting)
    return flow


async def doubt(flow: Flow, *, waiting: bool = True) -> None:
    step = await flow.start_call()
    defaults = Defaults(Approval(reviewers=["U123"]))
    await flow.database.write(ask_in_doubt, flow.held, step, "the process died", defaults)
    if waiting:
        await flow.park()


async def settled(
    flow: Flow, outcome: Outcome, *, by: Actor = LOCAL_OPERATOR, via: Via = Via.cli, **said: Any
) -> Resolution:
    approval = await flow.approval()
    return await flow.database.write(settle, approval.approval_request_id, outcome, by=by, via=via, **said)


# --- the three outcomes -------------------------------------------------------------------------------------


async def test_it_happened(database: Database) -> None:
    flow = await in_doubt(database)
    seen = len(await flow.events())
    resolution = await settled(flow, Outcome.happened, result={"refund": "re_1"}, evidence="seen at the bank")
    assert resolution.approval.status == "approved"
    assert (await flow.step()).status == "succeeded"
    assert await flow.result() == {"value": {"refund": "re_1"}, "settled_by": "local:operator"}
    execution = await flow.execution()
    assert (execution.status, execution.open_approvals) == ("queued", 0)
    assert await flow.types(seen) == ["approval.approved", "execution.queued"]
    recorded = json.loads((await flow.events(seen))[0].data)
    assert (recorded["outcome"], recorded["feedback"], recorded["by"]) == (
        "happened",
        "seen at the bank",
        "local:operator",
    )


async def test_it_did_not_happen_so_it_is_asked_afresh_as_it_was_asked_before(database: Database, clock: Clock) -> None:
    flow = await Flow.asked(database, gated(policy=TIMED))
    await flow.resolve()
    await flow.claim()
    await doubt(flow)
    await clock.advance(DAY)
    await settled(flow, Outcome.not_happened)
    before, question, fresh = await flow.approvals()
    assert (before.status, question.status, fresh.status) == ("approved", "rejected", "pending")
    assert (fresh.kind, fresh.policy, fresh.supersedes) == ("tool", TIMED, question.approval_request_id)
    assert fresh.expires_at == clock.now + HOUR
    assert (fresh.digest, fresh.arguments) == (before.digest, before.arguments)
    step = await flow.step()
    assert (step.status, step.approval_request_id) == ("gated", fresh.approval_request_id)
    assert (await flow.execution()).open_approvals == 1
    await flow.claim()
    assert await flow.park() == "waiting"
    await flow.resolve()
    await flow.claim()
    started = await flow.start_call()
    assert (started.status, started.attempt, started.idempotency_key) == ("started", 2, step.idempotency_key)


async def test_it_is_to_stop(database: Database) -> None:
    flow = await in_doubt(database, gated(), gated("wipe", table="x"))
    resolution = await settled(flow, Outcome.stop, evidence="ask finance first")
    assert resolution.approval.status == "cancelled"
    execution = await flow.execution()
    assert (execution.status, execution.finish_reason) == ("failed", "STOPPED")
    assert json.loads(execution.error or "{}")["type"] == "InDoubt"
    assert (await flow.step()).status == "failed"
    assert await flow.pending() == []
    assert (await flow.step(2)).status == "refused"
    assert (await flow.types())[-1] == "approval.cancelled"


async def test_a_free_call_that_did_not_happen_is_asked_too(database: Database) -> None:
    flow = await Flow.asked(database, free(effect="unsafe"), waiting=False)
    await doubt(flow)
    await settled(flow, Outcome.not_happened)
    fresh = await flow.approval()
    assert (fresh.kind, fresh.status, fresh.policy.reviewers) == ("tool", "pending", ("U123",))
    await flow.resolve()
    await flow.claim()
    assert (await flow.start_call()).status == "started"


@pytest.mark.parametrize("outcome", [Outcome.happened, Outcome.not_happened])
async def test_the_model_is_told_of_edits_whatever_came_between(database: Database, outcome: Outcome) -> None:
    flow = await Flow.asked(database, gated(policy=replace(POLICY, allow_edits=True)))
    await flow.resolve(EDITED)
    await flow.claim()
    await doubt(flow)
    assert (await flow.approval()).arguments == '{"order":"ORD-1"}'
    await settled(flow, outcome, result="done")
    if outcome is Outcome.not_happened:
        await flow.resolve()
        await flow.claim()
        await flow.finish_call(await flow.start_call())
    assert (await flow.result())["ran_with"] == {"order": "ORD-1"}
    assert (await flow.result())["value"] == "done"


# --- who, and in what order it is refused -------------------------------------------------------------------


async def test_reviewers_settle_and_the_requester_does_not(database: Database) -> None:
    flow = await in_doubt(database)
    with pytest.raises(NotAuthorized):
        await settled(flow, Outcome.happened, by=replace(ASKED_BY, identities=frozenset({"U1"})), via=Via.slack)
    with pytest.raises(NotAuthorized):
        await settled(flow, Outcome.happened, by=reviewer("U8"), via=Via.slack)
    resolution = await settled(flow, Outcome.happened, by=reviewer("U1"), via=Via.slack, result=None)
    assert resolution.approval.decided_by == "slack:T1:U1"


async def test_a_plain_decision_never_settles_it(database: Database) -> None:
    flow = await in_doubt(database)
    for decision in (APPROVE, REJECT):
        with pytest.raises(InvalidRequest, match="settled"):
            await flow.resolve(decision)
    assert (await flow.approval()).pending


async def test_a_settlement_never_decides_a_plain_approval(database: Database) -> None:
    flow = await Flow.asked(database)
    for outcome in Outcome:
        with pytest.raises(InvalidRequest, match="decided, not settled"):
            await settled(flow, outcome)
    with pytest.raises(NotAuthorized):
        await settled(flow, Outcome.happened, by=reviewer("U8"), via=Via.slack)
    with pytest.raises(NotFound):
        await database.write(settle, "apr_none", Outcome.stop, by=LOCAL_OPERATOR, via=Via.cli)


async def test_a_result_that_has_no_json_form_settles_nothing(database: Database) -> None:
    flow = await in_doubt(database)
    with pytest.raises(InvalidRequest):
        await settled(flow, Outcome.happened, result={"amount": float("nan")})
    assert (await flow.approval()).pending
    assert (await flow.execution()).status == "waiting"


# --- settled before -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", Outcome)
async def test_the_same_again_changes_nothing(database: Database, outcome: Outcome) -> None:
    flow = await in_doubt(database)
    approval_request_id = (await flow.approval()).approval_request_id
    await settled(flow, outcome, result=1, evidence="e")
    seen = await flow.events()
    again = await database.write(
        settle, approval_request_id, outcome, by=LOCAL_OPERATOR, via=Via.api, result=1, evidence="e"
    )
    assert again.already_processed
    assert await flow.events() == seen


@pytest.mark.parametrize(
    ("outcome", "by", "said"),
    [
        (Outcome.stop, LOCAL_OPERATOR, {"result": 1, "evidence": "e"}),
        (Outcome.happened, reviewer("U1"), {"result": 1, "evidence": "e"}),
        (Outcome.happened, LOCAL_OPERATOR, {"result": 2, "evidence": "e"}),
        (Outcome.happened, LOCAL_OPERATOR, {"result": 1, "evidence": "other"}),
    ],
)
async def test_anything_else_is_told_who_was_first(
    database: Database, outcome: Outcome, by: Actor, said: dict[str, Any]
) -> None:
    flow = await in_doubt(database)
    await settled(flow, Outcome.happened, result=1, evidence="e")
    with pytest.raises(AlreadyResolved, match="by local:operator"):
        await settled(flow, outcome, by=by, **said)
    assert await flow.result() == {"value": 1, "settled_by": "local:operator"}


async def test_no_silence_settles_it(database: Database, clock: Clock) -> None:
    flow = await in_doubt(database, gated(policy=replace(POLICY, expires_after=HOUR)))
    await clock.advance(30 * DAY)
    await database.write(sweep)
    assert (await flow.approval()).pending
    assert (await flow.execution()).status == "waiting"


async def test_while_its_worker_still_runs_others(database: Database) -> None:
    flow = await in_doubt(database, waiting=False)
    await settled(flow, Outcome.happened, result=1)
    assert (await flow.execution()).status == "running"
    assert await flow.park() == "queued"

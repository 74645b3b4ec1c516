"""resolve: the one way an approval ends and a waiting execution goes on."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from sqlalchemy import select

from agent_runtime.core.approval import ApprovalStatus, Decision, Verdict
from agent_runtime.core.canonical import call_digest
from agent_runtime.core.deciding import Ended
from agent_runtime.core.duration import DAY, HOUR
from agent_runtime.core.policy import Policy
from agent_runtime.core.principal import LOCAL_OPERATOR, Actor, Via
from agent_runtime.errors import (
    AlreadyResolved,
    ApprovalExpired,
    InvalidRequest,
    NotAuthorized,
    NotFound,
    StaleDigest,
)
from agent_runtime.operations.resolve import end, resolve
from agent_runtime.store.approvals import VOTES
from agent_runtime.store.database import Database
from agent_runtime.store.outbox import APPROVAL_CARD, APPROVAL_NOTE, DUE_DELIVERIES
from agent_runtime.store.schema import decisions
from agent_runtime.store.statement import Q
from tests.clock import Clock
from tests.flow import APPROVE, ASKED_BY, POLICY, REJECT, Flow, gated
from tests.samples import reviewer

TWO = replace(POLICY, quorum=2)
NOTIFIED = replace(POLICY, notified=True)


async def test_an_approval_lets_the_execution_go_on(database: Database, clock: Clock) -> None:
    flow = await Flow.asked(database)
    assert (await flow.execution()).status == "waiting"
    seen = len(await flow.events())
    await clock.advance(90_000_000)
    resolution = await flow.resolve(by=reviewer("U1"), via=Via.slack)
    approval = resolution.approval
    assert not resolution.already_processed
    assert approval == await flow.approval()
    assert (approval.status, approval.decided_by, approval.resolved_at) == ("approved", "slack:T1:U1", clock.now)
    assert approval.valid_until == clock.now + DAY
    assert approval.next_due_at is None
    assert (await flow.step()).status == "approved"
    execution = await flow.execution()
    assert (execution.status, execution.open_approvals, execution.run_after) == ("queued", 0, clock.now)
    decided, queued = await flow.events(seen)
    assert (decided.type, decided.principal, decided.via) == ("approval.approved", "slack:T1:U1", "slack")
    assert (queued.type, queued.principal) == ("execution.queued", "system")
    data = json.loads(decided.data)
    assert (data["digest"], data["seconds_to_decide"]) == (approval.digest, 90)


@pytest.mark.parametrize(
    ("verdict", "word"), [(Verdict.rejected, "rejected"), (Verdict.request_changes, "changes requested")]
)
async def test_a_refusal_answers_the_call_in_the_persons_words(database: Database, verdict: Verdict, word: str) -> None:
    flow = await Flow.asked(database)
    resolution = await flow.resolve(Decision(verdict, "At most 20."), by=reviewer("U2"))
    assert resolution.approval.status == verdict.value
    assert resolution.approval.valid_until is None
    step = await flow.step()
    assert (step.status, step.ended_at) == ("refused", resolution.approval.resolved_at)
    assert await flow.result() == {"refusal": word, "feedback": "At most 20.", "by": "slack:T1:U2"}
    assert (await flow.execution()).status == "queued"


async def test_a_running_execution_is_told_to_look_again(database: Database) -> None:
    flow = await Flow.asked(database, waiting=False)
    before = (await flow.execution()).signals
    with database.wakes.listen(f"execution:{flow.execution_id}") as woken:
        await flow.resolve()
        await asyncio.wait_for(woken.wait(), 5)
    execution = await flow.execution()
    assert (execution.status, execution.signals, execution.open_approvals) == ("running", before + 1, 0)
    assert "execution.queued" not in await flow.types(after=3)


async def test_nobody_who_parks_misses_it(database: Database) -> None:
    flow = await Flow.asked(database, waiting=False)
    await flow.resolve()
    assert await flow.park() == "queued"
    assert (await flow.execution()).status == "queued"


async def test_whoever_waits_for_the_approval_is_woken(database: Database) -> None:
    flow = await Flow.asked(database)
    approval_request_id = (await flow.approval()).approval_request_id
    with database.wakes.listen(f"approval:{approval_request_id}") as one, database.wakes.listen("queued") as worker:
        await flow.resolve()
        await asyncio.wait_for(asyncio.gather(one.wait(), worker.wait()), 5)


async def test_each_of_several_calls_goes_on_by_itself(database: Database) -> None:
    flow = await Flow.asked(database, gated(), gated("wipe", table="x"), gated("mail", to="y"))
    seen = len(await flow.events())
    await flow.resolve(position=2)
    execution = await flow.execution()
    assert (execution.status, execution.open_approvals) == ("queued", 2)
    await flow.resolve(REJECT, position=3)
    assert [step.status for step in await flow.journal()] == ["succeeded", "gated", "approved", "refused"]
    assert [approval.position for approval in await flow.pending()] == [1]
    assert await flow.types(seen) == ["approval.approved", "execution.queued", "approval.rejected"]


async def test_the_card_and_a_note_are_due_where_somebody_is_notified(database: Database, clock: Clock) -> None:
    flow = await Flow.asked(database, gated(policy=NOTIFIED))
    await flow.resolve()
    due = await database.all(DUE_DELIVERIES, b_now=clock.now, b_limit=10)
    assert [(row.topic, row.payload) for row in due] == [
        (APPROVAL_CARD, "{}"),
        (APPROVAL_CARD, "{}"),
        (APPROVAL_NOTE, '{"event":"approved"}'),
    ]


# --- said again, said otherwise -----------------------------------------------------------------------------


async def test_the_same_decision_again_changes_nothing(database: Database) -> None:
    flow = await Flow.asked(database)
    first = await flow.resolve(REJECT, by=reviewer("U1"))
    seen = await flow.events()
    again = await flow.resolve(REJECT, by=reviewer("U1"), via=Via.dashboard)
    assert again.already_processed
    assert again.approval == first.approval
    assert await flow.events() == seen


@pytest.mark.parametrize(
    ("decision", "by"),
    [(APPROVE, reviewer("U1")), (REJECT, reviewer("U2")), (APPROVE, LOCAL_OPERATOR), (REJECT, LOCAL_OPERATOR)],
)
async def test_another_decision_is_told_who_was_first(database: Database, decision: Decision, by: Actor) -> None:
    flow = await Flow.asked(database)
    await flow.resolve(REJECT, by=reviewer("U1"))
    seen = await flow.events()
    with pytest.raises(AlreadyResolved, match="already rejected by slack:T1:U1 at ") as refused:
        await flow.resolve(decision, by=by)
    assert refused.value.details["by"] == "slack:T1:U1"
    assert await flow.events() == seen
    assert (await flow.approval()).status == "rejected"


async def test_of_many_at_once_one_wins_and_the_others_are_told(database: Database) -> None:
    flow = await Flow.asked(database)
    approval_request_id = (await flow.approval()).approval_request_id
    deciders = [replace(LOCAL_OPERATOR, principal=f"api:{n}") for n in range(16)]
    outcomes = await asyncio.gather(
        *(
            database.write(resolve, approval_request_id, (APPROVE, REJECT)[n % 2], by=by, via=Via.api)
            for n, by in enumerate(deciders)
        ),
        return_exceptions=True,
    )
    [won] = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    lost = [outcome for outcome in outcomes if isinstance(outcome, AlreadyResolved)]
    assert len(lost) == 15
    assert {error.details["by"] for error in lost} == {won.approval.decided_by}
    types = await flow.types()
    assert sum(type in {"approval.approved", "approval.rejected"} for type in types) == 1
    assert len(await database.all(VOTES, b_id=approval_request_id)) == 1


async def test_the_guard_itself_lets_one_end_land(database: Database) -> None:
    """Whoever looked before another's commit is told by the UPDATE, not by the look."""
    flow = await Flow.asked(database)
    stale = await flow.approval()
    await flow.resolve(REJECT, by=reviewer("U1"))
    seen = await flow.events()
    approved = Ended(ApprovalStatus.approved, {"by": "api:late", "via": "api", "feedback": ""})
    with pytest.raises(AlreadyResolved, match="already rejected by slack:T1:U1"):
        await database.write(end, stale, approved, by=LOCAL_OPERATOR, via=Via.api)
    assert await flow.events() == seen
    assert (await flow.step()).status == "refused"


# --- refused ------------------------------------------------------------------------------------------------


async def test_an_unknown_id(database: Database) -> None:
    with pytest.raises(NotFound, match="'apr_none'"):
        await database.write(resolve, "apr_none", APPROVE, by=LOCAL_OPERATOR, via=Via.api)


@pytest.mark.parametrize("late", [-1, 0, 1])
async def test_nothing_is_decided_from_the_instant_of_the_expiry_on(
    database: Database, clock: Clock, late: int
) -> None:
    flow = await Flow.asked(database, gated(policy=replace(POLICY, expires_after=HOUR)))
    await clock.set(((await flow.approval()).expires_at or 0) + late)
    if late < 0:
        assert (await flow.resolve()).approval.status == "approved"
    else:
        with pytest.raises(ApprovalExpired):
            await flow.resolve()
        assert (await flow.approval()).pending
        assert (await flow.step()).status == "gated"


async def test_the_requester_is_refused_through_every_door(database: Database) -> None:
    flow = await Flow.asked(database)
    listed = replace(ASKED_BY, identities=frozenset({"U1"}))
    for via in (Via.slack, Via.dashboard, Via.api):
        with pytest.raises(NotAuthorized, match="somebody else") as refused:
            await flow.resolve(by=listed, via=via)
        assert refused.value.details == {"self_approval": True}
    assert (await flow.approval()).pending


async def test_unless_that_is_allowed(database: Database) -> None:
    flow = await Flow.asked(database, gated(policy=replace(POLICY, allow_self_approval=True)))
    resolution = await flow.resolve(by=replace(ASKED_BY, identities=frozenset({"U1"})), via=Via.slack)
    assert resolution.approval.decided_by == ASKED_BY.principal


@pytest.mark.parametrize("by", [reviewer("U1"), LOCAL_OPERATOR], ids=["reviewer", "operator"])
async def test_a_door_that_is_left_out(database: Database, by: Actor) -> None:
    flow = await Flow.asked(database, gated(policy=replace(POLICY, allowed_via=("slack",))))
    with pytest.raises(NotAuthorized, match="through api; allowed: slack"):
        await flow.resolve(by=by, via=Via.api)
    assert (await flow.resolve(by=by, via=Via.slack)).approval.status == "approved"


async def test_an_empty_list_is_nobody_but_an_operator(database: Database) -> None:
    flow = await Flow.asked(database, gated(policy=Policy()))
    with pytest.raises(NotAuthorized, match="no reviewers are set"):
        await flow.resolve(by=reviewer("U1"), via=Via.slack)
    assert (await flow.resolve(by=LOCAL_OPERATOR, via=Via.cli)).approval.status == "approved"


async def test_another_card(database: Database) -> None:
    flow = await Flow.asked(database)
    with pytest.raises(StaleDigest):
        await flow.resolve(replace(APPROVE, digest="sha256:other"))
    shown = replace(APPROVE, digest=(await flow.approval()).digest)
    assert (await flow.resolve(shown)).approval.status == "approved"


# --- quorum -------------------------------------------------------------------------------------------------


async def test_votes_are_counted_until_there_are_enough(database: Database) -> None:
    flow = await Flow.asked(database, gated(policy=TWO))
    seen = len(await flow.events())
    counted = await flow.resolve(by=reviewer("U1"), via=Via.slack)
    assert counted.approval.pending
    assert (await flow.execution()).status == "waiting"
    assert (await flow.step()).status == "gated"
    again = await flow.resolve(by=reviewer("U1"), via=Via.slack)
    assert again.already_processed
    done = await flow.resolve(by=reviewer("U2"), via=Via.slack)
    assert done.approval.status == "approved"
    assert await flow.types(seen) == ["approval.voted", "approval.approved", "execution.queued"]
    voted = (await flow.events(seen))[0]
    assert json.loads(voted.data) == {
        "verdict": "approved",
        "approvals": 1,
        "quorum": 2,
        "feedback": "",
        "eligible_as": ["U1"],
    }
    votes = await database.all(VOTES, b_id=done.approval.approval_request_id)
    assert [(vote.principal, vote.verdict) for vote in votes] == [
        ("slack:T1:U1", "approved"),
        ("slack:T1:U2", "approved"),
    ]


async def test_a_vote_shows_on_the_card(database: Database) -> None:
    flow = await Flow.asked(database, gated(policy=replace(TWO, notified=True)))
    before = await flow.approval()
    counted = await flow.resolve(by=reviewer("U1"), via=Via.slack)
    assert counted.approval.version == before.version + 1


async def test_one_rejection_outweighs_the_votes(database: Database) -> None:
    flow = await Flow.asked(database, gated(policy=TWO))
    await flow.resolve(by=reviewer("U1"), via=Via.slack)
    assert (await flow.resolve(REJECT, by=reviewer("U2"), via=Via.slack)).approval.status == "rejected"
    with pytest.raises(AlreadyResolved):
        await flow.resolve(by=reviewer("U3"), via=Via.slack)


async def test_who_was_eligible_as_what_is_recorded(database: Database) -> None:
    policy = Policy(reviewers=("S42", "U1"), escalate_to=("U1", "@lead"), quorum=2)
    flow = await Flow.asked(database, gated(policy=policy))
    await flow.resolve(by=reviewer("U1", identities=frozenset({"U1", "S42", "@lead"})), via=Via.slack)
    await flow.resolve(by=replace(LOCAL_OPERATOR, asserted_by="Alex"), via=Via.cli)
    approval = await flow.approval()
    recorded = await database.all(Q(select(decisions.c.principal, decisions.c.eligible_as)))
    assert {row.principal: json.loads(row.eligible_as) for row in recorded} == {
        "slack:T1:U1": ["S42", "U1"],
        "local:operator": ["operator"],
    }
    assert approval.resolution is not None
    assert approval.resolution["asserted_by"] == "Alex"


# --- edited arguments ---------------------------------------------------------------------------------------


async def test_edits_are_recorded_with_their_own_digest(database: Database) -> None:
    flow = await Flow.asked(database, gated(policy=replace(POLICY, allow_edits=True)))
    edited = replace(APPROVE, edited_arguments='{"order":"ORD-1"}')
    approval = (await flow.resolve(edited, by=reviewer("U1"))).approval
    assert approval.arguments == '{"order":"ORD-8821"}'
    assert approval.run_arguments == '{"order":"ORD-1"}'
    assert approval.resolution is not None
    assert approval.resolution["edited_digest"] == call_digest("refund", "1", {"order": "ORD-1"}, None)
    [vote] = await database.all(VOTES, b_id=approval.approval_request_id)
    assert vote.edited_arguments == '{"order":"ORD-1"}'
    assert (await flow.resolve(edited, by=reviewer("U1"))).already_processed


async def test_edits_that_are_not_allowed_change_nothing(database: Database) -> None:
    flow = await Flow.asked(database)
    seen = await flow.events()
    with pytest.raises(InvalidRequest, match="does not allow edits"):
        await flow.resolve(replace(APPROVE, edited_arguments='{"order":"ORD-1"}'))
    assert (await flow.approval()).pending
    assert await flow.events() == seen
    assert await database.all(VOTES, b_id=(await flow.approval()).approval_request_id) == []

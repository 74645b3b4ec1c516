"""consume: an outside agent claims its approval once, runs the call, and says what became of it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from agent_runtime.core.approval import ApprovalRequest, Decision, Outcome, Verdict
from agent_runtime.core.canonical import canonical
from agent_runtime.core.duration import DAY, MINUTE
from agent_runtime.core.permit import DEFAULT_LIFE, Permit, PermitStatus
from agent_runtime.core.policy import Approval, Defaults
from agent_runtime.core.principal import LOCAL_OPERATOR, Actor, Via
from agent_runtime.errors import Conflict, InvalidRequest, NotAuthorized, StaleDigest, Stopped
from agent_runtime.operations.ask import Asked, ask
from agent_runtime.operations.consume import Claimed, claim_approval, report_result
from agent_runtime.operations.resolve import resolve
from agent_runtime.operations.settle import settle
from agent_runtime.operations.stop import resume, stop
from agent_runtime.operations.sweep import sweep
from agent_runtime.store.approvals import GET_APPROVAL, list_approvals
from agent_runtime.store.database import Database
from agent_runtime.store.events import EVENTS_OF_APPROVAL
from agent_runtime.store.permits import GET_PERMIT
from tests.clock import Clock
from tests.conftest import OpenDatabase
from tests.flow import Flow

CREW = Actor("api:crew")
KEY = "attempt-1"


async def approved(database: Database, decision: Decision | None = None, **policy: Any) -> ApprovalRequest:
    wanted = Asked(title="Refund", tool_name="refund", arguments={"amount": 250, "pin": "1234"})
    defaults = Defaults(Approval(reviewers=["U012"], **policy))
    asking = await database.write(ask, wanted, defaults, by=CREW, via=Via.api)
    resolution = await database.write(
        resolve,
        asking.approval.approval_request_id,
        decision or Decision(Verdict.approved),
        by=LOCAL_OPERATOR,
        via=Via.cli,
    )
    return resolution.approval


async def claim(database: Database, approval: ApprovalRequest, **given: Any) -> Claimed:
    given = {"digest": approval.digest, "attempt_key": KEY, "by": CREW, "via": Via.api} | given
    return await database.write(claim_approval, approval.approval_request_id, **given)


async def report(
    database: Database, claimed: Claimed, status: PermitStatus, result: Any = None, **given: Any
) -> Permit:
    given = {"permit": claimed.secret, "by": CREW, "via": Via.api} | given
    return await database.write(
        report_result, claimed.permit.approval_request_id, status=status, result=result, **given
    )


async def types(database: Database, approval_request_id: str) -> list[str]:
    rows = await database.all(EVENTS_OF_APPROVAL, b_approval=approval_request_id, b_after=0, b_limit=50)
    return [row.type for row in rows]


async def doubts(database: Database) -> list[ApprovalRequest]:
    page = list_approvals(pending=True, status=False, kind=True, after=False)
    return list(await database.all(page, b_kind="in_doubt", b_limit=10))


async def test_a_claim_gives_a_permit_and_the_true_arguments(database: Database, clock: Clock) -> None:
    approval = await approved(database)
    claimed = await claim(database, approval)
    assert claimed.secret.startswith("cp_")
    assert claimed.arguments == {"amount": 250, "pin": "1234"}
    assert claimed.permit.expires_at == clock.now + DEFAULT_LIFE
    held = await database.one(GET_PERMIT, b_id=approval.approval_request_id)
    assert held == claimed.permit
    assert claimed.secret not in repr(held)
    assert KEY not in repr(held)
    now = await database.one(GET_APPROVAL, b_id=approval.approval_request_id)
    assert now is not None
    assert now.consumed_at == clock.now
    assert await types(database, approval.approval_request_id) == [
        "approval.requested",
        "approval.approved",
        "approval.claimed",
    ]


async def test_the_same_key_gets_the_same_permit_and_another_none(database: Database, clock: Clock) -> None:
    approval = await approved(database)
    first = await claim(database, approval, life=2 * DAY)
    await clock.advance(2 * DAY - 1)  # the approval itself is good for one day: for beginning
    assert await claim(database, approval) == first
    with pytest.raises(Conflict, match="attempt_key"):
        await claim(database, approval, attempt_key="attempt-2")


@pytest.mark.parametrize("status", [PermitStatus.succeeded, PermitStatus.failed, PermitStatus.in_doubt])
async def test_the_same_key_gets_no_permit_again_once_the_call_is_over(
    database: Database, status: PermitStatus
) -> None:
    """A program that was started again with its own key does not run the call a second time."""
    approval = await approved(database)
    await report(database, await claim(database, approval), status)
    with pytest.raises(Conflict) as refused:
        await claim(database, approval)
    assert refused.value.details["status"] == status


async def test_the_same_key_gets_no_permit_that_has_ended(database: Database, clock: Clock) -> None:
    """Before a sweep as after it, and after a person asked for it afresh: that approval is another one."""
    approval = await approved(database)
    await claim(database, approval)
    await clock.advance(DEFAULT_LIFE)
    with pytest.raises(Conflict, match="in doubt"):
        await claim(database, approval)
    await database.write(sweep)
    with pytest.raises(Conflict, match="in doubt"):
        await claim(database, approval)
    [doubt] = await doubts(database)
    await database.write(settle, doubt.approval_request_id, Outcome.not_happened, by=LOCAL_OPERATOR, via=Via.cli)
    with pytest.raises(Conflict, match="not happened") as refused:
        await claim(database, approval)
    assert refused.value.details["fresh"]


@pytest.mark.parametrize("verdict", [Verdict.rejected, Verdict.request_changes])
async def test_only_what_is_approved_can_be_claimed(database: Database, verdict: Verdict) -> None:
    refused = await approved(database, Decision(verdict))
    with pytest.raises(Conflict, match="only one that is approved"):
        await claim(database, refused)


async def test_what_is_pending_cannot_be_claimed(database: Database) -> None:
    asking = await database.write(ask, Asked(title="May I?"), Defaults(), by=CREW, via=Via.api)
    with pytest.raises(Conflict, match="pending"):
        await claim(database, asking.approval)


async def test_another_digest_is_refused(database: Database) -> None:
    with pytest.raises(StaleDigest):
        await claim(database, await approved(database), digest="sha256:0")


async def test_with_edits_their_digest_claims_and_they_are_what_runs(database: Database) -> None:
    edits = Decision(Verdict.approved, edited_arguments=canonical({"amount": 100}))
    approval = await approved(database, edits, allow_edits=True)
    with pytest.raises(StaleDigest):
        await claim(database, approval)
    edited = (approval.resolution or {})["edited_digest"]
    assert (await claim(database, approval, digest=edited)).arguments == {"amount": 100}


async def test_an_approval_is_good_for_a_while(database: Database, clock: Clock) -> None:
    approval = await approved(database, valid_for="1h")
    await clock.advance(60 * MINUTE)
    with pytest.raises(Conflict, match="ask afresh"):
        await claim(database, approval)
    await clock.advance(-1)
    await claim(database, approval)


async def test_only_who_asked_claims_and_reports(database: Database) -> None:
    approval = await approved(database)
    stranger = Actor("api:stranger")
    with pytest.raises(NotAuthorized):
        await claim(database, approval, by=stranger)
    claimed = await claim(database, approval)
    with pytest.raises(NotAuthorized):
        await report(database, claimed, PermitStatus.succeeded, by=stranger)
    with pytest.raises(NotAuthorized, match="permit"):
        await report(database, claimed, PermitStatus.succeeded, permit="cp_" + "A" * 43)


async def test_a_gated_call_of_the_runtime_cannot_be_claimed(database: Database) -> None:
    flow = await Flow.asked(database)
    with pytest.raises(InvalidRequest, match="kind tool"):
        await claim(database, await flow.approval(), by=LOCAL_OPERATOR)


@pytest.mark.parametrize("status", [PermitStatus.succeeded, PermitStatus.failed])
async def test_a_report_is_recorded_once(database: Database, clock: Clock, status: PermitStatus) -> None:
    claimed = await claim(database, await approved(database))
    ended = await report(database, claimed, status, {"refund_id": "r-1"})
    assert (ended.status, ended.ended_at, ended.result) == (status, clock.now, '{"refund_id":"r-1"}')
    assert await report(database, claimed, status, {"refund_id": "r-1"}) == ended
    with pytest.raises(Conflict):
        await report(database, claimed, status, {"refund_id": "r-2"})
    with pytest.raises(Conflict):
        await report(database, claimed, PermitStatus.in_doubt)
    await clock.advance(DAY)
    await database.write(sweep)
    assert await doubts(database) == []


async def test_a_result_before_any_claim_is_refused(database: Database) -> None:
    approval = await approved(database)
    with pytest.raises(Conflict, match="not claimed"):
        await database.write(
            report_result,
            approval.approval_request_id,
            permit="cp_x",
            status=PermitStatus.succeeded,
            by=CREW,
            via=Via.api,
        )


async def test_nothing_reported_by_the_permits_end_is_in_doubt(database: Database, clock: Clock) -> None:
    approval = await approved(database)
    claimed = await claim(database, approval)
    await clock.advance(DEFAULT_LIFE - 1)
    assert (await database.write(sweep)).lapsed == 0
    await clock.advance(1)
    with pytest.raises(Conflict, match="in doubt"):
        await report(database, claimed, PermitStatus.succeeded)
    assert (await database.write(sweep)).lapsed == 1
    assert (await database.write(sweep)).lapsed == 0
    (doubt,) = await doubts(database)
    assert (doubt.supersedes, doubt.requested_by, doubt.expires_at) == (approval.approval_request_id, "api:crew", None)
    assert doubt.policy.reviewers == ("U012",)
    with pytest.raises(Conflict, match=doubt.approval_request_id):
        await report(database, claimed, PermitStatus.succeeded)
    assert (await types(database, approval.approval_request_id))[-1] == "approval.in_doubt"


async def in_doubt(database: Database) -> tuple[ApprovalRequest, ApprovalRequest]:
    approval = await approved(database)
    await report(database, await claim(database, approval), PermitStatus.in_doubt, "connection reset")
    (doubt,) = await doubts(database)
    return approval, doubt


async def settled(database: Database, outcome: Outcome, **said: Any) -> Permit:
    approval, doubt = await in_doubt(database)
    await database.write(settle, doubt.approval_request_id, outcome, by=LOCAL_OPERATOR, via=Via.cli, **said)
    held = await database.one(GET_PERMIT, b_id=approval.approval_request_id)
    assert held is not None
    return held


async def test_an_unknown_outcome_is_asked_of_people_at_once(database: Database) -> None:
    approval, doubt = await in_doubt(database)
    assert (doubt.kind, doubt.execution_id, doubt.arguments) == ("in_doubt", None, approval.arguments)
    with pytest.raises(InvalidRequest, match="settled"):
        await database.write(
            resolve, doubt.approval_request_id, Decision(Verdict.approved), by=LOCAL_OPERATOR, via=Via.cli
        )


async def test_settled_as_happened_with_its_result(database: Database) -> None:
    held = await settled(database, Outcome.happened, result={"refund_id": "r-1"}, evidence="seen in the ledger")
    assert (held.status, held.result) == ("succeeded", '{"refund_id":"r-1"}')


async def test_settled_as_stopped(database: Database) -> None:
    assert (await settled(database, Outcome.stop)).status == "stopped"


async def test_settled_as_not_happened_asks_afresh(database: Database) -> None:
    held = await settled(database, Outcome.not_happened)
    assert held.status == "not_happened"
    fresh = await database.one(GET_APPROVAL, b_id=held.fresh_id)
    assert fresh is not None
    assert (fresh.kind, fresh.status, fresh.requested_by) == ("external", "pending", "api:crew")
    assert json.loads(fresh.context or "{}")["why"].startswith("asked again")
    await database.write(resolve, held.fresh_id, Decision(Verdict.approved), by=LOCAL_OPERATOR, via=Via.cli)
    again = await claim(database, fresh)
    assert (await report(database, again, PermitStatus.succeeded)).status == "succeeded"


async def test_settling_the_same_way_again_asks_no_second_time(database: Database) -> None:
    _, doubt = await in_doubt(database)
    for repeated in (False, True):
        resolution = await database.write(
            settle, doubt.approval_request_id, Outcome.not_happened, by=LOCAL_OPERATOR, via=Via.cli
        )
        assert resolution.already_processed is repeated
    page = list_approvals(pending=True, status=False, kind=True, after=False)
    assert len(await database.all(page, b_kind="external", b_limit=10)) == 1


async def test_racing_claims_give_one_permit(database: Database, open_database: OpenDatabase) -> None:
    approval = await approved(database)
    other = await open_database()

    async def attempt(number: int) -> str | None:
        try:
            claimed = await claim([database, other][number % 2], approval, attempt_key=f"attempt-{number // 4}")
        except Conflict:
            return None
        return claimed.secret

    won = [secret for secret in await asyncio.gather(*map(attempt, range(24))) if secret is not None]
    assert len(won) == 4  # every try of one key
    assert len(set(won)) == 1


async def test_racing_reports_and_the_sweep_end_it_once(
    database: Database, open_database: OpenDatabase, clock: Clock
) -> None:
    claimed = await claim(database, await approved(database))
    other = await open_database()
    await clock.advance(DEFAULT_LIFE)
    swept = await asyncio.gather(*([database, other][n % 2].write(sweep) for n in range(8)))
    assert sum(each.lapsed for each in swept) >= 1
    assert len(await doubts(database)) == 1
    assert (await types(database, claimed.permit.approval_request_id)).count("approval.in_doubt") == 1


async def test_a_stopped_tool_is_not_claimed_until_it_is_resumed(database: Database) -> None:
    approval = await approved(database)
    await database.write(stop, "refund", kind="tool", by=LOCAL_OPERATOR, via=Via.cli, reason="they refund twice")
    with pytest.raises(Stopped, match="they refund twice"):
        await claim(database, approval)
    await database.write(resume, "refund", kind="tool", by=LOCAL_OPERATOR, via=Via.cli)
    await claim(database, approval)

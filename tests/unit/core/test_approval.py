"""decide(): every verdict by everybody on every state, and that nothing but enough people ever approves."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.core.approval import (
    ApprovalRequest,
    ApprovalStatus,
    Decision,
    Kind,
    Verdict,
    Vote,
    already_resolved,
    parse_verdict,
    status_in_words,
)
from agent_runtime.core.canonical import call_digest
from agent_runtime.core.deciding import Counted, Ended, Repeated, Transition, decide
from agent_runtime.core.duration import HOUR
from agent_runtime.core.policy import Policy
from agent_runtime.core.principal import LOCAL_OPERATOR, SYSTEM, Actor, Via
from agent_runtime.errors import (
    AlreadyResolved,
    ApprovalExpired,
    Conflict,
    CountersignError,
    InvalidRequest,
    NotAuthorized,
    StaleDigest,
)
from tests.samples import NOW, REQUESTER, REVIEWERS, a_vote, an_approval, reviewer

REQUESTED = Actor(REQUESTER, frozenset({"U9"}))
PEOPLE = {
    "reviewer": reviewer("U1"),
    "group member": reviewer("U7", identities=frozenset({"U7", "S1"})),
    "stranger": reviewer("U8"),
    "requester": replace(REQUESTED, identities=frozenset({"U9", "U2"})),
    "barred reviewer": reviewer("U1", barred="guests may not decide"),
    "barred operator": replace(LOCAL_OPERATOR, barred="this token is for reading only"),
    "operator": LOCAL_OPERATOR,
    "operator who asked": Actor(REQUESTER, operator=True),
}
MAY = {"reviewer", "group member", "operator", "operator who asked"}
ENDINGS = [status for status in ApprovalStatus if status is not ApprovalStatus.pending]
TWO = Policy(reviewers=REVIEWERS, quorum=2)


def outcome(
    approval: ApprovalRequest,
    decision: Decision | Verdict = Verdict.approved,
    *,
    by: Actor = PEOPLE["reviewer"],
    votes: tuple[Vote, ...] = (),
    via: Via = Via.slack,
    now: int = NOW + 1,
) -> Transition | type[CountersignError]:
    """What `decide` does: its transition, or the class of its refusal."""
    if isinstance(decision, Verdict):
        decision = Decision(decision)
    try:
        return decide(approval, votes, decision, by, via, now)
    except CountersignError as error:
        return type(error)


def resolved(status: ApprovalStatus, **fields: Any) -> ApprovalRequest:
    resolution = {"by": "slack:T1:U1", "via": "slack", "feedback": ""}
    return an_approval(status=status.value, resolved_at=NOW, resolution=resolution, **fields)


# --- who, what, when: the matrix ----------------------------------------------------------------------------


@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize("status", ApprovalStatus)
@pytest.mark.parametrize("quorum", [1, 2])
@pytest.mark.parametrize("who", PEOPLE)
def test_each_verdict_by_each_person_on_each_status(
    who: str, quorum: int, status: ApprovalStatus, verdict: Verdict
) -> None:
    policy = Policy(reviewers=(*REVIEWERS, "S1"), quorum=quorum)
    approval = an_approval(policy=policy) if status is ApprovalStatus.pending else resolved(status, policy=policy)
    got = outcome(approval, verdict, by=PEOPLE[who])
    if who not in MAY:
        assert got is NotAuthorized
    elif status is ApprovalStatus.expired:
        assert got is ApprovalExpired
    elif status is not ApprovalStatus.pending:
        assert got is AlreadyResolved
    elif verdict is Verdict.approved and quorum == 2 and not PEOPLE[who].operator:
        assert got == Counted(approvals=1, quorum=2)
    else:
        assert isinstance(got, Ended)
        assert got.status == verdict.value
        assert got.valid_until == (NOW + 1 + policy.valid_for if verdict is Verdict.approved else None)
        assert got.resolution == {"by": PEOPLE[who].principal, "via": "slack", "feedback": ""}


@pytest.mark.parametrize("now_after", [-HOUR, -1, 0, 1, HOUR])
@pytest.mark.parametrize("by", [PEOPLE["reviewer"], LOCAL_OPERATOR], ids=["reviewer", "operator"])
@pytest.mark.parametrize("verdict", Verdict)
def test_expiry_wins_at_its_instant(verdict: Verdict, by: Actor, now_after: int) -> None:
    approval = an_approval()
    assert approval.expires_at is not None
    got = outcome(approval, verdict, by=by, now=approval.expires_at + now_after)
    assert (got is ApprovalExpired) == (now_after >= 0)
    assert isinstance(got, Ended) == (now_after < 0)


def test_without_an_expiry_it_may_be_decided_for_ever() -> None:
    assert isinstance(outcome(an_approval(expires_at=None), now=NOW * 2), Ended)


@pytest.mark.parametrize("shown", [None, "as it is", "sha256:of something else"])
@pytest.mark.parametrize("verdict", Verdict)
def test_a_decision_on_another_card_is_refused(verdict: Verdict, shown: str | None) -> None:
    approval = an_approval()
    digest = approval.digest if shown == "as it is" else shown
    got = outcome(approval, Decision(verdict, digest=digest))
    assert (got is StaleDigest) == (shown == "sha256:of something else")


def test_what_was_said_is_in_the_resolution() -> None:
    by = reviewer("U1", asserted_by="Alex")
    got = decide(an_approval(), (), Decision(Verdict.rejected, "Too much."), by, Via.dashboard, NOW)
    assert isinstance(got, Ended)
    assert got.resolution == {
        "by": "slack:T1:U1",
        "via": "dashboard",
        "feedback": "Too much.",
        "asserted_by": "Alex",
    }


# --- the quorum ---------------------------------------------------------------------------------------------


def test_the_last_of_the_quorum_approves() -> None:
    first = outcome(an_approval(policy=TWO), by=reviewer("U1"))
    assert first == Counted(1, 2)
    second = outcome(an_approval(policy=TWO), by=reviewer("U2"), votes=(a_vote("U1"),))
    assert isinstance(second, Ended)
    assert second.status is ApprovalStatus.approved
    assert second.resolution["by"] == "slack:T1:U2"


@pytest.mark.parametrize("verdict", [Verdict.rejected, Verdict.request_changes])
def test_one_objection_ends_it_whatever_the_quorum(verdict: Verdict) -> None:
    got = outcome(an_approval(policy=TWO), verdict, by=reviewer("U2"), votes=(a_vote("U1"),))
    assert isinstance(got, Ended)
    assert got.status == verdict.value


def test_nobody_counts_twice() -> None:
    approval = an_approval(policy=TWO)
    assert outcome(approval, votes=(a_vote("U1"),)) == Repeated()
    assert outcome(approval, Decision(Verdict.approved, "really"), votes=(a_vote("U1"),)) is AlreadyResolved
    assert outcome(approval, Verdict.rejected, votes=(a_vote("U1"),)) is AlreadyResolved


def test_an_operator_needs_no_quorum() -> None:
    got = outcome(an_approval(policy=replace(TWO, quorum=20)), by=LOCAL_OPERATOR, via=Via.cli)
    assert isinstance(got, Ended)


# --- said before --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ENDINGS)
def test_the_same_again_by_the_same_is_no_conflict(status: ApprovalStatus) -> None:
    vote = a_vote("U1", "rejected", feedback="no")
    assert outcome(resolved(status), Decision(Verdict.rejected, "no"), votes=(vote,)) == Repeated()


@pytest.mark.parametrize(
    "decision",
    [
        Decision(Verdict.approved, "no"),
        Decision(Verdict.rejected, "not"),
        Decision(Verdict.rejected),
    ],
)
def test_anything_else_by_the_same_is_one(decision: Decision) -> None:
    vote = a_vote("U1", "rejected", feedback="no")
    assert outcome(resolved(ApprovalStatus.rejected), decision, votes=(vote,)) is AlreadyResolved


def test_the_same_by_another_is_one() -> None:
    vote = a_vote("U1", "rejected", feedback="no")
    got = outcome(resolved(ApprovalStatus.rejected), Decision(Verdict.rejected, "no"), by=reviewer("U2"), votes=(vote,))
    assert got is AlreadyResolved


def test_the_same_again_may_come_after_the_expiry() -> None:
    approval = an_approval(policy=TWO)
    assert outcome(approval, votes=(a_vote("U1"),), now=NOW + 2 * HOUR) == Repeated()


def test_the_refusal_names_how_who_and_when() -> None:
    error = already_resolved(resolved(ApprovalStatus.request_changes))
    assert isinstance(error, AlreadyResolved)
    assert error.message == "changes were already requested by slack:T1:U1 at 2026-09-21T14:13:20.000000Z"
    assert error.details == {
        "status": "request_changes",
        "by": "slack:T1:U1",
        "at": "2026-09-21T14:13:20.000000Z",
    }
    expired = already_resolved(resolved(ApprovalStatus.expired))
    assert isinstance(expired, ApprovalExpired)
    assert "2026-09-21T14:13:20.000000Z" in expired.message


# --- edited arguments ---------------------------------------------------------------------------------------

EDITS = Policy(reviewers=REVIEWERS, allow_edits=True)


def test_edited_arguments_are_what_may_run_with_a_digest_of_their_own() -> None:
    edited = '{"order":"ORD-1"}'
    approval = an_approval(policy=EDITS)
    got = outcome(approval, Decision(Verdict.approved, edited_arguments=edited))
    assert isinstance(got, Ended)
    assert got.resolution["edited_arguments"] == edited
    assert got.resolution["edited_digest"] == call_digest("refund", "1", {"order": "ORD-1"}, None)
    assert approval._replace(resolution=got.resolution).run_arguments == edited
    assert approval._replace(resolution={"by": "x"}).run_arguments == approval.arguments
    assert approval.run_arguments == approval.arguments


@pytest.mark.parametrize("by", [PEOPLE["reviewer"], LOCAL_OPERATOR], ids=["reviewer", "operator"])
@pytest.mark.parametrize(
    ("policy", "verdict", "edited"),
    [
        (Policy(reviewers=REVIEWERS), Verdict.approved, "{}"),
        (EDITS, Verdict.rejected, "{}"),
        (EDITS, Verdict.request_changes, "{}"),
        (replace(EDITS, quorum=2), Verdict.approved, "{}"),
        (EDITS, Verdict.approved, "[]"),
        (EDITS, Verdict.approved, '"{}"'),
        (EDITS, Verdict.approved, "not JSON"),
        (EDITS, Verdict.approved, '{"a":1,"a":2}'),
        (EDITS, Verdict.approved, '{"b":1,"a":2}'),
        (EDITS, Verdict.approved, '{"a": 1}'),
    ],
)
def test_edits_that_cannot_be_run_are_malformed(policy: Policy, verdict: Verdict, edited: str, by: Actor) -> None:
    with pytest.raises(InvalidRequest, match=r"^edited_arguments: "):
        decide(an_approval(policy=policy), (), Decision(verdict, edited_arguments=edited), by, Via.api, NOW)


# --- the order of refusals: 403, 422, 409 -------------------------------------------------------------------

NOT_PERMITTED: list[Callable[[dict[str, Any]], None]] = [
    lambda case: case.update(by=PEOPLE["stranger"]),
    lambda case: case.update(by=PEOPLE["barred operator"]),
    lambda case: case.update(by=PEOPLE["requester"]),
]
MALFORMED: list[Callable[[dict[str, Any]], None]] = [
    lambda case: case.update(approval=case["approval"]._replace(kind=Kind.in_doubt.value)),
    lambda case: case.update(decision=replace(case["decision"], edited_arguments="{}")),
]
CONTRADICTS: list[Callable[[dict[str, Any]], None]] = [
    lambda case: case.update(approval=case["approval"]._replace(status="approved", resolved_at=NOW)),
    lambda case: case.update(approval=case["approval"]._replace(status="expired", resolved_at=NOW)),
    lambda case: case.update(approval=case["approval"]._replace(expires_at=NOW)),
    lambda case: case.update(decision=replace(case["decision"], digest="sha256:other")),
]


@pytest.mark.parametrize(
    "chosen", itertools.product(*([None, *faults] for faults in (NOT_PERMITTED, MALFORMED, CONTRADICTS)))
)
def test_refusals_come_in_one_order(chosen: tuple[Callable[[dict[str, Any]], None] | None, ...]) -> None:
    case = {"approval": an_approval(), "decision": Decision(Verdict.approved), "by": reviewer("U1")}
    for fault in chosen:
        if fault is not None:
            fault(case)
    got = outcome(case["approval"], case["decision"], by=case["by"], now=NOW + 1)
    expected = next(
        (
            kind
            for fault, kind in zip(chosen, (NotAuthorized, InvalidRequest, Conflict), strict=True)
            if fault is not None
        ),
        None,
    )
    if expected is None:
        assert isinstance(got, Ended)
    else:
        assert isinstance(got, type)
        assert issubclass(got, expected)


def test_in_doubt_is_never_decided() -> None:
    for verdict, by in itertools.product(Verdict, (reviewer("U1"), LOCAL_OPERATOR, SYSTEM)):
        assert outcome(an_approval(kind="in_doubt"), verdict, by=by) is InvalidRequest


# --- what no sequence of decisions may lead to --------------------------------------------------------------

_someone = st.sampled_from([*(reviewer(f"U{n}") for n in range(1, 6)), *PEOPLE.values()])
_said = st.builds(
    Decision,
    st.sampled_from(Verdict),
    st.sampled_from(["", "why"]),
    st.sampled_from([None, None, None, '{"order":"ORD-1"}']),
    st.sampled_from([None, an_approval().digest, "sha256:other"]),
)
_policies = st.builds(
    Policy,
    reviewers=st.sampled_from([(), ("U1",), REVIEWERS, ("S1", "U2"), ("slack:T1:U4", "U5", "U1")]),
    quorum=st.integers(1, 4),
    allow_self_approval=st.booleans(),
    allow_edits=st.booleans(),
    allowed_via=st.sampled_from([None, ("slack",), ("api", "cli")]),
    escalate_to=st.sampled_from([(), ("U5", "S1")]),
)


@given(
    policy=_policies,
    widened=st.integers(0, 1),
    said=st.lists(
        st.tuples(_someone, _said, st.sampled_from([Via.slack, Via.api, Via.cli]), st.integers(0, HOUR)),
        max_size=12,
    ),
)
def test_approved_means_enough_distinct_eligible_people_or_an_operator(
    policy: Policy, widened: int, said: list[tuple[Actor, Decision, Via, int]]
) -> None:
    approval = an_approval(policy=policy, widened=widened)
    assert approval.expires_at is not None
    votes: list[Vote] = []
    now = NOW
    for by, decision, via, later in said:
        now += later
        got = outcome(approval, decision, by=by, votes=tuple(votes), via=via, now=now)
        if isinstance(got, Counted | Ended):
            assert approval.pending
            assert now < approval.expires_at
            assert not by.barred
            assert policy.allowed_via is None or via in policy.allowed_via
            assert by.principal not in {vote.principal for vote in votes}
            assert decision.digest in {None, approval.digest}
            votes.append(a_vote("", verdict=decision.verdict.value, principal=by.principal, feedback=decision.feedback))
        if isinstance(got, Ended):
            approval = approval._replace(status=got.status.value, resolved_at=now, resolution=got.resolution)
            if got.status is ApprovalStatus.approved and not by.operator:
                eligible = set(policy.reviewers) | (set(policy.escalate_to) if widened else set())
                approvers = {vote.principal for vote in votes if vote.verdict == "approved"}
                assert len(approvers) >= policy.quorum
                assert policy.allow_self_approval or REQUESTER not in approvers
                assert all(may(principal, eligible) for principal in approvers)


def may(principal: str, eligible: set[str]) -> bool:
    """Whether some actor of the test that has this principal is among `eligible`."""
    named = [*PEOPLE.values(), *(reviewer(f"U{n}") for n in range(1, 6))]
    return any(actor.principal == principal and (actor.identities | {principal}) & eligible for actor in named)


# --- words --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "verdict"),
    [
        ("approved", Verdict.approved),
        ("approve", Verdict.approved),
        ("rejected", Verdict.rejected),
        ("reject", Verdict.rejected),
        ("request_changes", Verdict.request_changes),
    ],
)
def test_the_words_of_a_decision(word: str, verdict: Verdict) -> None:
    assert parse_verdict(word) is verdict


@pytest.mark.parametrize(
    "word",
    ["", "Approved", " approved", "yes", "expired", "cancelled", "pending", None, True, 1, ["approved"], {}],
)
def test_no_other_word_decides(word: object) -> None:
    with pytest.raises(InvalidRequest, match=r"^decision: "):
        parse_verdict(word)


def test_statuses_in_words() -> None:
    assert [status_in_words(status) for status in ENDINGS] == [
        "approved",
        "rejected",
        "changes requested",
        "expired",
        "cancelled",
    ]


def test_the_public_shape() -> None:
    votes = [a_vote("U1", feedback="fine")]
    shape = resolved(ApprovalStatus.approved, policy=Policy(reviewers=("U1",), rules=("tool:refund",))).as_json(votes)
    assert json.loads(json.dumps(shape)) == shape
    assert shape["arguments"] == {"order": "ORD-8821"}
    assert (shape["status"], shape["decided_by"], shape["reviewers"]) == ("approved", "slack:T1:U1", ["U1"])
    assert shape["decisions"] == [
        {
            "decision": "approved",
            "by": "slack:T1:U1",
            "via": "slack",
            "feedback": "fine",
            "at": "2026-09-21T14:13:20.000000Z",
        }
    ]
    pending = an_approval().as_json()
    assert (pending["decided_by"], pending["resolution"], pending["resolved_at"], pending["feedback"]) == (
        None,
        None,
        None,
        "",
    )


def test_feedback_with_a_nul_character_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"^feedback: holds a NUL character"):
        Decision(Verdict.rejected, "too\0much")

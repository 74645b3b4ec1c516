"""The single resume path: the only way an approval ends and a waiting execution goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from agent_runtime.core.approval import (
    ApprovalRequest,
    ApprovalStatus,
    Decision,
    Kind,
    Verdict,
    Vote,
    already_resolved,
)
from agent_runtime.core.canonical import canonical
from agent_runtime.core.deciding import Counted, Ended, Fits, Repeated, decide
from agent_runtime.core.duration import SECOND
from agent_runtime.core.epochs import unknown
from agent_runtime.core.execution import LEASE, StepStatus
from agent_runtime.core.journal import answer, refusal
from agent_runtime.core.ladder import was_warned
from agent_runtime.core.policy import eligible_reviewers
from agent_runtime.core.principal import SYSTEM, Actor, Via
from agent_runtime.errors import NotAuthorized
from agent_runtime.operations.announce import announce, news_of_end
from agent_runtime.store.approvals import (
    END_APPROVAL,
    GET_APPROVAL_FOR_UPDATE,
    INSERT_DECISION,
    TOUCH_APPROVAL,
    VOTES,
)
from agent_runtime.store.epochs import EPOCHS
from agent_runtime.store.events import record
from agent_runtime.store.executions import GATE_CLOSED, GATE_CLOSED_WAKES
from agent_runtime.store.outbox import APPROVAL_CARD, APPROVAL_NOTE, APPROVAL_WARNING, EXECUTION_PROGRESS, enqueue
from agent_runtime.store.steps import ANSWER_STEP
from agent_runtime.store.tx import Tx, Write, own_rows, reads_first

DECISION = "decision"
"""What a decision (or the expiry) is counted as, with its verdict and door; see `Tx.count`."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """The approval as it is now; `already_processed` where this very decision was made before."""

    approval: ApprovalRequest
    already_processed: bool = False


@own_rows
@reads_first(GET_APPROVAL_FOR_UPDATE, "b_id")
def resolve(
    tx: Tx, approval_request_id: str, decision: Decision, *, by: Actor, via: Via, fits: Fits | None = None
) -> Resolution:
    """Decides: counts the vote or ends the approval, and lets its execution go on.

    `fits` checks edited arguments (`operations.edits.fitting`); without it they are checked before the call starts.
    The same decision by the same principal again returns what it led to. Raises NotFound, NotAuthorized,
    InvalidRequest, AlreadyResolved (naming who and when), ApprovalExpired or StaleDigest; then nothing changes.
    """
    approval = load(tx, approval_request_id)
    with refusals_recorded(approval, by, via):
        transition = decide(approval, _votes(tx, approval), decision, by, via, tx.now, fits)
    if isinstance(transition, Repeated):
        return Resolution(approval, already_processed=True)
    vote = _record_vote(tx, approval, decision, by, via)
    if isinstance(transition, Counted):
        return Resolution(_count(tx, approval, transition, decision, vote, by, via))
    return Resolution(end(tx, approval, transition, *vote, by=by, via=via))


def _votes(tx: Tx, approval: ApprovalRequest) -> Sequence[Vote]:
    """The decisions so far; there is none where the first one ends it and it is pending."""
    if approval.pending and approval.policy.quorum == 1:
        return ()
    return tx.all(VOTES, b_id=approval.approval_request_id)


def expire(tx: Tx, approval: ApprovalRequest) -> ApprovalRequest:
    """Ends an approval whose time is over; the caller holds its row. Nobody's silence approves."""
    resolution = {"by": SYSTEM.principal, "via": Via.expiry.value, "feedback": ""}
    tx.count(DECISION, ApprovalStatus.expired.value, Via.expiry.value)
    return end(tx, approval, Ended(ApprovalStatus.expired, resolution), by=SYSTEM, via=Via.expiry)


@contextmanager
def refusals_recorded(approval: ApprovalRequest, by: Actor, via: Via) -> Iterator[None]:
    """The audit trail also holds who tried and may not; the attempt changes nothing else."""
    try:
        yield
    except NotAuthorized as refused:
        refused.leaves = partial(record_refused, approval=approval, by=by, via=via, reason=refused.message)
        raise


def record_refused(tx: Tx, *, approval: ApprovalRequest, by: Actor, via: Via, reason: str) -> None:
    """Somebody tried who may not; for a door that refuses before it comes to a decision."""
    record(
        tx,
        "approval.refused",
        execution_id=approval.execution_id,
        approval_request_id=approval.approval_request_id,
        by=by,
        via=via,
        data={"reason": reason, **({"asserted_by": by.asserted_by} if by.asserted_by else {})},
    )


def load(tx: Tx, approval_request_id: str) -> ApprovalRequest:
    """The approval, its row locked; raises NotFound."""
    approval = tx.one(GET_APPROVAL_FOR_UPDATE, b_id=approval_request_id)
    if approval is None:
        raise unknown("approval", approval_request_id, tx.all(EPOCHS))
    return approval


def end(tx: Tx, approval: ApprovalRequest, transition: Ended, *votes: Write, by: Actor, via: Via) -> ApprovalRequest:
    """The one guarded UPDATE, with the vote that led to it, its event, what is to be shown, and the execution that
    goes on; the caller holds the approval's row.

    Shared by every verb that ends an approval (resolve, expire, settle, cancel). Raises what `already_resolved` says
    where another transaction was first.
    """
    ended = _as_ended(tx, approval, transition)
    if ended.execution_id is None:
        _close(tx, ended, transition, *votes, by=by, via=via)
        return ended
    gate = _gate(tx, ended.execution_id)
    *_, woken = _close(tx, ended, transition, *votes, *_answer(tx, ended), gate, by=by, via=via)
    _goes_on(tx, ended.execution_id, woken)
    if ended.origin:
        enqueue(tx, EXECUTION_PROGRESS, ended.execution_id)
    return ended


def replaced(tx: Tx, approval: ApprovalRequest, *, by: Actor, via: Via, why: str) -> None:
    """Withdraws an approval in whose place another one is asked, which its step waits for already."""
    resolution = {"by": by.principal, "via": via.value, "feedback": why}
    transition = Ended(ApprovalStatus.cancelled, resolution)
    _close(tx, _as_ended(tx, approval, transition), transition, by=by, via=via)


def _as_ended(tx: Tx, approval: ApprovalRequest, transition: Ended) -> ApprovalRequest:
    """The row that END_APPROVAL leaves where it lands."""
    return approval._replace(
        status=transition.status.value,
        resolved_at=tx.now,
        resolution=dict(transition.resolution),
        valid_until=transition.valid_until,
        next_due_at=None,
        version=approval.version + 1,
    )


def _close(tx: Tx, ended: ApprovalRequest, transition: Ended, *beside: Write, by: Actor, via: Via) -> Sequence[Any]:
    """Ends the approval itself; returns the rows of what is written beside it."""
    ending = {
        "b_id": ended.approval_request_id,
        "b_status": ended.status,
        "b_now": tx.now,
        "b_resolution": canonical(dict(transition.resolution)),
        "b_valid_until": transition.valid_until,
    }
    landed, *rows = tx.together((END_APPROVAL, ending), *beside)
    if landed is None:
        raise already_resolved(load(tx, ended.approval_request_id))
    record(
        tx,
        f"approval.{ended.status}",
        execution_id=ended.execution_id,
        approval_request_id=ended.approval_request_id,
        by=by,
        via=via,
        data={
            **transition.resolution,
            **_standing(tx, ended, transition.approvals, by, via),
            "digest": ended.digest,
            "seconds_to_decide": (tx.now - ended.created_at) // SECOND,
        },
    )
    if ended.policy.notified:
        enqueue(tx, APPROVAL_CARD, ended.approval_request_id)
        if was_warned(ended.rungs_done, ended.extensions):
            enqueue(tx, APPROVAL_WARNING, ended.approval_request_id)
        enqueue(tx, APPROVAL_NOTE, ended.approval_request_id, payload={"event": ended.status})
    announce(tx, ended, news_of_end(ended))
    tx.wake("approvals")
    tx.wake(f"approval:{ended.approval_request_id}")
    return rows


def _standing(tx: Tx, ended: ApprovalRequest, approvals: int | None, by: Actor, via: Via) -> dict[str, Any]:
    """In which quality somebody ended it, and how many approvals there were of those that were needed."""
    if via in (Via.system, Via.expiry):
        return {}
    if approvals is None:
        votes = tx.all(VOTES, b_id=ended.approval_request_id)
        approvals = sum(vote.verdict == Verdict.approved for vote in votes)
    return {"eligible_as": eligible_as(ended, by), "approvals": approvals, "quorum": ended.policy.quorum}


def _answer(tx: Tx, ended: ApprovalRequest) -> Sequence[Write]:
    """The journal of what waited holds what people said; an in-doubt call is answered by settle."""
    if ended.kind not in {Kind.tool, Kind.pause} or ended.position is None:
        return ()
    if ended.kind == Kind.pause:
        status, result = StepStatus.succeeded, canonical(answer(ended))
    elif ended.status == ApprovalStatus.approved:
        status, result = StepStatus.approved, None
    else:
        status, result = StepStatus.refused, canonical(refusal(ended))
    binds = {
        "b_id": ended.execution_id,
        "b_position": ended.position,
        "b_status": status.value,
        "b_result": result,
        "b_ended": None if result is None else tx.now,
    }
    return ((ANSWER_STEP, binds),)


def let_go_on(tx: Tx, execution_id: str) -> None:
    """One approval fewer is open: a waiting execution is queued, a running one is told to look again."""
    [woken] = tx.together(_gate(tx, execution_id))
    _goes_on(tx, execution_id, woken)


def _gate(tx: Tx, execution_id: str) -> Write:
    return GATE_CLOSED_WAKES, {"b_id": execution_id, "b_now": tx.now, "b_lease": tx.now + LEASE}


def _goes_on(tx: Tx, execution_id: str, woken: Any) -> None:
    """After the gate; `woken` is its row, None where the execution does not wait."""
    if woken is not None:
        record(tx, "execution.queued", execution_id=execution_id)
        tx.wake("queued")
    else:
        tx.run(GATE_CLOSED, b_id=execution_id)
        tx.wake(f"answers:{execution_id}")
    tx.wake(f"execution:{execution_id}")


def _count(
    tx: Tx, approval: ApprovalRequest, counted: Counted, decision: Decision, vote: Sequence[Write], by: Actor, via: Via
) -> ApprovalRequest:
    """One vote more, and more are needed: the card shows how many."""
    *_, touched = tx.together(*vote, (TOUCH_APPROVAL, {"b_id": approval.approval_request_id}))
    record(
        tx,
        "approval.voted",
        execution_id=approval.execution_id,
        approval_request_id=approval.approval_request_id,
        by=by,
        via=via,
        data={
            "verdict": decision.verdict.value,
            "approvals": counted.approvals,
            "quorum": counted.quorum,
            "feedback": decision.feedback,
            "eligible_as": eligible_as(approval, by),
        },
    )
    if approval.policy.notified:
        enqueue(tx, APPROVAL_CARD, approval.approval_request_id)
    tx.wake(f"approval:{approval.approval_request_id}")
    return approval._replace(version=touched.version)


def _record_vote(tx: Tx, approval: ApprovalRequest, decision: Decision, by: Actor, via: Via) -> Sequence[Write]:
    """Counts the decision; returns the write that records it."""
    tx.count(DECISION, decision.verdict.value, via.value)
    binds = {
        "approval_request_id": approval.approval_request_id,
        "principal": by.principal,
        "via": via.value,
        "verdict": decision.verdict.value,
        "feedback": decision.feedback,
        "edited_arguments": decision.edited_arguments,
        "digest": decision.digest or approval.digest,
        "asserted_by": by.asserted_by,
        "eligible_as": json.dumps(eligible_as(approval, by)),
        "created_at": tx.now,
    }
    return ((INSERT_DECISION, binds),)


def eligible_as(approval: ApprovalRequest, by: Actor) -> list[str]:
    """The entries of the reviewer list that let `by` decide at that time; ["operator"] for a trusted door."""
    if by.operator:
        return ["operator"]
    eligible = eligible_reviewers(approval.policy, bool(approval.widened))
    return [name for name in eligible if name in by.identities or name == by.principal]

"""What time brings: the ladder of pending approvals, and claims whose holders are gone. Woken every second."""

from __future__ import annotations

from dataclasses import dataclass

from agent_runtime.core import ladder
from agent_runtime.core.approval import ApprovalRequest
from agent_runtime.core.ladder import Climbed, Rung
from agent_runtime.core.policy import Defaults
from agent_runtime.operations.announce import News, announce
from agent_runtime.operations.claim import SWEPT, release_from_the_gone, take_over_lapsed
from agent_runtime.operations.consume import lapse_permits
from agent_runtime.operations.orphans import ask_about_orphans
from agent_runtime.operations.resolve import expire
from agent_runtime.store.approvals import CLIMB, DUE
from agent_runtime.store.events import record
from agent_runtime.store.outbox import APPROVAL_CARD, APPROVAL_NOTE, APPROVAL_WARNING, enqueue
from agent_runtime.store.tx import Tx

_EVENTS = {Rung.remind: "reminded", Rung.escalate: "escalated", Rung.warn: "warned"}
_NEWS = {Rung.remind: News.reminded, Rung.escalate: News.escalated}


@dataclass(frozen=True, slots=True)
class Swept:
    """How much a sweep did; `more` where it took as many rows as it may at once."""

    climbed: int = 0
    expired: int = 0
    taken_over: int = 0
    lapsed: int = 0
    """Permits of outside agents that ended without a report."""
    orphaned: int = 0
    """Ended executions whose last calls were looked after."""
    gone: int = 0
    """Workers without a sign of life; what they had parked may be claimed by others."""
    more: bool = False


def sweep(tx: Tx, defaults: Defaults | None = None) -> Swept:
    """Claims due rows and does what is due on each, once; safe to run anywhere, at any time, at the same time.

    `defaults` are the environment's answers for what is asked afresh.
    """
    due = tx.all(DUE, b_now=tx.now, b_limit=SWEPT)
    expired = sum([climb(tx, approval) for approval in due])
    taken_over = take_over_lapsed(tx)
    lapsed = lapse_permits(tx, SWEPT)
    orphaned = ask_about_orphans(tx, defaults or Defaults())
    gone = release_from_the_gone(tx)
    more = SWEPT in (len(due), taken_over, lapsed, orphaned, gone)
    return Swept(len(due) - expired, expired, taken_over, lapsed, orphaned, gone, more=more)


def climb(tx: Tx, approval: ApprovalRequest) -> bool:
    """Does every rung that is due on a pending approval (its row held by the caller); whether that was its expiry."""
    climbed = ladder.climb(
        approval.policy,
        approval.created_at,
        approval.clock_started_at,
        approval.expires_at,
        approval.rungs_done,
        tx.now,
    )
    if not climbed.over or approval.clock_started_at is None:
        _move(tx, approval, climbed)
    if climbed.over:
        expire(tx, approval)
    return climbed.over


def _move(tx: Tx, approval: ApprovalRequest, climbed: Climbed) -> None:
    """Writes where the approval is on its ladder, and tells about each rung."""
    moved = tx.run(
        CLIMB,
        b_id=approval.approval_request_id,
        b_clock=climbed.clock_started_at,
        b_expires=climbed.expires_at,
        b_due=climbed.next.at if climbed.next else None,
        b_done=climbed.done,
        b_widened=int(approval.widened or Rung.escalate in climbed.rungs),
        b_extensions=approval.extensions,
    )
    for rung in climbed.rungs:
        record(
            tx,
            f"approval.{_EVENTS[rung]}",
            execution_id=approval.execution_id,
            approval_request_id=approval.approval_request_id,
            data={"escalate_to": list(approval.policy.escalate_to)} if rung is Rung.escalate else {},
        )
        if moved is not None and rung in _NEWS:
            announce(tx, moved, _NEWS[rung])
        if approval.policy.notified:
            if rung is Rung.warn:
                enqueue(tx, APPROVAL_WARNING, approval.approval_request_id)
            else:
                enqueue(tx, APPROVAL_NOTE, approval.approval_request_id, payload={"event": _EVENTS[rung]})
    if approval.policy.notified:
        enqueue(tx, APPROVAL_CARD, approval.approval_request_id)
    tx.wake(f"approval:{approval.approval_request_id}")


def start_clock(tx: Tx, approval: ApprovalRequest) -> ApprovalRequest:
    """The first delivery (or giving it up) starts the clock of a pending approval; later ones change nothing."""
    if not approval.pending or approval.clock_started_at is not None:
        return approval
    clock, expires_at = ladder.started(approval.policy, approval.created_at, tx.now)
    due = ladder.next_due(approval.policy, approval.created_at, clock, expires_at, approval.rungs_done)
    started = tx.run(
        CLIMB,
        b_id=approval.approval_request_id,
        b_clock=clock,
        b_expires=expires_at,
        b_due=due.at if due else None,
        b_done=approval.rungs_done,
        b_widened=approval.widened,
        b_extensions=approval.extensions,
    )
    return started or approval

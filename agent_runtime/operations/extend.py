"""Puts off the expiry of a pending approval: a reviewer needs more time."""

from __future__ import annotations

from agent_runtime.core import ladder
from agent_runtime.core.approval import ApprovalRequest, already_resolved
from agent_runtime.core.duration import rfc3339
from agent_runtime.core.ladder import MAX_EXTENSIONS, Rung
from agent_runtime.core.policy import may_decide
from agent_runtime.core.principal import Actor, Via
from agent_runtime.errors import ApprovalExpired, InvalidRequest
from agent_runtime.operations.resolve import load, refusals_recorded
from agent_runtime.store.approvals import CLIMB
from agent_runtime.store.events import record
from agent_runtime.store.outbox import APPROVAL_CARD, APPROVAL_NOTE, APPROVAL_WARNING, enqueue
from agent_runtime.store.tx import Tx


def extend(tx: Tx, approval_request_id: str, *, by: Actor, via: Via) -> ApprovalRequest:
    """Adds the approval's whole life to its deadline, MAX_EXTENSIONS times at most; people are warned again.

    Whoever may decide may extend. Raises NotFound, NotAuthorized, InvalidRequest where it never expires or was extended
    often enough, AlreadyResolved or ApprovalExpired.
    """
    approval = load(tx, approval_request_id)
    policy = approval.policy
    with refusals_recorded(approval, by, via):
        may_decide(policy, requested_by=approval.requested_by, by=by, via=via, widened=bool(approval.widened))
    if not approval.pending:
        raise already_resolved(approval)
    if policy.expires_after is None or approval.expires_at is None:
        raise InvalidRequest("this approval does not expire (yet), so it needs no more time")
    if tx.now >= approval.expires_at:
        raise ApprovalExpired(f"this approval expired at {rfc3339(approval.expires_at)}; nothing runs")
    if approval.extensions >= MAX_EXTENSIONS:
        raise InvalidRequest(f"this approval was extended {MAX_EXTENSIONS} times already; decide, or let it expire")
    expires_at = approval.expires_at + policy.expires_after
    done = approval.rungs_done & ~Rung.warn
    due = ladder.next_due(policy, approval.created_at, approval.clock_started_at, expires_at, done)
    extended = tx.run(
        CLIMB,
        b_id=approval_request_id,
        b_clock=approval.clock_started_at,
        b_expires=expires_at,
        b_due=due.at if due else None,
        b_done=int(done),
        b_widened=approval.widened,
        b_extensions=approval.extensions + 1,
    )
    if extended is None:
        raise already_resolved(load(tx, approval_request_id))
    record(
        tx,
        "approval.extended",
        execution_id=approval.execution_id,
        approval_request_id=approval_request_id,
        by=by,
        via=via,
        data={"expires_at": rfc3339(expires_at), "extensions": extended.extensions},
    )
    if policy.notified:
        enqueue(tx, APPROVAL_CARD, approval_request_id)
        if ladder.was_warned(approval.rungs_done, approval.extensions):
            enqueue(tx, APPROVAL_WARNING, approval_request_id)
        enqueue(
            tx, APPROVAL_NOTE, approval_request_id, payload={"event": "extended", "extensions": extended.extensions}
        )
    tx.wake(f"approval:{approval_request_id}")
    return extended

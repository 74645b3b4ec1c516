"""What other systems are told of an approval: one outbox row a lane, in the transaction of what happened."""

from __future__ import annotations

from enum import StrEnum

from agent_runtime.core.approval import ApprovalRequest, ApprovalStatus, Kind
from agent_runtime.core.duration import rfc3339
from agent_runtime.core.ids import message_id
from agent_runtime.core.shown import approval_shown
from agent_runtime.store.approvals import VOTES
from agent_runtime.store.outbox import WEBHOOK, enqueue
from agent_runtime.store.tx import Tx
from agent_runtime.store.webhooks import CALLBACK, NOTIFY


class News(StrEnum):
    """The `type` of an outbound webhook."""

    created = "approval.created"
    reminded = "approval.reminded"
    escalated = "approval.escalated"
    decided = "approval.decided"
    expired = "approval.expired"
    cancelled = "approval.cancelled"
    in_doubt = "approval.in_doubt"


def announce(tx: Tx, approval: ApprovalRequest, news: News) -> None:
    """Tells the operator's receivers (where there are any) and the approval's own callback_url.

    The message is written whole, as the approval is now: a retry sends the same bytes under the same id.
    """
    lanes = [lane for lane, told in ((NOTIFY, approval.policy.webhooks), (CALLBACK, approval.callback_url)) if told]
    if not lanes:
        return
    votes = tx.all(VOTES, b_id=approval.approval_request_id)
    message = {
        "type": news.value,
        "timestamp": rfc3339(tx.now),
        "data": approval_shown(approval, votes),
    }
    payload = {"id": message_id(tx.now), "message": message}
    for lane in lanes:
        enqueue(tx, WEBHOOK, approval.approval_request_id, lane=lane, payload=payload)


def news_of_request(approval: ApprovalRequest) -> News:
    """How a new approval is announced."""
    return News.in_doubt if approval.kind == Kind.in_doubt else News.created


def news_of_end(approval: ApprovalRequest) -> News:
    """How the end of an approval is announced; a settlement is a decision."""
    if approval.status == ApprovalStatus.expired:
        return News.expired
    settled = "outcome" in (approval.resolution or {})
    return News.cancelled if approval.status == ApprovalStatus.cancelled and not settled else News.decided

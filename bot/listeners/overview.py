"""What concerns one person: pending approvals that they may decide, runs that they asked for, recent decisions."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from agent_runtime.core.approval import ApprovalRequest
from agent_runtime.core.execution import Execution
from agent_runtime.core.policy import may_decide
from agent_runtime.core.principal import Actor, Via
from agent_runtime.errors import NotAuthorized
from agent_runtime.store.approvals import list_approvals
from agent_runtime.store.executions import REQUESTED_BY
from agent_runtime.store.outbox import APPROVAL_CARD, RECEIPTS
from bot.listeners.context import Context

PAGE = 10
"""Approvals shown at once."""

LOOKED_AT = 500
"""Pending approvals that are looked at for one person."""

OTHERS = 8
"""Own runs, and recent decisions, shown at most."""

_PENDING = list_approvals(pending=True, status=False, kind=False, after=False)
_RECENT = list_approvals(pending=False, status=False, kind=False, after=False)


@dataclass(frozen=True, slots=True)
class Overview:
    """`waiting` is one page of those that wait on this person, `total` how many there are; `links` lead to cards."""

    waiting: list[ApprovalRequest]
    total: int
    page: int
    mine: list[Execution]
    recent: list[ApprovalRequest]
    links: dict[str, str] = field(default_factory=dict)

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // PAGE))


async def overview(context: Context, actor: Actor, page: int) -> Overview:
    """Read at one moment; a page past the end is the last one."""
    pending = await context.database.all(_PENDING, b_limit=LOOKED_AT)
    waiting = [approval for approval in pending if _may(actor, approval)]
    page = max(0, min(page, -(-len(waiting) // PAGE) - 1))
    shown = waiting[page * PAGE : (page + 1) * PAGE]
    mine = await context.database.all(REQUESTED_BY, b_requested_by=actor.principal, b_limit=OTHERS)
    listed = await context.database.all(_RECENT, b_limit=LOOKED_AT)
    ended = [approval for approval in listed if not approval.pending and _concerns(actor, approval)]
    recent = sorted(ended, key=lambda approval: approval.resolved_at or 0, reverse=True)[:OTHERS]
    links = {approval.approval_request_id: await _link(context, approval) for approval in (*shown, *recent)}
    return Overview(shown, len(waiting), page, mine, recent, {key: url for key, url in links.items() if url})


def _concerns(actor: Actor, approval: ApprovalRequest) -> bool:
    """Others' approvals are nobody's business."""
    return actor.principal in {approval.requested_by, approval.decided_by} or _may(actor, approval)


def _may(actor: Actor, approval: ApprovalRequest) -> bool:
    try:
        may_decide(
            approval.policy,
            requested_by=approval.requested_by,
            by=actor,
            via=Via.slack,
            widened=bool(approval.widened),
        )
    except NotAuthorized:
        return False
    return True


async def _link(context: Context, approval: ApprovalRequest) -> str:
    """The address of its card, in the form of chat.getPermalink; "" where none is shown."""
    base = context.identity().url.rstrip("/")
    rows = await context.database.all(
        RECEIPTS, b_notifier="slack", b_topic=APPROVAL_CARD, b_subject=approval.approval_request_id
    )
    if not base or not rows:
        return ""
    receipt = json.loads(rows[0].receipt)
    return f"{base}/archives/{receipt['channel']}/p{str(receipt['ts']).replace('.', '')}"

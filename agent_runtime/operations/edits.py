"""Whether people changed a call before it ran, along the chain of questions about it."""

from __future__ import annotations

from agent_runtime.core.approval import ApprovalRequest
from agent_runtime.store.approvals import GET_APPROVAL
from agent_runtime.store.tx import Tx


def were_edited(tx: Tx, approval: ApprovalRequest) -> bool:
    """Whether this approval, or one that it supersedes, changed the arguments that the agent had proposed."""
    current: ApprovalRequest | None = approval
    while current is not None:
        if current.run_arguments != current.arguments:
            return True
        current = tx.one(GET_APPROVAL, b_id=current.supersedes) if current.supersedes else None
    return False

"""Statements about epochs: each restore of the database opens one."""

from __future__ import annotations

from sqlalchemy import bindparam, func, insert, null, select, update

from agent_runtime.core.epochs import Epoch
from agent_runtime.core.execution import Execution
from agent_runtime.store.rows import among, approval_request, column_names
from agent_runtime.store.schema import approvals, epochs, executions, outbox, tokens
from agent_runtime.store.statement import Q

RESTORED, ASKED = "restore", "restore:asked"
"""Why an execution is held after a restore: nobody was asked about it yet; somebody was."""

_c = epochs.c
EPOCHS = Q(select(_c.epoch, _c.principal, _c.reason, _c.restored_to, _c.opened_at).order_by(_c.epoch), Epoch)
NEWEST_EPOCH = Q(select(func.coalesce(func.max(_c.epoch), 1).label("epoch")))
INSERT_EPOCH = Q(insert(epochs), columns=column_names(epochs))

_e = executions.c
HOLD_ALL = Q(
    update(executions)
    .where(_e.ended_at.is_(None))
    .values(held_for=RESTORED, worker_id=null(), lease_until=null(), fence=_e.fence + 1, version=_e.version + 1)
    .returning(_e.execution_id)
)
HELD_AFTER_RESTORE = Q(
    select(*_e)
    .where(_e.held_for == RESTORED)
    .order_by(_e.execution_id)
    .limit(bindparam("b_limit"))
    .with_for_update(skip_locked=True),
    Execution,
)
SETTLE_HELD = Q(
    update(executions)
    .where(_e.execution_id == bindparam("b_id"), _e.held_for == RESTORED)
    .values(
        held_for=bindparam("b_held"),
        status=bindparam("b_status"),
        attempts=0,
        open_approvals=bindparam("b_open"),
        version=_e.version + 1,
    )
    .returning(_e.execution_id)
)
LET_GO = Q(
    update(executions)
    .where(_e.execution_id == bindparam("b_id"), among(_e.held_for, [RESTORED, ASKED]))
    .values(held_for=null(), version=_e.version + 1)
    .returning(_e.execution_id)
)
_a = approvals.c
OUTSIDERS_PENDING = Q(
    select(*_a).where(_a.execution_id.is_(None), _a.status == "pending").order_by(_a.approval_request_id),
    approval_request,
)
OUTSIDERS_APPROVED = Q(
    update(approvals)
    .where(_a.execution_id.is_(None), _a.status == "approved", _a.consumed_at.is_(None))
    .values(valid_until=bindparam("b_now"), version=_a.version + 1)
    .returning(_a.approval_request_id)
)
"""What outsiders may have used after the backup: no call may be started by it any more."""

SHOWN_BEFORE = Q(update(outbox).where(outbox.c.attempts == 0).values(attempts=1).returning(outbox.c.outbox_id))
"""What is undelivered may have been delivered after the backup: it is looked for before it is posted again."""

VALID_TOKENS = Q(select(func.count().label("n")).select_from(tokens).where(tokens.c.revoked_at.is_(None)))

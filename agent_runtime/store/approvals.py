"""Statements about approvals and the decisions on them."""

from __future__ import annotations

from sqlalchemy import BindParameter, and_, bindparam, insert, null, or_, select, update

from agent_runtime.core.approval import ApprovalRequest, Vote
from agent_runtime.store.rows import approval_request, column_names, touched
from agent_runtime.store.schema import approvals, decisions, executions
from agent_runtime.store.statement import Q

_a = approvals.c
_all = list(_a)
_by_id = _a.approval_request_id == bindparam("b_id")

INSERT_APPROVAL = Q(insert(approvals), columns=column_names(approvals))
GET_APPROVAL = Q(select(*_all).where(_by_id), approval_request, quick=True)
GET_APPROVAL_FOR_UPDATE = Q(select(*_all).where(_by_id).with_for_update(), approval_request)
OF_EXECUTION = Q(
    select(*_all)
    .where(_a.execution_id == bindparam("b_execution"))
    .order_by(_a.position, _a.created_at, _a.approval_request_id),
    approval_request,
    quick=True,
)
PENDING_OF_EXECUTION = Q(
    select(*_all)
    .where(_a.execution_id == bindparam("b_execution"), _a.status == "pending")
    .order_by(_a.position, _a.created_at, _a.approval_request_id),
    approval_request,
    quick=True,
)
END_APPROVAL = Q(
    update(approvals)
    .where(_by_id, _a.status == "pending")
    .values(
        status=bindparam("b_status"),
        resolved_at=bindparam("b_now"),
        resolution=bindparam("b_resolution"),
        valid_until=bindparam("b_valid_until"),
        next_due_at=null(),
        version=_a.version + 1,
    )
    .returning(_a.approval_request_id)
)
"""The guard of the single resume path: it lands once. Only operations/resolve.py may use it."""

TOUCH_APPROVAL = Q(
    update(approvals)
    .where(_by_id)
    .values(version=_a.version + 1)
    .returning(_a.version, _a.policy, _a.supersedes, _a.arguments, _a.resolution),
    touched,
)
"""What its card shows has changed."""

CONSUME_APPROVAL = Q(
    update(approvals)
    .where(_by_id, _a.status == "approved", _a.consumed_at.is_(None))
    .values(consumed_at=bindparam("b_now"), version=_a.version + 1)
    .returning(_a.approval_request_id)
)
USE_ANSWER = Q(
    update(approvals)
    .where(_by_id, _a.status != "pending", _a.consumed_at.is_(None))
    .values(consumed_at=bindparam("b_now"))
    .returning(_a.approval_request_id)
)
"""The answer of a reasoner's pause is handed to its code."""

UNUSED_ANSWERS = Q(
    select(_a.approval_request_id).where(
        _a.execution_id == bindparam("b_execution"),
        _a.kind == "pause",
        _a.status != "pending",
        _a.consumed_at.is_(None),
    )
)

ADOPT_APPROVAL = Q(
    update(approvals)
    .where(_by_id)
    .values(execution_id=bindparam("b_execution"), position=null(), version=_a.version + 1)
    .returning(*_all),
    approval_request,
)
"""A question of an execution that ended becomes another's; no step of the new one waits for it by position."""

CLIMB = Q(
    update(approvals)
    .where(_by_id, _a.status == "pending")
    .values(
        clock_started_at=bindparam("b_clock"),
        expires_at=bindparam("b_expires"),
        next_due_at=bindparam("b_due"),
        rungs_done=bindparam("b_done"),
        widened=bindparam("b_widened"),
        extensions=bindparam("b_extensions"),
        version=_a.version + 1,
    )
    .returning(*_all),
    approval_request,
)
"""The ladder moves: the only statement that writes deadlines after the request."""

_due = and_(_a.status == "pending", _a.next_due_at <= bindparam("b_now"))
_next = select(_a.execution_id).where(_due).order_by(_a.next_due_at).limit(bindparam("b_limit")).subquery("oldest")
_execution = (
    select(executions.c.execution_id)
    .where(executions.c.execution_id == _next.c.execution_id)
    .with_for_update(skip_locked=True)
    .scalar_subquery()
)
_held = select(_execution.label("execution_id")).select_from(_next).cte("held")
DUE = Q(
    select(*_all)
    .where(_due, or_(_a.execution_id.is_(None), _a.execution_id.in_(select(_held.c.execution_id))))
    .order_by(_a.next_due_at)
    .limit(bindparam("b_limit"))
    .with_for_update(skip_locked=True),
    approval_request,
)
"""Executions are locked before their approvals, as by every batch, and what others hold is passed over: a sweep holds
rows and waits for none, so nobody waits in a circle with it.
"""

DECIDED = Q(
    select(*_all)
    .where(_a.resolved_at.is_not(None))
    .order_by(_a.resolved_at.desc(), _a.approval_request_id.desc())
    .limit(bindparam("b_limit")),
    approval_request,
)
"""What ended last, newest first."""

PENDING_VERSIONS = Q(
    select(_a.approval_request_id, _a.version)
    .where(_a.status == "pending")
    .order_by(_a.created_at, _a.approval_request_id)
    .limit(bindparam("b_limit"))
)
DECIDED_VERSIONS = Q(
    select(_a.approval_request_id, _a.version)
    .where(_a.resolved_at.is_not(None))
    .order_by(_a.resolved_at.desc(), _a.approval_request_id.desc())
    .limit(bindparam("b_limit"))
)

_v = decisions.c
INSERT_DECISION = Q(insert(decisions), columns=column_names(decisions))
_vote = [_v.principal, _v.via, _v.verdict, _v.feedback, _v.edited_arguments, _v.asserted_by, _v.created_at]
VOTES = Q(
    select(*_vote).where(_v.approval_request_id == bindparam("b_id")).order_by(_v.created_at, _v.principal),
    Vote,
    quick=True,
)
VOTES_OF_EXECUTION = Q(
    select(_v.approval_request_id, *_vote)
    .join_from(approvals, decisions, _v.approval_request_id == _a.approval_request_id)
    .where(_a.execution_id == bindparam("b_execution"))
    .order_by(_v.created_at, _v.principal)
)
"""The same of all of its approvals, each behind the id of its approval."""


def list_approvals(*, pending: bool, status: bool, kind: bool, after: bool) -> Q[ApprovalRequest]:
    """A page, keyset-paged by (created_at, id): pending ones oldest first, others newest first."""
    query = select(*_all)
    key = (_a.created_at, _a.approval_request_id)
    at: BindParameter[int] = bindparam("b_at")
    aid: BindParameter[str] = bindparam("b_id")
    if pending:
        query = query.where(_a.status == "pending").order_by(*key)
        if after:
            query = query.where(or_(_a.created_at > at, and_(_a.created_at == at, _a.approval_request_id > aid)))
    else:
        query = query.order_by(*(column.desc() for column in key))
        if status:
            query = query.where(_a.status == bindparam("b_status"), _a.resolved_at.is_not(None))
        if after:
            query = query.where(or_(_a.created_at < at, and_(_a.created_at == at, _a.approval_request_id < aid)))
    if kind:
        query = query.where(_a.kind == bindparam("b_kind"))
    return Q(query.limit(bindparam("b_limit")), approval_request)

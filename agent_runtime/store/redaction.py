"""Statements that replace payloads; see operations/redact.py."""

from __future__ import annotations

from sqlalchemy import bindparam, null, update

from agent_runtime.core.redaction import REDACTED
from agent_runtime.store.schema import approvals, decisions, executions, steps
from agent_runtime.store.statement import Q

REDACT_EXECUTION = Q(
    update(executions)
    .where(executions.c.execution_id == bindparam("b_id"))
    .values(
        input=bindparam("b_input"),
        result=bindparam("b_result"),
        error=bindparam("b_error"),
        version=executions.c.version + 1,
    )
    .returning(executions.c.execution_id)
)
REDACT_STEP = Q(
    update(steps)
    .where(steps.c.execution_id == bindparam("b_id"), steps.c.position == bindparam("b_position"))
    .values(arguments="{}", result=bindparam("b_result"))
    .returning(steps.c.position)
)
REDACT_APPROVAL = Q(
    update(approvals)
    .where(approvals.c.approval_request_id == bindparam("b_id"))
    .values(
        arguments="{}",
        preview=null(),
        context=null(),
        title=REDACTED,
        resolution=bindparam("b_resolution"),
        version=approvals.c.version + 1,
    )
    .returning(approvals.c.approval_request_id)
)
REDACT_DECISIONS = Q(
    update(decisions)
    .where(decisions.c.approval_request_id == bindparam("b_id"))
    .values(feedback="", edited_arguments=null())
    .returning(decisions.c.principal)
)

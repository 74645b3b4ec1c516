"""Statements about the journal."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import and_, bindparam, exists, insert, literal, or_, select, true, update

from agent_runtime.core.approval import ApprovalRequest
from agent_runtime.core.execution import Step
from agent_runtime.core.switches import ALL
from agent_runtime.store.rows import among, approval_request, column_names
from agent_runtime.store.schema import approvals, steps, switches
from agent_runtime.store.statement import Q

_s = steps.c
_all = list(_s)
_here = and_(_s.execution_id == bindparam("b_id"), _s.position == bindparam("b_position"))

INSERT_STEP = Q(insert(steps), columns=column_names(steps))
JOURNAL = Q(select(*_all).where(_s.execution_id == bindparam("b_id")).order_by(_s.position), Step, quick=True)
GET_STEP = Q(select(*_all).where(_here), Step, quick=True)


class Call(NamedTuple):
    """A call that is to start: its step, the approval of it, and whether a switch has stopped it."""

    step: Step
    approval: ApprovalRequest | None
    stopped: bool


def _call(*row: Any) -> Call:
    *columns, stopped = row
    step, asked = Step(*columns[: len(_all)]), columns[len(_all) :]
    return Call(step, None if step.approval_request_id is None else approval_request(*asked), bool(stopped))


_waiting = steps.alias("waiting").c
_its_approval = (
    select(_waiting.approval_request_id)
    .where(_waiting.execution_id == bindparam("b_id"), _waiting.position == bindparam("b_position"))
    .scalar_subquery()
)
_covering = (
    select(*approvals.c).where(approvals.c.approval_request_id == _its_approval).with_for_update().subquery("covering")
)
_scope = switches.c.scope
_stopped = exists(
    select(literal(1)).where(
        or_(_scope == ALL, _scope == bindparam("b_agent"), _scope == literal("tool:").concat(_s.name))
    )
)
CALL = Q(
    select(*_all, *_covering.c, _stopped.label("stopped")).select_from(steps.outerjoin(_covering, true())).where(_here),
    _call,
)
"""Of a step what its start needs, the approval's row locked. `b_agent` is the agent as a switch's scope."""

STEPS_AT_ONCE = 32
STEPS_AT = Q(
    select(*_all).where(
        _s.execution_id == bindparam("b_id"), _s.position.in_([bindparam(f"b_{n}") for n in range(STEPS_AT_ONCE)])
    ),
    Step,
)
"""Steps by their positions b_0, b_1, …; positions that there are too few of are -1."""

START_STEP = Q(
    update(steps)
    .where(_here, among(_s.status, ["proposed", "approved", "started"]))
    .values(
        status="started",
        attempt=_s.attempt + 1,
        fence=bindparam("b_fence"),
        started_at=bindparam("b_now"),
        arguments=bindparam("b_arguments"),
    )
    .returning(_s.attempt)
)
FINISH_STARTED = Q(
    update(steps)
    .where(_here, _s.status == "started", _s.fence == bindparam("b_fence"))
    .values(status=bindparam("b_status"), result=bindparam("b_result"), ended_at=bindparam("b_now"))
    .returning(_s.attempt)
)
"""The result of a call that was committed as started; lands also where the execution was cancelled meanwhile."""

FINISH_FREE = Q(
    update(steps)
    .where(_here, among(_s.status, ["proposed", "approved"]))
    .values(
        status=bindparam("b_status"), result=bindparam("b_result"), ended_at=bindparam("b_now"), attempt=_s.attempt + 1
    )
    .returning(_s.attempt)
)
"""The result of a call that needed no commit before it ran, or that did not run at all."""

RECORD_RESULT = Q(update(steps).where(_here).values(result=bindparam("b_result")).returning(_s.position))
"""More about a result, in the transaction that has recorded it."""

ANSWER_STEP = Q(
    update(steps)
    .where(_here, among(_s.status, ["gated", "in_doubt"]))
    .values(
        status=bindparam("b_status"),
        result=bindparam("b_result"),
        ended_at=bindparam("b_ended"),
    )
    .returning(_s.position)
)
"""What people said about a step that waited for them."""

HOLD_STEP = Q(
    update(steps)
    .where(_here, among(_s.status, ["proposed", "gated", "approved", "started", "in_doubt"]))
    .values(
        status=bindparam("b_status"),
        approval_request_id=bindparam("b_approval"),
        arguments=bindparam("b_arguments"),
        digest=bindparam("b_digest"),
        tool_version=bindparam("b_tool_version"),
    )
    .returning(*_all),
    Step,
)
"""The step waits for people: `gated` or `in_doubt`."""

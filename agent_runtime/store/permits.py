"""Statements about the permits of outside agents."""

from __future__ import annotations

from sqlalchemy import bindparam, insert, select, update

from agent_runtime.core.permit import Permit
from agent_runtime.store.rows import column_names
from agent_runtime.store.schema import permits
from agent_runtime.store.statement import Q

_p = permits.c
_all = list(_p)
_by_id = _p.approval_request_id == bindparam("b_id")

INSERT_PERMIT = Q(insert(permits), columns=column_names(permits))
GET_PERMIT = Q(select(*_all).where(_by_id), Permit, quick=True)
LAPSED_PERMITS = Q(
    select(_p.approval_request_id)
    .where(_p.status == "claimed", _p.expires_at <= bindparam("b_now"))
    .order_by(_p.expires_at, _p.approval_request_id)
    .limit(bindparam("b_limit"))
)
END_PERMIT = Q(
    update(permits)
    .where(_by_id, _p.status == "claimed")
    .values(
        status=bindparam("b_status"),
        ended_at=bindparam("b_now"),
        result=bindparam("b_result"),
        in_doubt_id=bindparam("b_in_doubt"),
    )
    .returning(*_all),
    Permit,
)
"""The guard: what became of a claimed call is said once."""

SETTLE_PERMIT = Q(
    update(permits)
    .where(_by_id, _p.status == "in_doubt")
    .values(
        status=bindparam("b_status"),
        ended_at=bindparam("b_now"),
        result=bindparam("b_result"),
        fresh_id=bindparam("b_fresh"),
    )
    .returning(*_all),
    Permit,
)

"""Statements about the stop switch: a row is what is stopped."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, insert, or_, select

from agent_runtime.core.switches import ALL, Switch
from agent_runtime.store.rows import column_names
from agent_runtime.store.schema import switches
from agent_runtime.store.statement import Q

_w = switches.c
SWITCHES = Q(select(*_w).order_by(_w.stopped_at, _w.scope), Switch, quick=True)
GET_SWITCH = Q(select(*_w).where(_w.scope == bindparam("b_scope")), Switch)
INSERT_SWITCH = Q(insert(switches), columns=column_names(switches))
DELETE_SWITCH = Q(delete(switches).where(_w.scope == bindparam("b_scope")).returning(*_w), Switch)
STOPPING = Q(
    select(*_w)
    .where(or_(_w.scope == ALL, _w.scope == bindparam("b_agent"), _w.scope == bindparam("b_tool")))
    .order_by(_w.scope)
    .limit(1),
    Switch,
)
"""What stops an agent's call of a tool; both as scopes."""

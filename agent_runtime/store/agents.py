"""Statements about agent definitions and the workers that run them."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, exists, insert, literal, not_, select, update

from agent_runtime.store.rows import among, column_names
from agent_runtime.store.schema import agent_definitions, executions, workers
from agent_runtime.store.statement import Q

_d = agent_definitions.c
LATEST_DEFINITION = Q(
    select(_d.agent, _d.agent_version, _d.definition, _d.deployed_at)
    .where(_d.agent == bindparam("b_agent"))
    .order_by(_d.deployed_at.desc())
    .limit(1),
    quick=True,
)
DEFINITIONS = Q(
    select(_d.agent, _d.agent_version, _d.definition, _d.deployed_at).order_by(_d.agent, _d.deployed_at.desc())
)
AGENT_NAMES = Q(select(_d.agent).distinct().order_by(_d.agent))
TOUCH_DEFINITION = Q(
    update(agent_definitions)
    .where(
        _d.agent == bindparam("b_agent"),
        _d.agent_version == bindparam("b_version"),
        _d.deployed_at <= bindparam("b_latest"),
    )
    .values(deployed_at=bindparam("b_now"))
    .returning(_d.agent)
)
"""An earlier version is the latest again, unless somebody has deployed it since `b_latest` was."""
INSERT_DEFINITION = Q(insert(agent_definitions), columns=column_names(agent_definitions))

_w = workers.c
INSERT_WORKER = Q(insert(workers), columns=column_names(workers))
BEAT = Q(
    update(workers)
    .where(_w.worker_id == bindparam("b_worker"))
    .values(heartbeat_at=bindparam("b_now"), agents=bindparam("b_agents"))
    .returning(_w.worker_id)
)
LIVE_WORKERS = Q(
    select(_w.worker_id, _w.agents, _w.host, _w.pid).where(_w.heartbeat_at > bindparam("b_since")), quick=True
)
GONE_WORKERS = Q(
    select(_w.worker_id)
    .where(_w.heartbeat_at <= bindparam("b_since"))
    .order_by(_w.heartbeat_at)
    .limit(bindparam("b_limit"))
    .with_for_update(skip_locked=True)
)
"""Those that have given no sign of life since then."""

_keeps = exists(
    select(literal(1)).where(executions.c.worker_id == _w.worker_id, among(executions.c.status, ["waiting", "queued"]))
)
FORGET_WORKER = Q(delete(workers).where(_w.worker_id == bindparam("b_worker"), not_(_keeps)).returning(_w.worker_id))
"""One that keeps no parked execution any more."""

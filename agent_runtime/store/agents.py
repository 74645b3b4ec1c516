"""Statements about agent definitions and the workers that run them."""

from __future__ import annotations

from sqlalchemy import bindparam, insert, select, update

from agent_runtime.store.rows import column_names
from agent_runtime.store.schema import agent_definitions, workers
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

"""Stores an agent's definition; the latest deployed starts new executions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent_runtime.core.canonical import canonical
from agent_runtime.core.principal import Actor
from agent_runtime.store.agents import INSERT_DEFINITION, LATEST_DEFINITION, TOUCH_DEFINITION
from agent_runtime.store.events import record
from agent_runtime.store.tx import Tx


def deploy(tx: Tx, agent: str, agent_version: str, definition: Mapping[str, Any], *, by: Actor) -> bool:
    """Makes this definition the one that starts new executions of `agent`. Returns whether anything changed."""
    latest = tx.one(LATEST_DEFINITION, b_agent=agent)
    if latest is not None and latest.agent_version == agent_version:
        return False
    before = 0 if latest is None else latest.deployed_at
    if not tx.run(TOUCH_DEFINITION, b_agent=agent, b_version=agent_version, b_latest=before, b_now=tx.now):
        tx.run(
            INSERT_DEFINITION,
            agent=agent,
            agent_version=agent_version,
            definition=canonical(dict(definition)),
            deployed_at=tx.now,
        )
    record(tx, "agent.deployed", stream=f"agent:{agent}", by=by, data={"agent_version": agent_version})
    return True

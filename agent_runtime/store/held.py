"""Why nobody moves an execution now: the stop switch, or a restore."""

from __future__ import annotations

from agent_runtime.core.execution import Execution
from agent_runtime.core.switches import covering
from agent_runtime.store.database import Database
from agent_runtime.store.switches import SWITCHES


async def held_for(database: Database, execution: Execution) -> str | None:
    """`all`, `agent:NAME` or `tool:NAME` where that is stopped, `restore` where people have to say how it goes on."""
    if execution.terminal:
        return None
    held = execution.held_for or ""
    if held.startswith("restore"):
        return "restore"
    stopped = {switch.scope for switch in await database.all(SWITCHES)}
    return covering(stopped, execution.agent) or (held if held in stopped else None)

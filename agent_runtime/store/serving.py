"""Whether anybody serves an agent just now."""

from __future__ import annotations

import json

from agent_runtime.core.duration import SECOND
from agent_runtime.store.agents import LIVE_WORKERS
from agent_runtime.store.database import Database

WORKER_HORIZON = 30 * SECOND
"""A worker without a heartbeat for this long serves nobody."""


async def no_worker(database: Database, agent: str) -> bool:
    """Whether no worker that is alive serves `agent`."""
    workers = await database.all(LIVE_WORKERS, b_since=database.clock() - WORKER_HORIZON)
    return not any(agent in json.loads(worker.agents) for worker in workers)

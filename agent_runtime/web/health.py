"""Whether the process serves, and whether work gets done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from agent_runtime.errors import StoreUnavailable
from agent_runtime.store.agents import LIVE_WORKERS
from agent_runtime.store.database import Database
from agent_runtime.store.revision import HEAD, REVISION, is_served
from agent_runtime.store.serving import WORKER_HORIZON
from agent_runtime.store.switches import SWITCHES
from agent_runtime.web.answers import HealthAnswer, ReadyAnswer
from agent_runtime.web.authentication import DATABASE, Identity
from agent_runtime.web.endpoint import Endpoint, answered, nothing

STATUS: web.AppKey[Callable[[], Mapping[str, Any]]] = web.AppKey("status")

_PATIENCE = 2.0
"""Seconds for the database to answer."""


async def alive(request: web.Request, identity: Identity, _: None) -> web.StreamResponse:
    return answered(HealthAnswer(status="ok"))


async def ready(request: web.Request, identity: Identity, _: None) -> web.StreamResponse:
    """200 where database, schema and a worker are ready; a surface that is away is listed, and no reason against it."""
    told = dict(request.app[STATUS]())
    checks: dict[str, Any] = await _looked_at(request.app[DATABASE])
    if told.pop("worker", True) is False:
        checks["worker"] = "this server's worker has ended; see its log and start it again"
    is_ready = all(checks[part] == "ok" for part in ("database", "schema", "worker"))
    return answered(ReadyAnswer(ready=is_ready, checks=checks | told), 200 if is_ready else 503)


async def _looked_at(database: Database) -> dict[str, Any]:
    try:
        async with asyncio.timeout(_PATIENCE):
            revision = await database.one(REVISION)
            workers = await database.all(LIVE_WORKERS, b_since=database.clock() - WORKER_HORIZON)
            stopped = await database.all(SWITCHES)
    except (StoreUnavailable, TimeoutError) as error:
        reason = str(error) or f"no answer within {_PATIENCE:g} s"
        return {"database": reason, "schema": "unknown", "worker": "unknown"}
    found = revision.version_num if revision is not None else "none"
    return {
        "database": "ok",
        "schema": "ok" if is_served(found) else f"at {found}, this version needs {HEAD}; run `countersign db upgrade`",
        "worker": "ok" if workers else "no worker is alive; start `countersign serve --agents …`",
        "stopped": [switch.scope for switch in stopped],
    }


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/healthz",
        summary="The process serves requests",
        find=nothing,
        scope=None,
        answer=alive,
        answers={200: HealthAnswer},
    ),
    Endpoint(
        method="GET",
        path="/readyz",
        summary="Whether database, schema and a worker are ready",
        find=nothing,
        scope=None,
        answer=ready,
        answers={200: ReadyAnswer, 503: ReadyAnswer},
    ),
)

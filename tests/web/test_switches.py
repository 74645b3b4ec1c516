"""The stop switch over HTTP: with the scope admin, listed also by /readyz and on every execution that it holds."""

from __future__ import annotations

from typing import Any

import pytest

from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.operations.start import Start, start
from agent_runtime.operations.tokens import create_token
from agent_runtime.store.database import Database
from tests.web.conftest import AGENT, Api

pytestmark = pytest.mark.databases("sqlite")


async def test_stopping_and_resuming(api: Api, database: Database) -> None:
    started = await database.write(start, Start(AGENT, {"prompt": "Go"}), by=LOCAL_OPERATOR, via=Via.api)
    stopped = await api.post("/api/v1/switches", {"stopped": True, "name": AGENT, "reason": "an incident"})
    assert stopped.status == 200
    listed = (await api.get("/api/v1/switches")).json
    assert [(one["scope"], one["by"], one["reason"]) for one in listed["items"]] == [
        (f"agent:{AGENT}", "local:operator", "an incident")
    ]
    assert (await api.get("/readyz")).json["checks"]["stopped"] == [f"agent:{AGENT}"]
    path = f"/api/v1/executions/{started.execution.execution_id}"
    assert (await api.get(path)).json["held_for"] == f"agent:{AGENT}"
    assert (await api.get("/api/v1/executions")).json["items"][0]["held_for"] == f"agent:{AGENT}"
    resumed = await api.post("/api/v1/switches", {"stopped": False, "name": AGENT})
    assert (resumed.status, resumed.json["stopped"]) == (200, False)
    assert (await api.get("/api/v1/switches")).json == {"items": []}
    assert (await api.get(path)).json["held_for"] is None


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"stopped": True, "name": "nobody"}, 404),
        ({"stopped": False}, 404),
        ({"name": AGENT}, 422),
        ({"stopped": "yes"}, 422),
        ({"stopped": True, "kind": "person"}, 422),
    ],
)
async def test_refusals(api: Api, body: dict[str, Any], status: int) -> None:
    assert (await api.post("/api/v1/switches", body)).status == status


async def test_it_needs_the_scope_admin(api: Api, database: Database) -> None:
    token = await database.write(create_token, "ci", ["start", "read", "decide"], by=LOCAL_OPERATOR, via=Via.cli)
    headers = {"Authorization": f"Bearer {token}"}
    assert (await api.post("/api/v1/switches", {"stopped": True}, headers=headers)).status == 403
    assert (await api.get("/api/v1/switches", headers=headers)).status == 403

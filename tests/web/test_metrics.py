"""GET /metrics: what Prometheus reads, parsed as it would parse it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families

from agent_runtime.core.duration import HOUR, MINUTE, SECOND
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.operations.cancel import cancel
from agent_runtime.operations.stop import stop
from agent_runtime.operations.sweep import sweep
from agent_runtime.store.outbox import DUE_DELIVERIES, GIVE_UP, WEBHOOK, enqueue
from agent_runtime.store.tx import Tx
from tests.web.conftest import Api, Serve, World

pytestmark = pytest.mark.databases("sqlite")

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def samples(api: Api, **kwargs: Any) -> Samples:
    answer = await api.get("/metrics", **kwargs)
    assert (answer.status, answer.headers["Content-Type"].split(";")[0]) == (200, "text/plain")
    families = list(text_string_to_metric_families(answer.text))
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def value(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((f"countersign_{name}", frozenset(labels.items())))


async def test_an_empty_database_has_every_gauge(api: Api) -> None:
    found = await samples(api)
    for status in ("queued", "running", "waiting"):
        assert value(found, "executions", status=status) == 0
    for kind in ("tool", "pause", "external", "in_doubt"):
        assert value(found, "approvals_pending", kind=kind) == 0
    for state in ("waiting", "dead"):
        assert value(found, "outbox_rows", state=state) == 0
        assert value(found, "webhooks", state=state) == 0
    for name in ("approvals_oldest_pending_age_seconds", "sweep_lateness_seconds", "stop_switches", "workers"):
        assert value(found, name) == 0, name
    assert [name for name, _ in found if name == "countersign_info"] != []


@pytest.mark.databases("sqlite", "postgresql")
async def test_what_there_is(api: Api, world: World) -> None:
    await world.worker()
    await world.started()
    await world.waiting()
    await world.in_doubt()
    await world.clock.advance(90 * SECOND)
    await world.database.write(stop, "", by=LOCAL_OPERATOR, via=Via.cli)
    found = await samples(api)
    assert value(found, "executions", status="waiting") == 2
    assert value(found, "approvals_pending", kind="tool") == 1
    assert value(found, "approvals_pending", kind="in_doubt") == 1
    oldest = value(found, "approvals_oldest_pending_age_seconds")
    assert oldest is not None
    assert 90 <= oldest < 120
    assert value(found, "stop_switches") == 1
    assert value(found, "workers") == 0, "its heartbeat is 90 s old"


def rows(tx: Tx) -> None:
    for topic, given_up in ((WEBHOOK, 1), ("approval.card", 2)):
        for number in range(3 + given_up):
            enqueue(tx, topic, f"apr_{topic}_{number}", payload={"n": number})


def given_up(tx: Tx) -> None:
    due = tx.all(DUE_DELIVERIES, b_now=tx.now, b_limit=2)
    for row in due:
        tx.run(GIVE_UP, b_id=row.outbox_id, b_now=tx.now, b_error="no such channel")


@pytest.mark.databases("sqlite", "postgresql")
async def test_what_is_to_be_delivered(api: Api, world: World) -> None:
    await world.database.write(rows)
    await world.database.write(given_up)
    found = await samples(api)
    assert value(found, "webhooks", state="waiting") == 4
    assert value(found, "webhooks", state="dead") == 0
    assert value(found, "outbox_rows", state="waiting") == 3
    assert value(found, "outbox_rows", state="dead") == 2


async def test_decisions_and_ends_are_counted_once_committed(api: Api, world: World) -> None:
    first, second = await world.waiting(), await world.waiting(expires_after=HOUR)
    body = {"decision": "approved"}
    for _ in range(2):  # the same again is no other decision
        await api.post(f"/api/v1/approvals/{first.approval_request_id}/decision", body)
    refused = await api.post(f"/api/v1/approvals/{first.approval_request_id}/decision", {"decision": "rejected"})
    assert refused.status == 409
    await world.clock.advance(HOUR + MINUTE)
    late = value(await samples(api), "sweep_lateness_seconds")
    assert late is not None
    assert 60 <= late < HOUR / SECOND
    await world.database.write(sweep)
    await world.database.write(cancel, second.execution_id, by=LOCAL_OPERATOR, via=Via.cli)
    found = await samples(api)
    decided = {labels: n for (name, labels), n in found.items() if name == "countersign_decisions_total"}
    assert decided == {
        frozenset({("verdict", "approved"), ("via", "api")}): 1,
        frozenset({("verdict", "expired"), ("via", "expiry")}): 1,
    }
    assert value(found, "executions_ended_total", status="cancelled") == 1
    assert value(found, "sweep_lateness_seconds") == 0
    operations, commits = value(found, "commit_batch_size_sum"), value(found, "commit_batch_size_count")
    assert operations is not None
    assert commits is not None
    assert operations >= commits > 0
    assert value(found, "commit_batch_size_bucket", le="64.0") == commits


async def test_requests_by_route_and_never_by_path(api: Api) -> None:
    for path in ("/api/v1/approvals/apr_1", "/api/v1/approvals/apr_2", "/nowhere/1", "/nowhere/2"):
        assert (await api.get(path)).status == 404
    assert (await api.send("PROPFIND", "/nowhere/3")).status == 404
    found = await samples(api)
    asked = {"method": "GET", "route": "/api/v1/approvals/{approval_request_id}"}
    assert value(found, "http_requests_total", status="404", **asked) == 2
    assert value(found, "http_request_duration_seconds_count", **asked) == 2
    assert value(found, "http_requests_total", status="404", method="GET", route="none") == 2
    assert not [labels for _, labels in found if "nowhere" in str(labels) or "PROPFIND" in str(labels)]


async def test_calls_of_surfaces(serve: Serve) -> None:
    api = await serve(calls=lambda: {("slack", "chat.update", "away"): 3})
    found = await samples(api)
    assert value(found, "surface_calls_total", surface="slack", method="chat.update", outcome="away") == 3


async def test_who_may_read_it(api: Api, world: World) -> None:
    reads, starts = await world.token("read"), await world.token("start")
    assert (await api.get("/metrics")).status == 401
    assert (await api.get("/metrics", headers=starts)).status == 403
    assert value(await samples(api, headers=reads), "stop_switches") == 0


async def test_openmetrics_where_it_is_asked_for(api: Api) -> None:
    answer = await api.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    names = {family.name for family in openmetrics_parser.text_string_to_metric_families(answer.text)}
    assert {"countersign_executions", "countersign_http_requests", "countersign_decisions"} <= names


async def test_routes_of_surfaces_are_counted_too(serve: Serve) -> None:
    async def received(request: web.Request) -> web.Response:
        return web.Response()

    api = await serve(routes=[web.post("/slack/events", received)])
    await api.post("/slack/events", {})
    found = await samples(api)
    assert value(found, "http_requests_total", method="POST", route="/slack/events", status="200") == 1


async def test_the_documentation_names_what_there_is(serve: Serve) -> None:
    api = await serve(calls=lambda: {("slack", "chat.update", "away"): 3})
    text = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    section = text.partition("## Monitoring")[2].partition("\n## ")[0]
    answer = await api.get("/metrics")
    families = {family.name: family.type for family in text_string_to_metric_families(answer.text)}
    told = {f"{name}_total" if kind == "counter" else name for name, kind in families.items()}
    ours = {name for name in told if name.startswith("countersign_")}
    assert set(re.findall(r"countersign_[a-z_]+", section)) == ours
    groups = yaml.safe_load(section.rpartition("```yaml")[2].partition("```")[0])["groups"]
    assert len(groups[0]["rules"]) == 3

"""Health, readiness, the page at /, and what every answer carries."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from agent_runtime.core.duration import SECOND
from agent_runtime.core.principal import Actor
from agent_runtime.errors import StoreUnavailable
from tests.web.conftest import Api, Serve, World


async def test_healthz_needs_nothing(api: Api, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*args: Any, **kwargs: Any) -> None:
        raise StoreUnavailable()

    monkeypatch.setattr(world.database, "one", refuse)
    answer = await api.get("/healthz", headers={"Host": "anything.example"})
    assert (answer.status, answer.json) == (200, {"status": "ok"})


async def test_ready_with_a_live_worker(serve: Serve, world: World) -> None:
    surfaces = {"slack": {"connected": False}}
    api = await serve(status=lambda: {"worker": True, "agents": [], "surfaces": surfaces})
    unready = await api.get("/readyz")
    assert (unready.status, unready.json["ready"]) == (503, False)
    assert "countersign serve" in unready.json["checks"]["worker"]
    await world.worker()
    ready = await api.get("/readyz")
    assert (ready.status, ready.json["ready"]) == (200, True)
    checks = ready.json["checks"]
    assert (checks["database"], checks["schema"], checks["worker"]) == ("ok", "ok", "ok")
    assert checks["surfaces"] == surfaces
    await world.clock.advance(31 * SECOND)
    assert (await api.get("/readyz")).status == 503


async def test_a_worker_that_has_ended_is_unready(serve: Serve, world: World) -> None:
    await world.worker()
    api = await serve(status=lambda: {"worker": False})
    assert (await api.get("/readyz")).status == 503


async def test_a_database_that_is_away_is_unready(api: Api, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.worker()

    async def refuse(*args: Any, **kwargs: Any) -> None:
        raise StoreUnavailable()

    monkeypatch.setattr(world.database, "all", refuse)
    answer = await api.get("/readyz")
    assert (answer.status, answer.json["checks"]["schema"]) == (503, "unknown")


async def test_the_page_shows_what_waits_and_escapes_it(api: Api, world: World) -> None:
    empty = await api.get("/")
    assert (empty.status, "Nothing waits" in empty.text) == (200, True)
    approval = await world.waiting(by=Actor("<script>alert(1)</script>\u202e"))
    page = await api.get("/")
    assert approval.approval_request_id in page.text
    assert page.text.count("<script") == 1  # our own, by its address
    assert "\u202e" not in page.text
    assert "&lt;script&gt;" in page.text
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("path", ["/", "/healthz", "/openapi.json", "/api/v1/approvals", "/api/v1/approvals/x", "/x"])
async def test_every_answer_carries_the_security_headers(api: Api, path: str) -> None:
    headers = (await api.get(path)).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == ("same-origin" if path == "/" else "no-referrer")
    assert "ython" not in headers["Server"]
    assert "Access-Control-Allow-Origin" not in headers


async def test_the_log_holds_no_query_body_or_token(api: Api, world: World) -> None:
    token = await world.token("read", "start")
    with capture_logs() as logged:
        await api.get("/api/v1/approvals?agent=query-secret", headers=token)
        await api.post("/api/v1/execute/async/refund_agent", {"prompt": "body-secret"}, headers=token)
        await api.get("/api/v1/approvals", headers={"Authorization": "Bearer header-secret"})
    lines = [line for line in logged if line["event"] == "request"]
    assert [line["status"] for line in lines] == [422, 202, 401]
    assert lines[0]["principal"] == "api:token-read-start"
    assert "secret" not in str(logged)
    assert token["Authorization"][7:] not in str(logged)


async def test_problems_are_documents_and_tell_no_internals(serve: Serve, world: World) -> None:
    async def fails(request: web.Request) -> web.Response:
        raise ZeroDivisionError("inner secret")

    async def redirects(request: web.Request) -> web.Response:
        raise web.HTTPFound("/readyz")

    api = await serve(routes=[web.get("/fails", fails), web.get("/redirects", redirects)])
    with capture_logs() as logged:
        answer = await api.get("/fails")
    assert (answer.status, answer.headers["Content-Type"].split(";")[0]) == (500, "application/problem+json")
    assert "inner" not in answer.text
    assert "Zero" not in answer.text
    (line,) = [line for line in logged if line["event"] == "unexpected error"]
    assert line["error_id"] == answer.json["error_id"]
    assert (await api.get("/redirects")).status == 302

    missing = await api.get("/no%0awhere?x=1")
    assert missing.json == {
        "type": "urn:countersign:problem:not-found",
        "title": "Not Found",
        "status": 404,
        "detail": "nothing is at this path; /openapi.json lists what there is",
        "instance": "/no%0Awhere",
    }
    wrong = await api.send("DELETE", "/api/v1/executions")
    assert (wrong.status, wrong.json["type"]) == (405, "urn:countersign:problem:method-not-allowed")
    assert set(wrong.headers["Allow"].split(",")) == {"GET", "HEAD"}

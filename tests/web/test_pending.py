"""The generic approval service: asking, listing and deciding in its own words, over the same operations."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from typing import Any
from urllib.parse import urlencode

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from agent_runtime.core.duration import rfc3339
from tests.web.conftest import Answer, Api, World

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
STATE = {"goal": "clean up", "messages": ["one", {"role": "user"}], "password": "hunter2"}
REQUEST = {
    "request_id": "req-1",
    "action_description": "Delete 3 rows from users",
    "agent_context": STATE,
    "timestamp": "2026-11-20T10:00:00Z",
}


async def view(url: str) -> list[dict[str, Any]]:
    """`SELECT * FROM pending_reviews`, as any other program would."""
    query = "SELECT * FROM pending_reviews ORDER BY request_id"
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(make_url(url).database or "")) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query)]
    link = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        return [dict(row) for row in await link.fetch(query)]
    finally:
        await link.close()


async def test_ask_list_decide(api: Api, database_url: str) -> None:
    asked = await api.post("/pending", REQUEST)
    assert asked.status == 201
    masked = {**STATE, "password": "[redacted]"}
    row = {**REQUEST, "agent_context": masked, "status": "waiting"}
    assert asked.json.items() >= row.items()
    listed = await api.get("/pending")
    assert [item.items() >= row.items() for item in listed.json["items"]] == [True]
    [seen] = await view(database_url)
    assert json.loads(seen.pop("agent_context")) == STATE  # whoever reads the database sees what is in it
    assert seen == {name: row[name] for name in ("request_id", "action_description", "timestamp", "status")}

    decided = await api.post("/approve/req-1", {"decision": "approved", "feedback": "Go."})
    assert (decided.status, decided.json["status"], decided.json["already_processed"]) == (200, "approved", False)
    assert (decided.json["feedback"], decided.json["decided_by"]) == ("Go.", "local:operator")
    again = await api.post("/approve/req-1", {"decision": "approved", "feedback": "Go."})
    assert (again.status, again.json["already_processed"]) == (200, True)
    assert (await api.post("/approve/req-1", {"decision": "rejected"})).status == 409
    assert (await api.get("/pending")).json["items"] == []
    assert (await api.get("/pending/req-1")).json["status"] == "approved"
    assert [seen["status"] for seen in await view(database_url)] == ["approved"]
    recorded = (await api.get("/api/v1/approvals/req-1")).json
    assert (recorded["kind"], [vote["via"] for vote in recorded["decisions"]]) == ("external", ["api"])


async def test_the_same_again_is_answered_as_before(api: Api, database_url: str) -> None:
    answers: list[Answer] = await asyncio.gather(*(api.post("/pending", REQUEST) for _ in range(8)))
    assert {(answer.status, answer.text) for answer in answers} == {(201, answers[0].text)}
    for other in ({"action_description": "Delete all"}, {"agent_context": {}}, {"timestamp": None}):
        assert (await api.post("/pending", REQUEST | other)).status == 409
    assert len(await view(database_url)) == 1


@pytest.mark.databases("sqlite")
async def test_forms_are_as_good_as_json(api: Api) -> None:
    asked = await api.post(
        "/pending", urlencode({**REQUEST, "agent_context": json.dumps(STATE)}).encode(), headers=FORM
    )
    assert (asked.status, asked.json["agent_context"]["goal"]) == (201, "clean up")
    assert (await api.post("/pending", REQUEST)).json == asked.json  # the same request, in another form
    words = await api.post("/pending", b"request_id=req-2&action_description=Go&agent_context=free+words", headers=FORM)
    assert (words.status, words.json["agent_context"]) == (201, "free words")
    twice = await api.post("/approve/req-1", b"decision=rejected&decision=approved", headers=FORM)
    assert twice.status == 422
    decided = await api.post("/approve/req-1", b"decision=reject&feedback=No%0D%0Away", headers=FORM)
    assert (decided.status, decided.json["status"], decided.json["feedback"]) == (200, "rejected", "No\nway")


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("/pending", {}, "request_id"),
        ("/pending", {"request_id": "a b", "action_description": "x"}, "request_id"),
        ("/pending", {"request_id": "a", "action_description": "  "}, "action_description"),
        ("/pending", {"request_id": "a", "action_description": "x", "urgent": True}, "urgent"),
        ("/pending", b'{"request_id": "a", "request_id": "b", "action_description": "x"}', "request_id"),
        ("/pending", b"[1]", "object"),
        ("/approve/req-1", {}, "decision"),
        ("/approve/req-1", {"decision": "maybe"}, "decision"),
        ("/approve/req-1", {"decision": True}, "decision"),
    ],
)
async def test_what_is_wrong_is_named(api: Api, path: str, body: Any, says: str) -> None:
    await api.post("/pending", REQUEST)
    answer = await api.post(path, body)
    assert (answer.status, says in answer.json["detail"]) == (422, True)
    assert (await api.get("/pending/req-1")).json["status"] == "waiting"


@pytest.mark.databases("sqlite")
async def test_unknown_and_other_forms(api: Api) -> None:
    assert (await api.post("/approve/nobody", {"decision": "approved"})).status == 404
    assert (await api.get("/pending/nobody")).status == 404
    parts = await api.post("/pending", b"--x--", headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert (parts.status, "form-urlencoded" in parts.json["detail"]) == (422, True)


async def test_an_execution_s_state_is_its_context(api: Api, world: World, database_url: str) -> None:
    approval = await world.waiting(arguments={"order": "ORD-1"}, rules=("checkpoint:refunds",))
    [listed] = (await api.get("/pending")).json["items"]
    [seen] = await view(database_url)
    context = json.loads(seen["agent_context"])
    assert context == listed["agent_context"]
    assert context["input"] == {"prompt": "refund cust_001"}
    assert (context["tool_name"], context["arguments"]) == ("refund", {"order": "ORD-1"})
    [reply] = context["steps"]
    assert reply["result"]["message"]["content"] == "I will refund it."
    assert seen["timestamp"] == listed["timestamp"] == rfc3339(approval.created_at)
    assert seen["status"] == listed["status"] == "waiting"


async def test_any_json_value_is_a_context(api: Api, database_url: str) -> None:
    values = {"a": {"x": [1]}, "b": [1, "two"], "c": 'say "hi"', "d": 1.5, "e": True, "f": False, "g": 0}
    for name, value in values.items():
        asked = {"request_id": name, "action_description": "x", "agent_context": value, "timestamp": 1.5}
        assert (await api.post("/pending", asked)).json["agent_context"] == value
    rows = await view(database_url)
    assert {row["request_id"]: json.loads(row["agent_context"]) for row in rows} == values
    assert {row["timestamp"] for row in rows} == {"1.5"}
    await api.post("/pending", {"request_id": "h", "action_description": "x"})
    assert json.loads((await view(database_url))[-1]["agent_context"]) == {}


async def test_an_escaped_nul_breaks_no_view(api: Api, database_url: str) -> None:
    body = json.dumps({**REQUEST, "agent_context": {"x": "a\u0000b"}}).encode()
    assert (await api.post("/pending", body)).status in {201, 422}
    assert (await api.post("/pending", {**REQUEST, "request_id": "req-2"})).status == 201
    assert [seen["status"] for seen in await view(database_url)][-1] == "waiting"


@pytest.mark.databases("sqlite")
async def test_pages_of_what_waits(api: Api) -> None:
    for number in range(3):
        await api.post("/pending", {"request_id": f"r{number}", "action_description": "x"})
    first = (await api.get("/pending?limit=2")).json
    rest = (await api.get(f"/pending?limit=2&cursor={first['next_cursor']}")).json
    assert sorted(item["request_id"] for item in first["items"] + rest["items"]) == ["r0", "r1", "r2"]
    assert rest["next_cursor"] is None


@pytest.mark.databases("sqlite")
async def test_scopes_are_the_api_s(api: Api, world: World) -> None:
    tokens = [await world.token(scope) for scope in ("start", "read", "decide", "admin")]
    requests = {("POST", "/pending"): (201, 403, 403, 403), ("GET", "/pending"): (403, 200, 403, 403)}
    for (method, path), expected in requests.items():
        body = json.dumps(REQUEST) if method == "POST" else None
        answers = [await api.send(method, path, data=body, headers=token) for token in tokens]
        assert tuple(answer.status for answer in answers) == expected
        assert (await api.send(method, path, data=body)).status == 401
    answers = [await api.post("/approve/req-1", {"decision": "approved"}, headers=token) for token in tokens]
    assert [answer.status for answer in answers] == [403, 403, 200, 403]
    assert answers[2].json["decided_by"] == "api:token-decide"

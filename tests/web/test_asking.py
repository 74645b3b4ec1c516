"""Outside agents ask: `POST /api/v1/approvals`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent_runtime.core.checkpoints import parse
from agent_runtime.core.policy import Defaults
from agent_runtime.store.database import Database
from agent_runtime.web import bodies
from tests.web.conftest import Api, Serve, World

APPROVALS = "/api/v1/approvals"
FULL = {
    "approval_request_id": "crew:refund-1",
    "title": "Refund 250 EUR to cust_001",
    "tool_name": "refund",
    "arguments": {"customer": "cust_001", "amount": 250, "api_key": "not-for-eyes"},
    "preview": {
        "title": "Refund 250 EUR",
        "target": {"system": "payments", "environment": "prod"},
        "effects": [{"verb": "refund", "count": 250, "unit": "EUR"}],
        "valid_for": "10m",
    },
    "context": {"ticket": "T-1", "password": "hunter2"},
    "requested_by": "alice@example.com",
    "reviewers": ["U012", "@support-leads"],
    "quorum": 2,
    "risk": "high",
    "expires_in_hours": 4,
    "url": "https://example.com/tickets/1",
    "callback_url": "https://example.com/hook",
}


async def test_asking_with_everything(api: Api) -> None:
    asked = await api.post(APPROVALS, FULL)
    shown = asked.json
    assert (asked.status, asked.headers["Location"]) == (201, f"{APPROVALS}/crew:refund-1")
    assert (shown["kind"], shown["status"], shown["execution_id"]) == ("external", "pending", None)
    assert (shown["requested_by"], shown["asserted"]) == ("local:operator", {"requested_by": "alice@example.com"})
    assert shown["arguments"] == {"customer": "cust_001", "amount": 250, "api_key": "[redacted]"}
    assert shown["context"] == {"ticket": "T-1", "password": "[redacted]"}
    assert shown["preview"] == FULL["preview"]
    assert (shown["reviewers"], shown["quorum"], shown["risk"]) == (FULL["reviewers"], 2, "high")
    assert shown["digest"].startswith("sha256:")
    assert "hunter2" not in asked.text
    assert "callback_url" not in shown
    listed = (await api.get(f"{APPROVALS}?kind=external&status=pending")).json["items"]
    assert listed == [shown]


async def test_the_same_again_and_another_under_its_id(api: Api) -> None:
    first = await api.post(APPROVALS, FULL)
    again = await api.post(APPROVALS, FULL)
    assert (again.status, again.json) == (200, first.json)
    other = await api.post(APPROVALS, FULL | {"quorum": 1})
    assert (other.status, other.json["type"]) == (409, "urn:countersign:problem:conflict")


async def test_a_title_is_enough(api: Api) -> None:
    asked = await api.post(APPROVALS, {"title": "May I?"})
    assert asked.status == 201
    assert asked.json["approval_request_id"].startswith("apr_")
    assert (asked.json["arguments"], asked.json["context"], asked.json["preview"]) == ({}, None, None)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": "   "}, "title"),
        ({"title": None}, "title"),
        ({"surprise": 1}, "surprise"),
        ({"expires_in_hours": 0}, "expires_in_hours"),
        ({"expires_in_hours": -1}, "expires_in_hours"),
        ({"expires_in_hours": "4"}, "expires_in_hours"),
        ({"expires_in_hours": True}, "expires_in_hours"),
        ({"expires_in_hours": 100_000}, "expires_in_hours"),
        ({"quorum": 0}, "quorum"),
        ({"quorum": "2"}, "quorum"),
        ({"reviewers": ["nobody in particular"]}, "reviewers"),
        ({"reviewers": "U012"}, "reviewers"),
        ({"risk": "low"}, "risk"),
        ({"approval_request_id": "no spaces"}, "approval_request_id"),
        ({"approval_request_id": ".."}, "approval_request_id"),
        ({"arguments": [1]}, "arguments"),
        ({"preview": {"colour": "red"}}, "preview.colour"),
        ({"preview": {"valid_for": "soon"}}, "preview.valid_for"),
        ({"url": "javascript:alert(1)"}, "url"),
        ({"url": "https://example.com/\u202egnp.exe"}, "url"),
        ({"callback_url": "http://example.com/\r\nX-Injected: 1"}, "callback_url"),
        ({"callback_url": "ftp://example.com/"}, "callback_url"),
        ({"callback_url": "https://user:secret@example.com/"}, "callback_url"),
        ({"callback_url": "http://127.0.0.1:9/"}, "callback_url"),
        ({"callback_url": "http://localhost/"}, "callback_url"),
        ({"callback_url": "http://169.254.169.254/latest/meta-data"}, "callback_url"),
    ],
    ids=str,
)
async def test_what_cannot_be_asked_names_the_field(api: Api, change: dict[str, Any], field: str) -> None:
    body = {name: value for name, value in ({"title": "May I?"} | change).items() if value is not None}
    refused = await api.post(APPROVALS, body)
    assert refused.status == 422
    assert [error["field"] for error in refused.json["errors"]] == [field]


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"title": "x" * 501}, "must have at most 500 characters: what people are asked, in a sentence"),
        ({"preview": {"colour": "red"}}, "is unknown here; known are title, target, effects"),
        ({"preview": {"target": "production"}}, "where: system, environment, resource"),
        ({"reviewers": [5]}, "who may decide: U…, S… or @handle"),
        ({"expires_in_hours": -1}, "must be more than zero and at most ten years"),
    ],
    ids=str,
)
async def test_a_refusal_speaks_of_what_was_sent(api: Api, change: dict[str, Any], message: str) -> None:
    [error] = (await api.post(APPROVALS, {"title": "May I?"} | change)).json["errors"]
    assert message in error["message"]
    assert "-3600" not in error["message"], "an hour was sent, not seconds"


async def test_asking_needs_the_scope_start(api: Api, world: World) -> None:
    reader = await world.token("read", "decide")
    starter = await world.token("start")
    assert (await api.post(APPROVALS, {"title": ""}, headers=reader)).status == 403
    asked = await api.post(APPROVALS, {"title": "May I?"}, headers=starter)
    assert (asked.status, asked.json["requested_by"]) == (201, "api:token-start")


async def test_whoever_asked_waits_for_the_decision(api: Api) -> None:
    asked = (await api.post(APPROVALS, {"title": "May I?"})).json
    one = f"{APPROVALS}/{asked['approval_request_id']}"
    waiting = asyncio.create_task(api.get(f"{one}?wait=30"))
    decided = await api.post(f"{one}/decision", {"decision": "approved", "feedback": "go", "digest": asked["digest"]})
    answer = (await waiting).json
    assert (decided.status, answer["status"], answer["feedback"]) == (200, "approved", "go")
    events = (await api.get(f"{one}/events")).json["items"]
    assert [(event["type"], event["by"], event["via"], event["why"]) for event in events] == [
        ("approval.requested", "local:operator", "api", ""),
        ("approval.approved", "local:operator", "api", "go"),
    ]


async def test_the_operator_allows_hosts_of_callbacks(serve: Serve) -> None:
    api = await serve(callback_hosts="127.0.0.1, hooks.internal")
    assert (await api.post(APPROVALS, {"title": "May I?", "callback_url": "http://127.0.0.1:9/"})).status == 201
    assert (await api.post(APPROVALS, {"title": "May I?", "callback_url": "http://127.0.0.2:9/"})).status == 422


async def test_a_checkpoint_of_this_place_comes_first(serve: Serve, database: Database) -> None:
    gates = parse('[[checkpoint]]\ncheckpoint_id = "deletions"\naction_pattern = "delete_*"\nreviewers = ["@dba"]\n')
    api = await serve(defaults=Defaults(checkpoints=gates.checkpoints))
    body = {"title": "Clean up", "tool_name": "delete_rows", "reviewers": ["U012"]}
    shown = (await api.post(APPROVALS, body)).json
    assert (shown["reviewers"], shown["rules"]) == (["@dba"], ["checkpoint:deletions"])


@pytest.mark.databases("sqlite")
async def test_a_body_that_does_not_come(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "_SECONDS_TO_SEND", 0.05)
    never = asyncio.Event()

    async def begun() -> AsyncIterator[bytes]:
        yield b'{"title": '
        await never.wait()

    async with api.session.post(f"{api.url}{APPROVALS}", data=begun()) as refused:
        assert refused.status == 408
        assert "within 30 seconds" in (await refused.json())["detail"]

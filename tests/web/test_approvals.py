"""Approvals: list, one, long-poll, events."""

from __future__ import annotations

import asyncio
import time

import pytest

from agent_runtime.core.principal import Actor
from agent_runtime.web import waiting as web_waiting
from tests.web.conftest import REFUND, Api, World

APPROVALS = "/api/v1/approvals"


async def test_one_approval(api: Api, world: World) -> None:
    approval = await world.waiting(reviewers=("U1", "@dba"), redact=("iban",), risk="high", rules=("tool:refund",))
    shown = (await api.get(f"{APPROVALS}/{approval.approval_request_id}")).json
    assert shown["status"] == "pending"
    assert (shown["kind"], shown["tool_name"], shown["agent"]) == ("tool", "refund", "refund_agent")
    assert shown["risk"] == "high"
    assert (shown["reviewers"], shown["rules"], shown["decisions"]) == (["U1", "@dba"], ["tool:refund"], [])
    assert shown["arguments"] == REFUND | {"iban": "[redacted]", "api_key": "[redacted]"}
    assert (shown["digest"], shown["requested_by"]) == (approval.digest, "local:operator")
    assert shown["context"] == {"words": "I will refund it."}


async def test_a_redaction_that_cannot_be_read_masks_everything(api: Api, world: World) -> None:
    approval = await world.waiting(redact=("a..b",))
    shown = (await api.get(f"{APPROVALS}/{approval.approval_request_id}")).json
    assert shown["arguments"] == "[redacted]"


async def test_pending_ones_are_listed_oldest_first_and_others_newest_first(api: Api, world: World) -> None:
    asked = [await world.waiting() for _ in range(5)]
    ids = [approval.approval_request_id for approval in asked]
    assert await _all(api, "status=pending&limit=2") == ids
    assert await _all(api, "limit=2") == ids[::-1]
    await world.decide(asked[1], "approved")
    await world.decide(asked[3], "approved")
    assert await _all(api, "status=approved&limit=1") == [ids[3], ids[1]]
    assert await _all(api, "status=pending&kind=tool&limit=1") == [ids[0], ids[2], ids[4]]
    assert await _all(api, "kind=in_doubt") == []


async def test_a_cursor_of_the_other_order_is_refused(api: Api, world: World) -> None:
    for _ in range(2):
        await world.waiting()
    cursor = (await api.get(f"{APPROVALS}?status=pending&limit=1")).json["next_cursor"]
    answer = await api.get(f"{APPROVALS}?limit=1&cursor={cursor}")
    assert (answer.status, answer.json["detail"].split(":")[0]) == (422, "cursor")


async def _all(api: Api, query: str) -> list[str]:
    seen: list[str] = []
    cursor = ""
    while cursor is not None:
        answer = await api.get(f"{APPROVALS}?{query}" + (f"&cursor={cursor}" if cursor else ""))
        assert answer.status == 200
        seen += [item["approval_request_id"] for item in answer.json["items"]]
        cursor = answer.json["next_cursor"]
    return seen


@pytest.mark.parametrize(
    ("query", "field"),
    [("status=waiting", "status"), ("kind=tools", "kind"), ("limit=-1", "limit"), ("pending=1", "pending")],
)
async def test_a_bad_list_is_refused_by_name(api: Api, query: str, field: str) -> None:
    answer = await api.get(f"{APPROVALS}?{query}")
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, field)


async def test_waiting_ends_with_the_decision(api: Api, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_waiting, "LOOK_EVERY", 30.0)  # so that only the announcement can wake it
    approval = await world.waiting()
    polled = asyncio.create_task(api.get(f"{APPROVALS}/{approval.approval_request_id}?wait=30"))
    while not api.app[web_waiting.WAITING].count:
        await asyncio.sleep(0.01)
    await world.decide(approval, "rejected")
    answer = await asyncio.wait_for(polled, 5)
    assert (answer.status, answer.json["status"], answer.json["decided_by"]) == (200, "rejected", "local:operator")


async def test_waiting_needs_no_announcement(api: Api, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.database.wakes, "announce", lambda topics: None)
    approval = await world.waiting()
    polled = asyncio.create_task(api.get(f"{APPROVALS}/{approval.approval_request_id}?wait=30"))
    while not api.app[web_waiting.WAITING].count:
        await asyncio.sleep(0.01)
    await world.decide(approval, "rejected")
    assert (await asyncio.wait_for(polled, 10)).json["status"] == "rejected"


async def test_waiting_ends_by_itself_and_with_the_server(api: Api, world: World) -> None:
    approval = await world.waiting()
    path = f"{APPROVALS}/{approval.approval_request_id}"
    began = time.monotonic()
    assert (await api.get(f"{path}?wait=0.2")).json["status"] == "pending"
    assert 0.2 <= time.monotonic() - began < 5
    polled = asyncio.create_task(api.get(f"{path}?wait=60"))
    while not api.app[web_waiting.WAITING].count:
        await asyncio.sleep(0.01)
    await web_waiting.stop_waiting(api.app)
    assert (await asyncio.wait_for(polled, 5)).json["status"] == "pending"


async def test_waiting_is_bounded(api: Api, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_waiting, "WAITING_AT_MOST", 0)
    approval = await world.waiting()
    path = f"{APPROVALS}/{approval.approval_request_id}"
    answer = await api.get(f"{path}?wait=1")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert (await api.get(path)).status == 200


@pytest.mark.parametrize("wait", ["61", "-1", "nan", "inf", "soon", "1&wait=2"])
async def test_a_bad_wait_is_refused(api: Api, world: World, wait: str) -> None:
    approval = await world.waiting()
    answer = await api.get(f"{APPROVALS}/{approval.approval_request_id}?wait={wait}")
    assert (answer.status, answer.json["detail"].split(":")[0]) == (422, "wait")


async def test_events_say_who_when_why_and_through_which_door(api: Api, world: World) -> None:
    approval = await world.waiting(allow_edits=True, redact=("iban",))
    path = f"{APPROVALS}/{approval.approval_request_id}"
    edited = REFUND | {"amount": 100}
    body = {"decision": "approved", "feedback": "the rest was paid", "edited_arguments": edited}
    assert (await api.post(f"{path}/decision", body)).status == 200
    page = (await api.get(f"{path}/events")).json
    assert [event["type"] for event in page["items"]] == ["approval.requested", "approval.approved"]
    decided = page["items"][1]
    assert (decided["by"], decided["via"], decided["why"]) == ("local:operator", "api", "the rest was paid")
    assert decided["at"].endswith("Z")
    assert decided["data"]["edited_arguments"] == edited | {"api_key": "[redacted]", "iban": "[redacted]"}
    first = (await api.get(f"{path}/events?limit=1")).json
    rest = (await api.get(f"{path}/events?cursor={first['next_cursor']}")).json
    assert first["items"] + rest["items"] == page["items"]
    assert rest["next_cursor"] is None
    shown = (await api.get(path)).json
    assert shown["resolution"]["edited_arguments"]["amount"] == 100
    assert "not-for-eyes" not in str(shown)


async def test_another_approval_s_cursor_is_refused(api: Api, world: World) -> None:
    one, two = await world.waiting(quorum=1), await world.waiting()
    await world.decide(one, "approved")
    cursor = (await api.get(f"{APPROVALS}/{one.approval_request_id}/events?limit=1")).json["next_cursor"]
    answer = await api.get(f"{APPROVALS}/{two.approval_request_id}/events?cursor={cursor}")
    assert (answer.status, answer.json["detail"].split(":")[0]) == (422, "cursor")


@pytest.mark.parametrize("wrong", ["apr_nothing", "a%00b", "%ff", "x" * 300])
async def test_an_unknown_id_is_404_also_with_a_bad_body(api: Api, wrong: str) -> None:
    for answer in (
        await api.get(f"{APPROVALS}/{wrong}?wait=bad"),
        await api.get(f"{APPROVALS}/{wrong}/events"),
        await api.post(f"{APPROVALS}/{wrong}/decision", b"{"),
        await api.post(f"{APPROVALS}/{wrong}/settle", b"{"),
    ):
        assert answer.status == 404
        assert answer.json["type"] == "urn:countersign:problem:not-found"


async def test_settling_a_call_in_doubt(api: Api, world: World) -> None:
    doubt = await world.in_doubt()
    path = f"{APPROVALS}/{doubt.approval_request_id}"
    assert (await api.post(f"{path}/decision", {"decision": "approved"})).status == 422
    body = {"outcome": "happened", "result": {"refund_id": "re_1"}, "evidence": "seen in the ledger"}
    first, again = await api.post(f"{path}/settle", body), await api.post(f"{path}/settle", body)
    assert (first.status, first.json["status"], first.json["already_processed"]) == (200, "approved", False)
    assert (again.status, again.json["already_processed"]) == (200, True)
    assert (await api.post(f"{path}/settle", {"outcome": "stop"})).status == 409
    assert first.json["resolution"]["outcome"] == "happened"
    assert (await world.execution(doubt)).status == "queued"


async def test_not_happened_asks_afresh(api: Api, world: World) -> None:
    doubt = await world.in_doubt()
    answer = await api.post(f"{APPROVALS}/{doubt.approval_request_id}/settle", {"outcome": "not_happened"})
    assert (answer.status, answer.json["status"]) == (200, "rejected")
    (fresh,) = (await api.get(f"{APPROVALS}?status=pending")).json["items"]
    assert (fresh["kind"], fresh["execution_id"]) == ("tool", doubt.execution_id)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "outcome"),
        ({"outcome": "approved"}, "outcome"),
        ({"outcome": "stop", "result": 1}, "result"),
        ({"outcome": "not_happened", "result": None}, "result"),
        ({"outcome": "stop", "by": "U1"}, "by"),
        ({"outcome": "stop", "evidence": ["x"]}, "evidence"),
        (b'{"outcome": "stop", "outcome": "happened"}', "the JSON"),
    ],
)
async def test_a_bad_settlement_is_refused_by_name(api: Api, world: World, body: object, field: str) -> None:
    doubt = await world.in_doubt()
    answer = await api.post(f"{APPROVALS}/{doubt.approval_request_id}/settle", body)
    assert answer.status == 422
    assert answer.json["detail"].startswith(field)
    assert (await world.approval(doubt)).status == "pending"


async def test_only_what_is_in_doubt_is_settled(api: Api, world: World) -> None:
    approval = await world.waiting(by=Actor("api:someone"))
    answer = await api.post(f"{APPROVALS}/{approval.approval_request_id}/settle", {"outcome": "happened"})
    assert (answer.status, answer.json["detail"].split(":")[0]) == (422, "outcome")
    assert (await world.approval(approval)).status == "pending"

"""Executions: list, one, cancel."""

from __future__ import annotations

import asyncio

import pytest

from agent_runtime.core.execution import StepKind
from agent_runtime.core.principal import Actor
from agent_runtime.operations.claim import park
from agent_runtime.operations.reason import Record, call_child
from agent_runtime.operations.start import Start
from tests.web.conftest import AGENT, REFUND, Api, World

EXECUTIONS = "/api/v1/executions"


async def test_one_shows_what_it_waits_for_and_what_it_did(api: Api, world: World) -> None:
    approval = await world.waiting(reviewers=("U1",), redact=("iban",), quorum=2)
    shown = (await api.get(f"{EXECUTIONS}/{approval.execution_id}")).json
    assert (shown["status"], shown["is_waiting"], shown["result"]) == ("waiting", True, None)
    assert [(s["kind"], s["name"], s["status"]) for s in shown["steps"]] == [
        ("model", "model", "succeeded"),
        ("tool", "refund", "gated"),
    ]
    (pending,) = shown["pending_approvals"]
    assert pending["approval_request_id"] == approval.approval_request_id
    assert (pending["kind"], pending["tool_name"]) == ("tool", "refund")
    assert (pending["quorum"], pending["reviewers"]) == (2, ["U1"])
    for arguments in (pending["arguments"], shown["steps"][1]["arguments"]):
        assert arguments["customer_id"] == REFUND["customer_id"]
        assert arguments["api_key"] == arguments["iban"] == "[redacted]"
    assert shown["steps"][0]["arguments"] is None


async def test_what_it_called_waits_with_it(api: Api, world: World) -> None:
    parent = await world.claimed(await world.started())
    wanted = Record("call:child", 0, StepKind.call, AGENT, "")
    await world.database.write(call_child, parent, wanted, [], Start(AGENT, {"prompt": "x"}))
    await world.database.write(park, parent, parent.signals)
    approval = await world.gated(await world.claimed())
    assert approval.execution_id != parent.execution_id
    shown = (await api.get(f"{EXECUTIONS}/{parent.execution_id}")).json
    waiting = (await api.get(f"{EXECUTIONS}?status=waiting")).json["items"]
    listed = next(item for item in waiting if item["execution_id"] == parent.execution_id)
    for answer in (shown, listed):
        assert answer["execution_id"] == parent.execution_id
        (pending,) = answer["pending_approvals"]
        assert pending["approval_request_id"] == approval.approval_request_id
        assert pending["execution_id"] == approval.execution_id
    assert shown["approvals"] == shown["pending_approvals"]
    await world.decide(approval, "approved")
    shown = (await api.get(f"{EXECUTIONS}/{parent.execution_id}")).json
    assert (shown["pending_approvals"], shown["approvals"][0]["status"]) == ([], "approved")


async def test_a_result_is_what_it_returned(api: Api, world: World) -> None:
    await world.started()
    execution = await world.claimed()
    await world.completed(execution, {"refunded": 250})
    shown = (await api.get(f"{EXECUTIONS}/{execution.execution_id}")).json
    assert (shown["status"], shown["is_complete"], shown["result"]) == ("succeeded", True, {"refunded": 250})
    assert shown["pending_approvals"] == []
    assert shown["ended_at"].endswith("Z")


async def test_lists_are_newest_first_and_paged_without_gaps(api: Api, world: World) -> None:
    ids = [(await world.started()).execution_id for _ in range(5)]
    seen, cursor = [], ""
    while cursor is not None:
        page = (await api.get(f"{EXECUTIONS}?limit=2" + (f"&cursor={cursor}" if cursor else ""))).json
        seen += [item["execution_id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert seen == ids[::-1]


async def test_lists_are_filtered(api: Api, world: World) -> None:
    await world.waiting()
    queued = await world.started()
    listed = (await api.get(f"{EXECUTIONS}?status=queued")).json["items"]
    assert [execution["execution_id"] for execution in listed] == [queued.execution_id]
    waiting = (await api.get(f"{EXECUTIONS}?status=waiting&agent={AGENT}")).json["items"]
    assert [len(e["pending_approvals"]) for e in waiting] == [1]
    assert (await api.get(f"{EXECUTIONS}?agent=nobody")).json == {"items": [], "next_cursor": None}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=many", "limit"),
        ("limit=1&limit=2", "limit"),
        ("status=sleeping", "status"),
        ("status=", "status"),
        ("staus=queued", "staus"),
        ("agent=a%00b", "agent"),
        ("cursor=x", "cursor"),
        ("cursor=", "cursor"),
        ("cursor=WyJhcHByb3ZhbHM6bmV3ZXN0IiwxLCJhIl0", "cursor"),
        ("cursor=WyJleGVjdXRpb25zIiwxZTk5LCJhIl0", "cursor"),
        ("cursor=%C3%A9", "cursor"),
        ("cursor=" + "A" * 2000, "cursor"),
    ],
)
async def test_a_bad_query_is_refused_by_name(api: Api, query: str, field: str) -> None:
    answer = await api.get(f"{EXECUTIONS}?{query}")
    assert (answer.status, answer.json["detail"].split(":")[0]) == (422, field)


async def test_cancelling_withdraws_what_was_asked(api: Api, world: World) -> None:
    approval = await world.waiting()
    path = f"{EXECUTIONS}/{approval.execution_id}/cancel"
    answer = await api.post(path, {"reason": "no longer needed"})
    assert (answer.status, answer.json["status"]) == (200, "cancelled")
    assert answer.json["error"]["message"] == "no longer needed"
    assert (await world.approval(approval)).status == "cancelled"
    assert (await api.post(path)).status == 200


async def test_what_has_ended_is_not_cancelled(api: Api, world: World) -> None:
    await world.started()
    execution = await world.claimed()
    await world.completed(execution)
    assert (await api.post(f"{EXECUTIONS}/{execution.execution_id}/cancel")).status == 409


async def test_cancelling_what_somebody_else_started_needs_an_operator(api: Api, world: World) -> None:
    theirs = await world.started(by=Actor("api:other"))
    starter = await world.token("start")
    mine = (await api.post(f"/api/v1/execute/async/{AGENT}", {"prompt": "x"}, headers=starter)).json
    operator = await world.token("start", "decide")
    assert (await api.post(f"{EXECUTIONS}/{theirs.execution_id}/cancel", headers=starter)).status == 403
    assert (await api.post(f"{EXECUTIONS}/{mine['execution_id']}/cancel", headers=starter)).status == 200
    assert (await api.post(f"{EXECUTIONS}/{theirs.execution_id}/cancel", headers=operator)).status == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"why": "x"}, "why"),
        ({"reason": 1}, "reason"),
        ({"reason": "a\0b"}, "reason"),
        (b"[]", "body"),
        (b"{", "the JSON"),
    ],
)
async def test_a_bad_cancellation_is_refused_by_name(api: Api, world: World, body: object, field: str) -> None:
    execution = await world.started()
    answer = await api.post(f"{EXECUTIONS}/{execution.execution_id}/cancel", body)
    assert answer.status == 422
    assert answer.json["detail"].startswith(field)


@pytest.mark.parametrize("wrong", ["exe_nothing", "a%00b", "%ff", "x" * 300])
async def test_an_unknown_id_is_404(api: Api, wrong: str) -> None:
    answers = await asyncio.gather(
        api.get(f"{EXECUTIONS}/{wrong}"),
        api.get(f"{EXECUTIONS}/{wrong}/events"),
        api.post(f"{EXECUTIONS}/{wrong}/cancel", b"{"),
    )
    assert [answer.status for answer in answers] == [404, 404, 404]

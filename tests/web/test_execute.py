"""Starting executions."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agent_runtime.core.duration import SECOND
from agent_runtime.core.principal import LOCAL_OPERATOR
from agent_runtime.operations.deploy import deploy
from agent_runtime.web import waiting
from tests.web.conftest import AGENT, Api, World

ASYNC = f"/api/v1/execute/async/{AGENT}"
SYNC = f"/api/v1/execute/{AGENT}"


async def test_starts_and_answers_at_once(api: Api, world: World) -> None:
    await world.worker()
    answer = await api.post(ASYNC, {"prompt": "refund cust_001"})
    assert answer.status == 202
    started = answer.json
    assert (started["status"], started["no_worker"], started["requested_by"]) == ("queued", False, "local:operator")
    assert answer.headers["Location"] == f"/api/v1/executions/{started['execution_id']}"
    assert (await api.get(answer.headers["Location"])).json["status"] == "queued"


async def test_says_that_no_worker_serves_it(api: Api) -> None:
    started = (await api.post(ASYNC, {"input": {"customer_id": "cust_001"}})).json
    assert (started["status"], started["no_worker"]) == ("queued", True)


async def test_a_worker_without_heartbeat_serves_nobody(api: Api, world: World) -> None:
    await world.worker()
    await world.clock.advance(31 * SECOND)
    assert (await api.post(ASYNC, {"prompt": "x"})).json["no_worker"] is True


async def test_a_reasoner_is_named_behind_a_dot(api: Api, world: World) -> None:
    schema = {"properties": {"ticket": {"type": "string"}}, "required": ["ticket"]}
    definition = {"name": "desk", "reasoners": [{"name": "triage", "tags": [], "schema": schema}]}
    await world.database.write(deploy, "desk", "1", definition, by=LOCAL_OPERATOR)
    path = "/api/v1/execute/async/desk.triage"
    started = await api.post(path, {"input": {"ticket": "billed twice"}})
    assert (started.status, started.json["reasoner"]) == (202, "triage")
    assert started.json["input"] == {"input": {"ticket": "billed twice"}}
    missing = await api.post(path, {"input": {}})
    assert (missing.status, missing.json["detail"].split(":")[0]) == (422, "input")
    for unknown in ("/api/v1/execute/async/desk.nobody", f"{ASYNC}.triage"):
        assert (await api.post(unknown, {"input": {}})).status == 404


@pytest.mark.parametrize("name", ["nobody", "refund_agent%00", "../x", "refund agent", "%C3%A9", "a.b.c"])
async def test_an_unknown_agent_is_404_also_with_a_bad_body(api: Api, name: str) -> None:
    assert (await api.post(f"/api/v1/execute/async/{name}", b"{")).status == 404


async def test_the_same_key_and_body_return_the_first_execution(api: Api) -> None:
    headers = {"Idempotency-Key": "order-8821"}
    first = await api.post(ASYNC, {"prompt": "refund"}, headers=headers)
    again = await api.post(ASYNC, {"prompt": "refund"}, headers=headers)
    other = await api.post(ASYNC, {"prompt": "refund more"}, headers=headers)
    assert (first.status, again.status, other.status) == (202, 202, 409)
    assert again.json["execution_id"] == first.json["execution_id"]
    assert "Idempotency-Key" in other.json["detail"]


async def test_a_key_belongs_to_its_principal_and_agent(api: Api, world: World) -> None:
    key = {"Idempotency-Key": "k"}
    one, two = await world.token("start", name="one"), await world.token("start", name="two")
    await world.database.write(deploy, "other_agent", "1", {}, by=LOCAL_OPERATOR)
    ids = {
        (await api.post(path, {"prompt": "x"}, headers=key | who)).json["execution_id"]
        for path, who in [(ASYNC, one), (ASYNC, two), ("/api/v1/execute/async/other_agent", one)]
    }
    assert len(ids) == 3


async def test_one_key_at_once_is_one_execution(api: Api) -> None:
    headers = {"Idempotency-Key": "k"}
    answers = await asyncio.gather(*(api.post(ASYNC, {"prompt": "x"}, headers=headers) for _ in range(8)))
    assert {answer.status for answer in answers} == {202}
    assert len({answer.json["execution_id"] for answer in answers}) == 1


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "x" * 256])
async def test_a_bad_idempotency_key_is_refused(api: Api, key: str) -> None:
    answer = await api.post(ASYNC, {"prompt": "x"}, headers={"Idempotency-Key": key})
    assert (answer.status, answer.json["detail"].split(":")[0]) == (422, "Idempotency-Key")


async def test_sync_answers_when_it_waits(api: Api, world: World) -> None:
    await world.worker()
    sent = asyncio.create_task(api.post(SYNC, {"prompt": "refund"}))
    await _queued(api)
    approval = await world.gated(await world.claimed())
    answer = await asyncio.wait_for(sent, 10)
    assert (answer.status, answer.json["status"], answer.json["is_waiting"]) == (200, "waiting", True)
    assert [p["approval_request_id"] for p in answer.json["pending_approvals"]] == [approval.approval_request_id]


async def test_sync_answers_when_it_completes(api: Api, world: World) -> None:
    await world.worker()
    sent = asyncio.create_task(api.post(SYNC, {"prompt": "refund"}))
    await _queued(api)
    await world.completed(await world.claimed(), {"refunded": 250})
    answer = await asyncio.wait_for(sent, 10)
    assert (answer.status, answer.json["status"], answer.json["result"]) == (200, "succeeded", {"refunded": 250})


async def test_sync_does_not_hang_where_nobody_works(api: Api) -> None:
    answer = await asyncio.wait_for(api.post(SYNC, {"prompt": "refund"}), 5)
    assert (answer.status, answer.json["no_worker"]) == (202, True)


async def test_sync_says_what_it_started_where_too_many_wait(
    api: Api, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs already: a refusal would make its caller start it a second time."""
    await world.worker()
    monkeypatch.setattr(waiting, "WAITING_AT_MOST", 0)
    answer = await api.post(SYNC, {"prompt": "refund"})
    assert (answer.status, answer.json["status"]) == (202, "queued")


async def _queued(api: Api) -> None:
    while not (await api.get("/api/v1/executions?status=queued")).json["items"]:
        await asyncio.sleep(0.01)


@pytest.mark.databases("sqlite")
async def test_what_programs_ask_all_the_time_is_read_without_a_thread(
    api: Api, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.worker()
    in_thread: list[str] = []
    reader: Any = world.database._reader
    reading = reader._connection.execute_fetchall

    async def noted(sql: str, *binds: Any) -> Any:
        in_thread.append(sql)
        return await reading(sql, *binds)

    monkeypatch.setattr(reader._connection, "execute_fetchall", noted)
    execution_id = (await api.post(ASYNC, {"prompt": "refund cust_001"})).json["execution_id"]
    approval = await world.gated(await world.claimed())
    headers = await world.token("read", "decide")
    execution = f"/api/v1/executions/{execution_id}"
    assert (await api.get(execution, headers=headers)).json["is_waiting"]
    decided = await api.post(
        f"/api/v1/approvals/{approval.approval_request_id}/decision", {"decision": "rejected"}, headers=headers
    )
    assert decided.status == 200
    await world.completed(await world.claimed())
    assert (await api.get(f"{execution}/events", headers=headers)).status == 200
    assert in_thread == []

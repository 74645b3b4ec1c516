"""The client for programs that run what was approved themselves: ask, wait, claim, report."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from unittest import mock

import pytest
from aiohttp import web

from agent_runtime.client import AsyncClient, Client
from agent_runtime.core.policy import Approval, Defaults
from agent_runtime.errors import (
    CollaborationError,
    Conflict,
    InvalidRequest,
    ServerUnavailable,
    StaleDigest,
    TimeoutError,
)
from agent_runtime.settings import Settings
from agent_runtime.store.database import Database
from agent_runtime.web.app import create_app
from tests.sdk.test_server_url import listening

pytestmark = pytest.mark.databases("sqlite")


@pytest.fixture
async def server_url(database: Database) -> AsyncIterator[str]:
    async with listening(create_app(database, Settings())) as url:
        yield url


@pytest.fixture
async def client(server_url: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server_url) as client:
        yield client


async def approved(client: AsyncClient, **asked: Any) -> dict[str, Any]:
    approval = await client.ask("Refund 250 EUR", tool_name="refund", arguments={"amount": 250}, **asked)
    await client.decide(approval["approval_request_id"], "approved", "go")
    return approval


async def permit(client: AsyncClient, approval: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = (await client.approval(approval["approval_request_id"]))["permit"]
    return shown


async def test_ask_wait_claim_report(client: AsyncClient) -> None:
    approval = await client.ask(
        "Refund 250 EUR",
        tool_name="refund",
        arguments={"amount": 250},
        context={"ticket": "T-1"},
        requested_by="alice",
        reviewers=["U012"],
        risk="high",
        expires_in_hours=1,
        approval_request_id="refund-1",
    )
    again = {"arguments": {"amount": 250}, "context": {"ticket": "T-1"}, "requested_by": "alice", "reviewers": ["U012"]}
    same = await client.ask(
        "Refund 250 EUR", tool_name="refund", risk="high", expires_in_hours=1, approval_request_id="refund-1", **again
    )
    assert same == approval
    with pytest.raises(Conflict, match="refund-1"):
        await client.ask("Another", approval_request_id="refund-1")
    waiting = asyncio.create_task(client.wait("refund-1"))
    await client.decide("refund-1", "approved", digest=approval["digest"])
    assert (await waiting)["status"] == "approved"
    with pytest.raises(StaleDigest):
        await client.claim("refund-1", digest="sha256:0", attempt_key="k")
    claimed = await client.claim("refund-1", digest=approval["digest"], attempt_key="k", runs_for_seconds=60)
    assert claimed["arguments"] == {"amount": 250}
    done = await client.report_result("refund-1", claimed["permit"], "succeeded", {"id": 7})
    assert (done["status"], done["result"]) == ("succeeded", {"id": 7})
    events = (await client.approval_events("refund-1"))["items"]
    assert [event["type"] for event in events] == [
        "approval.requested",
        "approval.approved",
        "approval.claimed",
        "approval.ran",
    ]
    assert (await client.approvals(kind="external"))["items"][0]["permit"]["status"] == "succeeded"


async def test_waiting_has_an_end(client: AsyncClient) -> None:
    approval = await client.ask("May I?")
    with pytest.raises(TimeoutError, match="still pending"):
        await client.wait(approval["approval_request_id"], timeout_seconds=0.05)


async def test_a_block_runs_once_and_reports(client: AsyncClient) -> None:
    approval = await approved(client)
    async with client.approved(approval) as granted:
        assert granted.arguments == {"amount": 250}
        assert granted.secret not in repr(granted)
        granted.result = {"id": 7}
    assert (await permit(client, approval))["result"] == {"id": 7}
    with pytest.raises(Conflict, match="attempt_key"):
        async with client.approved(approval):
            raise AssertionError("a second run")


async def test_what_the_approver_edited_is_what_runs(database: Database, client: AsyncClient) -> None:
    app = create_app(database, Settings(), defaults=Defaults(Approval(allow_edits=True)))
    async with listening(app) as url, AsyncClient(url) as editing:
        approval = await editing.ask("Refund", arguments={"amount": 250})
        await editing.decide(approval["approval_request_id"], "approved", edited_arguments={"amount": 100})
        async with editing.approved(approval) as granted:
            assert granted.arguments == {"amount": 100}


async def test_an_error_in_the_block_is_a_failure(client: AsyncClient) -> None:
    approval = await approved(client)
    with pytest.raises(ZeroDivisionError):
        async with client.approved(approval):
            _ = 1 / 0
    shown = await permit(client, approval)
    assert (shown["status"], shown["result"]) == ("failed", "ZeroDivisionError: division by zero")


async def test_an_interruption_leaves_the_outcome_to_people(client: AsyncClient) -> None:
    approval = await approved(client)
    inside = asyncio.Event()

    async def program() -> None:
        async with client.approved(approval):
            inside.set()
            await asyncio.Event().wait()

    running = asyncio.create_task(program())
    await inside.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    shown = await permit(client, approval)
    assert shown["status"] == "in_doubt"
    await client.settle(shown["in_doubt"], "happened", result=7)
    assert (await permit(client, approval))["result"] == 7


async def test_a_block_may_say_that_nobody_knows(client: AsyncClient) -> None:
    approval = await approved(client)
    async with client.approved(approval) as granted:
        granted.unknown("the connection broke")
    assert (await permit(client, approval))["status"] == "in_doubt"


@pytest.mark.parametrize(
    ("decision", "words"), [("rejected", "rejected: too much"), ("request_changes", "changes requested: too much")]
)
async def test_a_refusal_is_raised_with_the_reviewers_words(client: AsyncClient, decision: str, words: str) -> None:
    approval = await client.ask("May I?")
    await client.decide(approval["approval_request_id"], decision, "too much")
    with pytest.raises(CollaborationError, match=words):
        async with client.approved(approval["approval_request_id"]):
            raise AssertionError("it was not approved")


async def test_what_the_server_refuses_names_the_field(client: AsyncClient) -> None:
    with pytest.raises(InvalidRequest, match=r"^title:"):
        await client.ask("")


async def test_the_sync_face(server_url: str) -> None:
    def program() -> None:
        with Client(server_url) as client:
            approval = client.ask("Refund", arguments={"amount": 1})
            client.decide(approval["approval_request_id"], "approved")
            with client.approved(approval, timeout_seconds=5) as granted:
                granted.result = "paid"
            assert client.approval(approval["approval_request_id"])["permit"]["result"] == "paid"
            second = client.ask("Refund", arguments={"amount": 2})
            client.decide(second["approval_request_id"], "approved")
            with pytest.raises(KeyboardInterrupt), client.approved(second):
                raise KeyboardInterrupt
            assert client.approval(second["approval_request_id"])["permit"]["status"] == "in_doubt"

    await asyncio.to_thread(program)


async def test_waiting_outlasts_a_server_that_is_away_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """People take hours: a restart of the server meanwhile is no reason to stop waiting."""
    monkeypatch.setattr("agent_runtime.sdk.transport.RETRIES", ())
    monkeypatch.setattr("agent_runtime.sdk.approvals_api.LOOK_AGAIN", 0.001)
    looks = 0

    async def away(request: web.Request) -> web.Response:
        nonlocal looks
        looks += 1
        if looks < 7 or "apr_away" in request.path:
            return web.Response(status=502, text="the proxy finds nobody")
        return web.json_response({"status": "rejected"})

    app = web.Application()
    app.router.add_get("/{path:.*}", away)
    async with listening(app) as url, AsyncClient(url) as client:
        assert (await client.wait("apr_1"))["status"] == "rejected"
        assert looks == 7
        with pytest.raises(ServerUnavailable):
            await client.wait("apr_away", timeout_seconds=0.05)
        monkeypatch.setattr("agent_runtime.sdk.approvals_api.AWAY_AT_MOST", 0.05)
        with pytest.raises(ServerUnavailable):
            await client.wait("apr_away")


async def test_events_go_on_where_the_server_ended_the_stream() -> None:
    """A server that stops ends its streams; only 204 says that the execution has ended."""
    asked: list[str] = []

    async def stream(request: web.Request) -> web.Response:
        asked.append(request.headers.get("Last-Event-ID", ""))
        number = len(asked)
        if number == 3:
            return web.Response(status=204)
        return web.Response(text=f'id: {number}\nevent: x\ndata: {{"seq": {number}}}\n\n')

    app = web.Application()
    app.router.add_get("/{path:.*}", stream)
    async with listening(app) as url, AsyncClient(url) as client:
        assert [event["seq"] async for event in client.events("exe_1")] == [1, 2]
    assert asked == ["", "1", "2"]


async def test_what_is_idempotent_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_runtime.sdk.transport.RETRIES", (0, 0))
    asked: list[dict[str, Any]] = []

    async def busy(request: web.Request) -> web.Response:
        asked.append(await request.json())
        if len(asked) % 3:
            problem = {"type": "urn:countersign:problem:overloaded", "detail": "later"}
            return web.json_response(problem, status=503, content_type="application/problem+json")
        return web.json_response({"status": "approved"}, status=201)

    app = web.Application()
    app.router.add_post("/{path:.*}", busy)
    async with listening(app) as url, AsyncClient(url) as client:
        await client.ask("May I?")
        assert len(asked) == 3
        assert len({body["approval_request_id"] for body in asked}) == 1, "the same request under the same id"
        await client.claim("apr_1", digest="sha256:0", attempt_key="k")
        assert len(asked) == 6


async def test_many_clients_do_not_come_back_all_at_once() -> None:
    """Each asks four times at most, with pauses of its own, so that a server that comes back is not overrun."""
    began, asked = asyncio.get_running_loop().time(), []

    async def away(request: web.Request) -> web.Response:
        asked.append(asyncio.get_running_loop().time() - began)
        return web.json_response({}, status=503)

    async def asks(url: str) -> None:
        async with AsyncClient(url) as client:
            with pytest.raises(ServerUnavailable):
                await client.ask("May I?")

    app = web.Application()
    app.router.add_post("/{path:.*}", away)
    with mock.patch("agent_runtime.sdk.transport.RETRIES", (0.1, 0.2)):
        async with listening(app) as url:
            await asyncio.gather(*(asks(url) for _ in range(40)))
    assert len(asked) == 40 * 3
    last = sorted(asked)[-40:]
    assert last[-1] - last[0] > 0.1, "they are spread over the longest pause"

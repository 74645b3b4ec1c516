"""The same face over HTTP: a runtime with `server_url`, and the clients below it, against a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest
from aiohttp import web

from agent_runtime import AgentHandle, AgentRuntime, Approval
from agent_runtime.client import AsyncClient, Client
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.errors import (
    AlreadyResolved,
    AmbiguousApproval,
    CollaborationError,
    InvalidRequest,
    InvalidSetting,
    NotAuthenticated,
    NotFound,
    Overloaded,
    ServerUnavailable,
)
from agent_runtime.operations.tokens import create_token
from agent_runtime.replica import Replica
from agent_runtime.settings import Settings, load
from agent_runtime.testing import ScriptedModel, call, expect
from agent_runtime.web.app import create_app
from tests.sdk.agents import Ledger, refund_agent

pytestmark = pytest.mark.databases("sqlite")

REFUND = call("process_refund", order_id="ORD-1", amount=10)
DELETE = call("delete_account", customer_id="cust_001")


@pytest.fixture
async def replica(database_url: str, model: ScriptedModel, ledger: Ledger) -> AsyncIterator[Replica]:
    """What the server runs: the refund agent."""
    settings: Settings = load(Settings, database_url=database_url)
    async with Replica(settings, model=model, surfaces=False) as opened:
        await opened.deploy(refund_agent(ledger, approval=Approval(allow_edits=True)))
        await opened.deploy(refund_agent(ledger, approval=Approval(on_reject="stop"), name="strict_agent"))
        yield opened


@asynccontextmanager
async def listening(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@pytest.fixture
async def server_url(replica: Replica) -> AsyncIterator[str]:
    async with listening(create_app(replica.database, replica.settings, status=replica.status)) as url:
        yield url


async def waiting(handle: AgentHandle) -> list[str]:
    """The ids of what waits, once it does."""
    async for event in handle.stream():
        if event.type == "waiting":
            break
    return [one["approval_request_id"] for one in (await handle.get_status_async()).pending_approvals]


async def test_start_look_decide_result(server_url: str, model: ScriptedModel, ledger: Ledger) -> None:
    model.says([call("get_order", order_id="ORD-1"), REFUND, DELETE], "All told.")
    async with AgentRuntime(server_url=server_url) as runtime:
        handle = await runtime.start_async("refund_agent", "Refund ORD-1")
        refund, deletion = await waiting(handle)
        with pytest.raises(AmbiguousApproval, match=deletion):
            await handle.approve_async()
        await handle.reject_async("it stays", approval_request_id=deletion)
        with pytest.raises(AlreadyResolved, match="already rejected"):
            await handle.approve_async(approval_request_id=deletion)
        await handle.approve_async(edited_arguments={"order_id": "ORD-1", "amount": 5})
        result = await handle.get_result_async()
        assert ledger == [("refund", "ORD-1", 5)]
        assert result.output == {"result": "All told.", "finishReason": "STOP"}
        expect(result).completed().rejected("it stays").approved_by("local:operator").max_turns(2)
        expect(result).used_tool("process_refund", args={"amount": 5})
        assert [message["role"] for message in result.messages] == ["user", "assistant", *["tool"] * 3, "assistant"]
        late = [event async for event in AgentHandle(handle.execution_id, runtime).stream()]
        assert late == result.events
        assert late[-1].output == {"result": "All told.", "finishReason": "STOP"}
        assert refund in {event.approval_request_id for event in late}


async def test_the_sync_face(server_url: str, model: ScriptedModel, ledger: Ledger) -> None:
    model.says(REFUND, "Paid.", "Hello.")

    def program() -> None:
        with AgentRuntime(server_url=server_url) as runtime:
            stream = runtime.stream("refund_agent", "Refund ORD-1")
            for event in stream:
                if event.type == "waiting":
                    stream.approve()
            assert stream.get_result().is_success
            handle = AgentHandle(stream.execution_id, runtime)
            assert handle.get_status().output == {"result": "Paid.", "finishReason": "STOP"}
            assert runtime.run(refund_agent(ledger), "hello").output["result"] == "Hello."

    await asyncio.to_thread(program)
    assert ledger == [("refund", "ORD-1", 10)]


async def test_refusals_are_the_same_errors(server_url: str, model: ScriptedModel, ledger: Ledger) -> None:
    model.says(REFUND)
    async with AgentRuntime(server_url=server_url) as runtime:
        with pytest.raises(InvalidRequest, match="countersign serve"):
            await runtime.deploy_async(refund_agent(ledger))
        with pytest.raises(InvalidRequest, match="refund_agent"):
            await runtime.serve_async(refund_agent(ledger))
        with pytest.raises(NotFound):
            await runtime.start_async("nobody", "hello")
        with pytest.raises(NotFound):
            await AgentHandle("exe_nothing", runtime).get_status_async()
        handle = await runtime.start_async("strict_agent", "Refund ORD-1")
        await waiting(handle)
        await handle.reject_async("never")
        with pytest.raises(CollaborationError, match="rejected: never"):
            await handle.get_result_async()
        with pytest.raises(NotFound, match="asked for no approval"):
            await handle.approve_async(approval_request_id="apr_nothing")


async def test_a_token_is_sent_and_asked_for(replica: Replica, server_url: str, model: ScriptedModel) -> None:
    secret = await replica.database.write(
        create_token, "ci", ["start", "read", "decide"], by=LOCAL_OPERATOR, via=Via.cli
    )
    async with AgentRuntime(server_url=server_url) as stranger:
        with pytest.raises(NotAuthenticated, match="countersign tokens create"):
            await stranger.start_async("refund_agent", "hello")
    model.says(REFUND, "Paid.")
    async with AgentRuntime(server_url=server_url, api_token=secret) as runtime:
        handle = await runtime.start_async("refund_agent", "Refund ORD-1")
        await waiting(handle)
        await handle.approve_async()
        expect(await handle.get_result_async()).approved_by("api:ci")


async def test_cancel(server_url: str, model: ScriptedModel) -> None:
    model.says(REFUND)
    async with AgentRuntime(server_url=server_url) as runtime:
        handle = await runtime.start_async("refund_agent", "Refund ORD-1")
        await waiting(handle)
        reason = "not now " * 1_000
        await handle.cancel_async(reason)
        result = await handle.get_result_async()
        assert (result.status, result.reason) == ("cancelled", reason)


async def test_events_of_any_size(server_url: str, model: ScriptedModel) -> None:
    model.says(REFUND, "Done.")
    edited = {"order_id": "ORD-1" * 30_000, "amount": 1}
    async with AgentRuntime(server_url=server_url) as runtime, AsyncClient(server_url) as client:
        handle = await runtime.start_async("refund_agent", "Refund ORD-1")
        await waiting(handle)
        await handle.approve_async(edited_arguments=edited)
        assert (await handle.get_result_async()).tool_calls[0]["args"] == edited
        told = [event async for event in client.events(handle.execution_id) if event["type"] == "approval.approved"]
        assert told[0]["data"]["edited_arguments"] == edited


async def test_the_client(server_url: str, model: ScriptedModel, ledger: Ledger) -> None:
    model.says(REFUND, "Paid.")
    async with AsyncClient(server_url) as client:
        started = await client.start("refund_agent", "Refund ORD-1", idempotency_key="k-1")
        again = await client.start("refund_agent", "Refund ORD-1", idempotency_key="k-1")
        assert again["execution_id"] == started["execution_id"]
        types = []
        async with aclosing(client.events(started["execution_id"])) as events:
            async for event in events:
                types.append(event["type"])
                if event["type"] == "approval.requested":
                    decided = await client.decide(event["approval_request_id"], "approved", "fine")
                    assert (decided["status"], decided["already_processed"]) == ("approved", False)
        assert types[-1] == "execution.succeeded"
        assert [event async for event in client.events(started["execution_id"], after=len(types))] == []
        shown = await client.execution(started["execution_id"])
        assert (shown["status"], shown["result"]) == ("succeeded", "Paid.")
        [listed] = (await client.executions(agent="refund_agent", status="succeeded"))["items"]
        assert listed["execution_id"] == started["execution_id"]
        [asked] = (await client.approvals(kind="tool"))["items"]
        assert await client.approval(asked["approval_request_id"], wait_seconds=1) == asked
        with pytest.raises(InvalidRequest, match="limit"):
            await client.executions(limit=0)
        with pytest.raises(InvalidRequest):
            await client.settle(asked["approval_request_id"], "happened", result=1)
        with pytest.raises(InvalidRequest, match="must not be empty"):
            await client.execution("")
    assert ledger == [("refund", "ORD-1", 10)]


async def test_the_client_without_a_loop(server_url: str, model: ScriptedModel) -> None:
    model.says(REFUND, "Paid.")

    def program() -> list[str]:
        with Client(server_url) as client:
            started = client.start("refund_agent", "Refund ORD-1")
            types = []
            for event in client.events(started["execution_id"]):
                types.append(event["type"])
                if event["type"] == "approval.requested":
                    client.decide(event["approval_request_id"], "approved")
            assert client.execution(started["execution_id"])["result"] == "Paid."
            for event in client.events(started["execution_id"]):
                assert event["seq"] == 1
                break
        return types

    assert (await asyncio.to_thread(program))[-1] == "execution.succeeded"


async def test_a_server_that_is_away_or_is_another(replica: Replica, model: ScriptedModel) -> None:
    async def other(request: web.Request) -> web.Response:
        return web.Response(status=502, text="bad gateway")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", other)
    async with listening(app) as url, AsyncClient(url) as client:
        with pytest.raises(ServerUnavailable, match="502"):
            await client.start("refund_agent", "hello")
    async with AsyncClient(url, timeout_seconds=5) as client:
        with pytest.raises(ServerUnavailable, match=url):
            await client.cancel("exe_1")
    with pytest.raises(InvalidSetting, match="http"):
        AsyncClient("127.0.0.1:8080")


async def test_reads_are_tried_again_while_the_server_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_runtime.sdk.transport.RETRIES", (0, 0))
    asked: list[str] = []

    async def busy(request: web.Request) -> web.Response:
        asked.append(request.method)
        if request.method == "POST" or len(asked) % 3:
            problem = {"type": "urn:countersign:problem:overloaded", "detail": "later", "status": 503, "depth": 1}
            return web.json_response(problem, status=503, content_type="application/problem+json")
        return web.json_response({"execution_id": "exe_1"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", busy)
    async with listening(app) as url, AsyncClient(url) as client:
        assert await client.execution("exe_1") == {"execution_id": "exe_1"}
        assert asked == ["GET"] * 3
        with pytest.raises(Overloaded, match="later") as refused:
            await client.start("refund_agent", "hello")
        assert refused.value.details == {"status": 503, "depth": 1}
        assert asked == ["GET"] * 3 + ["POST"], "what changes something is sent once"


async def test_events_left_before_the_end(server_url: str, model: ScriptedModel) -> None:
    model.says(REFUND)

    def program() -> None:
        client = Client(server_url)
        events = client.events(client.start("refund_agent", "Refund ORD-1")["execution_id"])
        assert next(events)["seq"] == 1
        client.close()
        events.close()
        client.close()

    await asyncio.to_thread(program)

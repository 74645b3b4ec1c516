"""The real client of the chat API, over HTTP: what is sent, what comes back, and which failures may pass."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from agent_runtime.agent import Agent
from agent_runtime.core.approval import Decision, Verdict
from agent_runtime.engine.model import ChatModel, ModelRequest, Provider, split_model
from agent_runtime.errors import InvalidSetting, ModelRefused, ModelUnavailable
from agent_runtime.replica import chat_model
from agent_runtime.settings import Settings
from agent_runtime.tools import tool
from bot.scripted_model import Failure, Refusal, Text, serve_scripted_model
from bot.scripted_model import calls as scripted_calls
from tests.engine.conftest import OpenReplica
from tests.engine.running import Run

HELLO = [{"role": "user", "content": "Hello"}]


@asynccontextmanager
async def client(base_url: str, key: str = "sk-test", model: str = "openai/gpt-test") -> AsyncIterator[ChatModel]:
    chat = ChatModel({"openai": Provider("OPENAI_API_KEY", key, base_url)}, model)
    try:
        yield chat
    finally:
        await chat.close()


async def test_a_whole_walk_over_http(open_replica: OpenReplica) -> None:
    refunded: list[str] = []

    @tool
    def get_order(order: str) -> dict[str, Any]:
        """Look an order up."""
        return {"order": order, "paid": 20}

    @tool(approval_required=True)
    def refund(order: str, amount: float) -> str:
        """Pay back."""
        refunded.append(order)
        return f"refunded {amount}"

    replies = [
        scripted_calls(("get_order", {"order": "ORD-8821"}), ("refund", {"order": "ORD-8821", "amount": 20})),
        scripted_calls(("refund", {"order": "ORD-8821", "amount": 5}), content="Then less."),
        Text("Refunded 5."),
    ]
    async with serve_scripted_model(replies) as scripted:
        settings = Settings(openai_api_key="sk-test", openai_base_url=scripted.base_url, model="openai/gpt-test")
        agent = Agent("refund_agent", instructions="Be brief.", tools=[get_order, refund])
        replica = await open_replica(chat_model(settings), agent)
        run = await Run.begun(replica, "refund_agent", "Refund ORD-8821")
        await run.waits()
        await run.resolve(Decision(Verdict.request_changes, "At most 5."), position=2)
        await run.waits()
        assert refunded == []
        await run.resolve(position=4)
        assert await run.output() == "Refunded 5."
        assert refunded == ["ORD-8821"]
        assert [message["role"] for message in scripted.messages[-1]] == [
            *("system", "user", "assistant", "tool", "tool", "assistant", "tool"),
        ]
        assert "At most 5." in scripted.messages[-1][4]["content"]
        assert scripted.requests[0].model == "gpt-test"


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Text("Hi."), {"role": "assistant", "content": "Hi."}),
        (Text(""), {"role": "assistant", "content": ""}),
        (Refusal("I can't."), {"role": "assistant", "content": "", "refusal": "I can't."}),
    ],
)
async def test_what_comes_back(reply: Any, message: dict[str, Any]) -> None:
    async with serve_scripted_model([reply]) as scripted, client(scripted.base_url) as chat:
        answer = await chat.complete(ModelRequest("", HELLO))
    assert answer["message"] == message
    assert answer["model"] == "gpt-test"
    assert answer["usage"]["total_tokens"] > 0


async def test_calls_come_back_without_words_beside_them() -> None:
    offered = {"type": "function", "function": {"name": "ping", "description": "", "parameters": {"type": "object"}}}
    replies = [scripted_calls(("ping", {}))]
    async with serve_scripted_model(replies) as scripted, client(scripted.base_url) as chat:
        answer = await chat.complete(ModelRequest("openai/gpt-test", HELLO, tools=[offered]))
    assert set(answer["message"]) == {"role", "tool_calls"}
    assert answer["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_what_will_not_pass_is_refused_with_the_services_words(status: int) -> None:
    replies = [Failure(status, "No such luck.")]
    async with serve_scripted_model(replies) as scripted, client(scripted.base_url) as chat:
        with pytest.raises(ModelRefused, match=f"^openai: {status} No such luck\\.$"):
            await chat.complete(ModelRequest("", HELLO))


@pytest.mark.parametrize("failure", [Failure(429, "Slow down."), Failure(503), Failure(409), Failure(None)])
async def test_what_may_pass_is_unavailable(failure: Failure) -> None:
    async with serve_scripted_model([failure] * 3) as scripted, client(scripted.base_url) as chat:
        with pytest.raises(ModelUnavailable, match=r"^openai: "):
            await chat.complete(ModelRequest("", HELLO))
        assert len(scripted.requests) == 3


async def test_nobody_there_is_unavailable(unused_tcp_port: int) -> None:
    async with client(f"http://127.0.0.1:{unused_tcp_port}/v1") as chat:
        with pytest.raises(ModelUnavailable, match="APIConnectionError"):
            await chat.complete(ModelRequest("", HELLO))


@pytest.mark.parametrize(
    "answer",
    [
        lambda: web.Response(text="<html>Welcome</html>", content_type="text/html"),
        lambda: web.json_response({"choices": []}),
        lambda: web.json_response({"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": []}),
        lambda: web.json_response(None),
    ],
)
async def test_an_answer_that_is_none_is_unavailable(answer: Any) -> None:
    async def respond(request: web.Request) -> web.Response:
        response: web.Response = answer()
        return response

    app = web.Application()
    app.router.add_post("/{tail:.*}", respond)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        async with client(f"http://{host}:{port}/v1") as chat:
            with pytest.raises(ModelUnavailable, match="base URL"):
                await chat.complete(ModelRequest("", HELLO))
    finally:
        await runner.cleanup()


async def test_settings_that_are_missing_are_named() -> None:
    async with client("http://127.0.0.1:9/v1", key="") as chat:
        with pytest.raises(ModelRefused, match="OPENAI_API_KEY is not set"):
            await chat.complete(ModelRequest("", HELLO))
        with pytest.raises(ModelRefused, match=r"mistral/…: no such provider; use openai/…"):
            await chat.complete(ModelRequest("mistral/large", HELLO))
    async with client("http://127.0.0.1:9/v1", model="") as chat:
        with pytest.raises(InvalidSetting, match="COUNTERSIGN_MODEL"):
            await chat.complete(ModelRequest("", HELLO))


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("gpt-4o-mini", ("openai", "gpt-4o-mini")),
        ("openai/gpt-4o-mini", ("openai", "gpt-4o-mini")),
        ("anthropic/claude-x", ("anthropic", "claude-x")),
        ("openai/org/model", ("openai", "org/model")),
    ],
)
def test_names_of_models(name: str, parts: tuple[str, str]) -> None:
    assert split_model(name) == parts

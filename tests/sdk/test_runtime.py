"""The runtime: what it deploys and starts, how it opens and closes."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from agent_runtime import Agent, AgentHandle, AgentRuntime, tool
from agent_runtime.errors import (
    Conflict,
    CountersignError,
    InvalidRequest,
    InvalidSetting,
    NotFound,
    RuntimeClosed,
)
from agent_runtime.sdk.signals import Stop
from agent_runtime.testing import ScriptedModel, call
from tests.sdk.agents import Ledger, refund_agent

REFUND = call("process_refund", order_id="ORD-1", amount=10)


def test_starts_by_name_what_was_deployed_before(database_url: str, ledger: Ledger) -> None:
    agent = refund_agent(ledger)
    with AgentRuntime(database_url, model=ScriptedModel(), surfaces=False) as once:
        once.deploy(agent)
    with AgentRuntime(database_url, model=ScriptedModel("Hello."), surfaces=False) as later:
        handle = later.start("refund_agent", "hello")
        assert handle.get_status().status == "queued", "nobody serves it yet"
        later.serve(agent, blocking=False)
        assert handle.get_result().output["result"] == "Hello."
        with pytest.raises(NotFound, match="nobody"):
            later.start("nobody", "hello")


def test_says_that_nobody_serves_the_agent(
    database_url: str, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    with AgentRuntime(database_url, model=ScriptedModel(), surfaces=False) as once:
        once.deploy(refund_agent(ledger, name="lonely"))
    with AgentRuntime(database_url, model=ScriptedModel(), surfaces=False) as later:
        capsys.readouterr()
        later.start("lonely", "hello")
    said = capsys.readouterr()
    assert "no live process serves this agent" in said.err
    assert said.out == ""


def test_the_same_key_starts_once(runtime: AgentRuntime, model: ScriptedModel, ledger: Ledger) -> None:
    model.says("Hello.")
    agent = refund_agent(ledger)
    first = runtime.start(agent, "hello", idempotency_key="k-1")
    again = runtime.start(agent, "hello", idempotency_key="k-1")
    assert first.execution_id == again.execution_id
    with pytest.raises(Conflict, match="another request"):
        runtime.start(agent, "something else", idempotency_key="k-1")
    assert runtime.run(agent, "hello", idempotency_key="k-1").output["result"] == "Hello."


def test_takes_a_prompt_or_an_input(runtime: AgentRuntime, model: ScriptedModel, ledger: Ledger) -> None:
    model.says("Seen.")
    agent = refund_agent(ledger)
    result = runtime.run(agent, input={"order": "ORD-1"})
    assert result.messages[0] == {"role": "user", "content": '{"order":"ORD-1"}'}
    for wrong in ({}, {"prompt": "hello", "input": {"order": "ORD-1"}}):
        with pytest.raises(InvalidRequest, match="either a prompt"):
            runtime.start(agent, **wrong)
    with pytest.raises(InvalidRequest, match="prompt"):
        runtime.start(agent, "  ")
    with pytest.raises(TypeError, match="session_id; known are input, reasoner, idempotency_key"):
        runtime.start(agent, "hello", session_id="s-1")


def test_a_reasoner_runs_by_name_too(runtime: AgentRuntime, model: ScriptedModel) -> None:
    agent = Agent("writer")

    @agent.reasoner()
    async def shout(text: str) -> str:
        return text.upper()

    assert runtime.run(agent, "quietly").output == {"result": "QUIETLY", "finishReason": "STOP"}
    assert runtime.run("writer.shout", input={"text": "again"}).output == {"result": "AGAIN", "finishReason": "STOP"}
    assert runtime.run(agent, input={"text": "so"}, reasoner="shout").messages == []


def test_leaving_lets_finish_what_it_started_and_decided(database_url: str, ledger: Ledger) -> None:
    agent = refund_agent(ledger)
    started = threading.Event()

    @tool
    def slow() -> str:
        """Outlives the block."""
        started.set()
        return "done"

    with AgentRuntime(database_url, model=ScriptedModel(REFUND), surfaces=False) as first:
        waiting = first.start(agent, "Refund ORD-1")
        assert waiting.get_status().is_waiting
    with AgentRuntime(database_url, model=ScriptedModel("Paid."), surfaces=False) as second:
        second.deploy(agent)
        AgentHandle(waiting.execution_id, second).approve()
    with AgentRuntime(database_url, model=ScriptedModel(call("slow"), "Slept."), surfaces=False) as third:
        running = third.start(Agent("sleeper", tools=[slow]), "go")
    assert started.is_set()
    with AgentRuntime(database_url, model=ScriptedModel(), surfaces=False) as last:
        for handle, said in ((waiting, "Paid."), (running, "Slept.")):
            assert AgentHandle(handle.execution_id, last).get_status().output["result"] == said
    assert ledger == [("refund", "ORD-1", 10)]


def test_opens_at_its_first_use_and_is_closed_for_good(database_url: str) -> None:
    runtime = AgentRuntime(database_url, model=ScriptedModel("Hello."), surfaces=False)
    handle = runtime.start(Agent("greeter"), "hello")
    assert handle.get_result().is_success
    with pytest.raises(RuntimeClosed, match="open already"), runtime:
        pass
    runtime.close()
    runtime.close()
    for use in (handle.get_status, lambda: runtime.start("greeter", "hello")):
        with pytest.raises(RuntimeClosed):
            use()
    with runtime:
        assert handle.get_status().is_complete


def test_closing_ends_the_waits_of_other_threads(runtime: AgentRuntime, model: ScriptedModel, ledger: Ledger) -> None:
    model.says(REFUND)
    handle = runtime.start(refund_agent(ledger), "Refund ORD-1")
    stream = handle.stream()
    next(event for event in stream if event.type == "waiting")
    raised: list[type[Exception]] = []

    def wait() -> None:
        try:
            stream.get_result()
        except CountersignError as error:
            raised.append(type(error))

    waits = threading.Thread(target=wait)
    waits.start()
    runtime.close()
    waits.join(20)
    assert raised == [RuntimeClosed]


class Noticed(Stop):
    """Tells when somebody waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.awaited = threading.Event()

    def wait(self) -> None:
        self.awaited.set()
        super().wait()

    async def heard(self) -> None:
        self.awaited.set()
        await super().heard()


def test_serving_ends_with_the_runtime(runtime: AgentRuntime, ledger: Ledger) -> None:
    runtime._stop_serving = stop = Noticed()
    serving = threading.Thread(target=runtime.serve, args=(refund_agent(ledger),))
    serving.start()
    assert stop.awaited.wait(20)
    runtime.close()
    serving.join(20)
    assert not serving.is_alive()


async def test_serving_on_the_callers_loop(database_url: str, ledger: Ledger) -> None:
    async with AgentRuntime(database_url, model=ScriptedModel("Hello."), surfaces=False) as runtime:
        runtime._stop_serving = stop = Noticed()
        serving = asyncio.create_task(runtime.serve_async(refund_agent(ledger)))
        assert await asyncio.to_thread(stop.awaited.wait, 20)
        handle = await runtime.start_async("refund_agent", "hello")
        assert (await handle.get_result_async()).is_success
        assert not serving.done()
        await runtime.close_async()
        await asyncio.wait_for(serving, 20)


async def test_settings_that_cannot_be_used(tmp_path: Path) -> None:
    runtime = AgentRuntime(f"sqlite+aiosqlite:///{tmp_path}/missing/countersign.db", surfaces=False)
    with pytest.raises(InvalidSetting, match="missing"):
        runtime.__enter__()
    with pytest.raises(InvalidSetting, match="missing"):
        await runtime.__aenter__()
    with pytest.raises(InvalidSetting, match="one of server_url and database_url"):
        AgentRuntime("sqlite+aiosqlite:///x.db", server_url="http://127.0.0.1:1")
    with pytest.raises(InvalidSetting, match="COUNTERSIGN_SERVER_URL"):
        AgentRuntime(server_url="127.0.0.1:8080")


def test_a_runtime_over_http_has_no_replica() -> None:
    runtime = AgentRuntime(server_url="http://127.0.0.1:1")
    with pytest.raises(RuntimeClosed, match="server_url"):
        _ = runtime.replica

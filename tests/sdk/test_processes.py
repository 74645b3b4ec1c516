"""Several processes on one SQLite file: one that starts, one that serves, one that decides; any of them killed."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_runtime import AgentHandle, AgentRuntime
from bot.scripted_model import Call, Calls
from tests.sdk.conftest import ServeModel

pytestmark = [pytest.mark.databases("sqlite"), pytest.mark.e2e]

AGENT = """
import os, sys
from pathlib import Path
from agent_runtime import Agent, AgentHandle, AgentRuntime, serve, start, tool

@tool
def look_up(order_id: str) -> str:
    return "delivered"

@tool(approval_required=True)
def process_refund(order_id: str) -> str:
    with Path(os.environ["LEDGER"]).open("a") as ledger:
        ledger.write(order_id + "\\n")
    return "refunded"

agent = Agent("refund_agent", model="openai/scripted", tools=[look_up, process_refund])
"""
REPLIES = {0: Calls((Call("process_refund", {"order_id": "ORD-1"}),)), 1: "Refunded."}


def replies(messages: list[dict[str, object]]) -> object:
    return REPLIES[sum(message["role"] == "assistant" for message in messages)]


@pytest.fixture
def ledger_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "ledger"
    path.touch()
    monkeypatch.setenv("LEDGER", str(path))
    return path


def spawn(program: str) -> subprocess.Popen[str]:
    source = AGENT + textwrap.dedent(program)
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", source], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finished(process: subprocess.Popen[str]) -> str:
    """What a program printed that ended well."""
    printed, said = process.communicate(timeout=100)
    assert process.returncode == 0, said
    assert "Traceback" not in said
    return printed.strip()


@contextlib.contextmanager
def serving() -> Iterator[subprocess.Popen[str]]:
    """A process that serves the agent, until SIGTERM."""
    process = spawn(
        """
        with AgentRuntime() as runtime:
            runtime.serve(agent, blocking=False)
            print("ready", flush=True)
            runtime.serve(agent)
        """
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            finished(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def started_by_a_script() -> str:
    return finished(
        spawn(
            """
            with AgentRuntime() as runtime:
                print(runtime.start("refund_agent", "Refund ORD-1").execution_id)
            """
        )
    )


async def until_waiting(execution_id: str) -> str:
    """The approval that waits; seen from this process, which serves nothing."""
    async with AgentRuntime() as runtime:
        stream = AgentHandle(execution_id, runtime).stream()
        async with asyncio.timeout(60):
            async for event in stream:
                if event.type == "waiting":
                    return str(event.approval_request_id)
    raise AssertionError("it ended without asking")


async def result_of(execution_id: str) -> str:
    async with AgentRuntime() as runtime, asyncio.timeout(60):
        result = await AgentHandle(execution_id, runtime).get_result_async()
        assert result.output is not None
        return str(result.output["result"])


async def approve(execution_id: str) -> None:
    async with AgentRuntime() as runtime:
        await AgentHandle(execution_id, runtime).approve_async()


async def test_one_starts_one_serves_one_decides(environment: str, serve_model: ServeModel, ledger_file: Path) -> None:
    serve_model(replies)
    with serving():
        execution_id = await asyncio.to_thread(started_by_a_script)
        await until_waiting(execution_id)
        assert ledger_file.read_text() == ""
        await approve(execution_id)
        assert await result_of(execution_id) == "Refunded."
    assert ledger_file.read_text() == "ORD-1\n"


async def test_the_server_is_killed_while_people_think(
    environment: str, serve_model: ServeModel, ledger_file: Path
) -> None:
    serve_model(replies)
    with serving() as first:
        async with AgentRuntime() as runtime:
            execution_id = (await runtime.start_async("refund_agent", "Refund ORD-1")).execution_id
        await until_waiting(execution_id)
        first.kill()
        first.wait()
    await approve(execution_id)
    with serving():
        assert await result_of(execution_id) == "Refunded."
    assert ledger_file.read_text() == "ORD-1\n"


async def test_the_script_is_killed_after_it_started(
    environment: str, serve_model: ServeModel, ledger_file: Path
) -> None:
    serve_model(replies)
    with serving():
        script = spawn(
            """
            handle = start("refund_agent", "Refund ORD-1")
            print(handle.execution_id, flush=True)
            handle.get_result()
            """
        )
        assert script.stdout is not None
        execution_id = (await asyncio.to_thread(script.stdout.readline)).strip()
        script.kill()
        script.communicate()
        await until_waiting(execution_id)
        await approve(execution_id)
        assert await result_of(execution_id) == "Refunded."
    assert ledger_file.read_text() == "ORD-1\n"


async def test_a_script_that_ends_lets_its_executions_come_to_rest(
    environment: str, serve_model: ServeModel, ledger_file: Path
) -> None:
    order = {"order_id": "ORD-1"}
    turns = [Calls((Call("look_up", order),)), Calls((Call("process_refund", order),))]
    serve_model(lambda messages: turns[sum(message["role"] == "assistant" for message in messages)])
    script = spawn("print(start(agent, 'Refund ORD-1').execution_id)")
    execution_id = await asyncio.to_thread(finished, script)
    async with AgentRuntime() as runtime:
        status = await AgentHandle(execution_id, runtime).get_status_async()
        assert status.is_waiting, "no time was left out: the free tool ran and people are asked"
    assert [message["role"] for message in status.messages] == ["user", "assistant", "tool", "assistant"]


async def test_a_fork_needs_a_runtime_of_its_own(environment: str, serve_model: ServeModel, ledger_file: Path) -> None:
    serve_model(lambda messages: "Hello.")
    script = spawn(
        """
        import warnings
        from agent_runtime.errors import RuntimeClosed
        warnings.simplefilter("ignore")
        with AgentRuntime() as runtime:
            handle = runtime.start(agent, "hello")
            handle.get_result()
            child = os.fork()
            if child == 0:
                try:
                    handle.get_status()
                except RuntimeClosed as error:
                    assert "fork" in str(error)
                    os._exit(7 if AgentHandle(handle.execution_id).get_status().is_complete else 1)
                os._exit(1)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """
    )
    assert await asyncio.to_thread(finished, script) == "7"

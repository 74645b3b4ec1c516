"""W on the OpenAI Agents SDK: a tool that needs approval, the run's state as JSON in the application's own table."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any

from benchmarks.measuring import Subject
from benchmarks.peers.own_table import OwnTable
from benchmarks.peers.running import main, not_installed

os.environ.setdefault("OPENAI_API_KEY", "unused")
try:
    from agents import Agent, Model, ModelResponse, Runner, RunState, Usage, function_tool, set_tracing_disabled
    from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText
except ImportError:
    not_installed()


class Scripted(Model):
    """Two free calls one after another, the gated one, then the answer."""

    async def get_response(self, system_instructions: Any, input: Any, *args: Any, **kwargs: Any) -> Any:
        items = [] if isinstance(input, str) else input
        told = sum(isinstance(item, dict) and item.get("type") == "function_call_output" for item in items)
        if told < 3:
            name = ("first", "second", "refund")[told]
            call = ResponseFunctionToolCall(
                type="function_call", id=f"fc{told}", call_id=f"call_{told}", name=name, arguments='{"order": 1}'
            )
            return ModelResponse(output=[call], usage=Usage(), response_id=None)
        text = ResponseOutputText(type="output_text", text="done", annotations=[])
        message = ResponseOutputMessage(id="m", type="message", role="assistant", status="completed", content=[text])
        return ModelResponse(output=[message], usage=Usage(), response_id=None)

    def stream_response(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError


@function_tool
async def first(order: int) -> str:
    return json.dumps({"step": 1, "order": order})


@function_tool
async def second(order: int) -> str:
    return json.dumps({"step": 2, "order": order})


@function_tool(needs_approval=True)
async def refund(order: int) -> str:
    return json.dumps({"ok": True, "order": order})


set_tracing_disabled(True)
AGENT = Agent(name="bench", instructions="", model=Scripted(), tools=[first, second, refund])


class OpenAIAgents(Subject):
    name = "openai agents"

    def __init__(self, table: OwnTable) -> None:
        self._table = table

    async def start(self, number: int) -> str:
        run = str(uuid.uuid4())
        result = await Runner.run(AGENT, f"order {number}")
        assert len(result.interruptions) == 1
        state = json.dumps(result.to_state().to_json())
        await self._table.write("INSERT INTO run VALUES (?, 'waiting', ?, NULL, NULL)", run, state)
        return run

    async def decide(self, run: str) -> None:
        await self._table.write("UPDATE run SET status = 'decided', decision = 'approved' WHERE id = ?", run)

    async def done(self, run: str) -> None:
        state = await RunState.from_json(AGENT, json.loads(self._table.state(run)))
        for interruption in state.get_interruptions():
            state.approve(interruption)
        result = await Runner.run(AGENT, state)
        output = str(result.final_output)
        await self._table.write("UPDATE run SET status = 'done', result = ? WHERE id = ?", output, run)

    async def close(self) -> None:
        """The process ends with it."""


async def opened(kind: str, where: str) -> OpenAIAgents:
    assert kind == "sqlite"
    return OpenAIAgents(OwnTable(Path(where) / f"openai-{uuid.uuid4().hex}.db"))


if __name__ == "__main__":
    main(opened)

"""W on Pydantic AI: a deferred tool, the message history in the application's own table."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from benchmarks.measuring import Subject
from benchmarks.peers.own_table import OwnTable
from benchmarks.peers.running import main, not_installed

try:
    from pydantic_ai import Agent, DeferredToolRequests, DeferredToolResults
    from pydantic_ai.messages import ModelMessagesTypeAdapter, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
    from pydantic_ai.models.function import FunctionModel
except ImportError:
    not_installed()


def scripted(messages: Any, info: Any) -> Any:
    """Two free calls one after another, the gated one, then the answer."""
    told = sum(isinstance(part, ToolReturnPart) for message in messages for part in message.parts)
    if told == 3:
        return ModelResponse(parts=[TextPart("done")])
    name = ("first", "second", "refund")[told]
    return ModelResponse(parts=[ToolCallPart(tool_name=name, args={"order": 1}, tool_call_id=f"call_{told}")])


AGENT = Agent(FunctionModel(scripted), output_type=[str, DeferredToolRequests])


@AGENT.tool_plain
async def first(order: int) -> dict[str, int]:
    return {"step": 1, "order": order}


@AGENT.tool_plain
async def second(order: int) -> dict[str, int]:
    return {"step": 2, "order": order}


@AGENT.tool_plain(requires_approval=True)
async def refund(order: int) -> dict[str, Any]:
    return {"ok": True, "order": order}


class PydanticAI(Subject):
    name = "pydantic ai"

    def __init__(self, table: OwnTable) -> None:
        self._table = table

    async def start(self, number: int) -> str:
        run = str(uuid.uuid4())
        result = await AGENT.run(f"order {number}")
        assert isinstance(result.output, DeferredToolRequests)
        state = result.all_messages_json().decode()
        await self._table.write("INSERT INTO run VALUES (?, 'waiting', ?, NULL, NULL)", run, state)
        return run

    async def decide(self, run: str) -> None:
        await self._table.write("UPDATE run SET status = 'decided', decision = 'approved' WHERE id = ?", run)

    async def done(self, run: str) -> None:
        history = ModelMessagesTypeAdapter.validate_json(self._table.state(run))
        approved = DeferredToolResults(approvals={"call_2": True})
        result = await AGENT.run(message_history=history, deferred_tool_results=approved)
        assert result.output == "done"
        await self._table.write("UPDATE run SET status = 'done', result = ? WHERE id = ?", result.output, run)

    async def close(self) -> None:
        """The process ends with it."""


async def opened(kind: str, where: str) -> PydanticAI:
    assert kind == "sqlite"
    return PydanticAI(OwnTable(Path(where) / f"pydantic-ai-{uuid.uuid4().hex}.db"))


if __name__ == "__main__":
    main(opened)

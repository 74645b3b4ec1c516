"""W through the public Python API: an agent with two free calls and a gated one, policy, audit events, every guard."""

from __future__ import annotations

import json
from typing import Any

from agent_runtime import Agent, AgentHandle, AgentRuntime, tool
from agent_runtime.engine.model import ModelRequest


@tool
async def first(order: int) -> dict[str, int]:
    """The first durable step."""
    return {"step": 1, "order": order}


@tool
async def second(order: int) -> dict[str, int]:
    """The second durable step."""
    return {"step": 2, "order": order}


@tool(approval_required=True)
async def refund(order: int) -> dict[str, Any]:
    """The gated step."""
    return {"ok": True, "order": order}


AGENT = Agent("bench", tools=[first, second, refund])


class Scripted:
    """The model in process: two free calls, then the gated one, then the answer."""

    async def complete(self, request: ModelRequest) -> dict[str, Any]:
        replies = [message for message in request.messages if message["role"] == "assistant"]
        arguments = json.dumps({"order": 1})
        wanted = [["first", "second"], ["refund"], []][len(replies)]
        if not wanted:
            return {"message": {"role": "assistant", "content": "done"}, "usage": {}}
        calls = [
            {
                "id": f"call_{len(replies)}_{index}",
                "type": "function",
                "function": {"name": name, "arguments": arguments},
            }
            for index, name in enumerate(wanted)
        ]
        return {"message": {"role": "assistant", "tool_calls": calls}, "usage": {}}

    async def close(self) -> None:
        return None


class Product:
    """W on a runtime in this process, as its users write it."""

    name = "countersign"

    def __init__(self, runtime: AgentRuntime) -> None:
        self.runtime = runtime
        self._handles: dict[str, AgentHandle] = {}

    @classmethod
    async def open(cls, database_url: str) -> Product:
        runtime = AgentRuntime(database_url, model=Scripted(), surfaces=False)
        await runtime.__aenter__()
        await runtime.deploy_async(AGENT)
        return cls(runtime)

    async def start(self, number: int) -> str:
        """Returns once the waiting state is durable."""
        handle = await self.runtime.start_async(AGENT.name, f"order {number}")
        status = await handle.get_status_async()
        assert status.is_waiting
        self._handles[handle.execution_id] = handle
        return handle.execution_id

    async def decide(self, execution_id: str) -> None:
        await self._handles[execution_id].approve_async()

    async def done(self, execution_id: str) -> None:
        """Returns once the result is durable."""
        result = await self._handles.pop(execution_id).get_result_async()
        assert result.is_success

    async def close(self) -> None:
        await self.runtime.close_async()

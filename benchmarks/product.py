"""W through the Python runtime: an agent with two free calls and a gated one, policy, audit events, every guard."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from agent_runtime import Agent, tool
from agent_runtime.core.approval import Decision, Verdict
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.engine.model import ModelRequest
from agent_runtime.operations.resolve import resolve
from agent_runtime.operations.start import Start
from agent_runtime.replica import Replica
from agent_runtime.settings import Settings, load
from agent_runtime.store.approvals import PENDING_OF_EXECUTION
from agent_runtime.store.executions import GET_EXECUTION


@tool
def first(order: int) -> dict[str, int]:
    """The first durable step."""
    return {"step": 1, "order": order}


@tool
def second(order: int) -> dict[str, int]:
    """The second durable step."""
    return {"step": 2, "order": order}


@tool(approval_required=True)
def refund(order: int) -> dict[str, Any]:
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
    """W on a runtime in this process."""

    name = "countersign"

    def __init__(self, runtime: Replica) -> None:
        self.runtime = runtime
        self._approvals: dict[str, str] = {}

    @classmethod
    async def open(cls, folder: Path) -> Product:
        settings: Settings = load(Settings, database_url=f"sqlite+aiosqlite:///{folder / 'product.db'}")
        runtime = Replica(settings, model=Scripted(), surfaces=False)
        await runtime.__aenter__()
        await runtime.deploy(AGENT)
        return cls(runtime)

    async def start(self, number: int) -> str:
        """Returns once the waiting state is durable."""
        started = await self.runtime.start_execution(Start("bench", {"prompt": f"order {number}"}))
        execution_id = started.execution.execution_id
        await self._until(execution_id, "waiting")
        database = self.runtime.database
        [approval] = await database.all(PENDING_OF_EXECUTION, b_execution=execution_id)
        self._approvals[execution_id] = approval.approval_request_id
        return execution_id

    async def decide(self, execution_id: str) -> None:
        decision = Decision(Verdict.approved)
        await self.runtime.database.write(
            resolve, self._approvals[execution_id], decision, by=LOCAL_OPERATOR, via=Via.sdk
        )

    async def done(self, execution_id: str) -> None:
        await self._until(execution_id, "succeeded")

    async def close(self) -> None:
        await self.runtime.close()

    async def _until(self, execution_id: str, status: str) -> None:
        database = self.runtime.database
        with database.wakes.listen(f"execution:{execution_id}") as woken:
            while True:
                woken.clear()
                execution = await database.one(GET_EXECUTION, b_id=execution_id)
                assert execution is not None
                if execution.status == status:
                    return
                await asyncio.wait_for(woken.wait(), 30)

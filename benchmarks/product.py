"""W through the public Python API: an agent with two free calls and a gated one, policy, audit events, every guard."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any, Self

from aiohttp import ClientSession, TCPConnector, web
from sqlalchemy import text

from agent_runtime import Agent, AgentHandle, AgentRuntime, tool
from agent_runtime.client import AsyncClient
from agent_runtime.engine.model import ModelRequest
from agent_runtime.store.database import Database
from agent_runtime.store.statement import Q
from agent_runtime.store.tx import Tx
from agent_runtime.web.app import create_app


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


REASONERS = Agent("bench_reasoner")


@REASONERS.step
async def one(order: int) -> dict[str, int]:
    return {"step": 1, "order": order}


@REASONERS.step
async def two(order: int) -> dict[str, int]:
    return {"step": 2, "order": order}


@REASONERS.step
async def pay(order: int) -> dict[str, Any]:
    return {"ok": True, "order": order}


@REASONERS.reasoner()
async def claim(order: str) -> dict[str, Any]:
    """W as code: two durable steps, a pause, the step that people allowed."""
    await one(1)
    await two(1)
    answer = await REASONERS.pause()
    assert answer.approved
    return await pay(1)


async def assert_durable(database: Database) -> None:
    """Speed is never bought with durability: raises where a commit would not be on the disk."""
    if database.url.get_backend_name() == "sqlite":
        assert (await database.write(_synchronous))[0] == 2
    else:
        [row] = await database.all(Q(text("SELECT current_setting('fsync'), current_setting('synchronous_commit')")))
        assert tuple(row) == ("on", "on")


def _synchronous(tx: Tx) -> Sequence[Any]:
    return tx.all(Q(text("PRAGMA synchronous")))[0]


class Product:
    """W on a runtime in this process, as its users write it."""

    name = "countersign"
    agent = AGENT.name

    def __init__(self, runtime: AgentRuntime) -> None:
        self.runtime = runtime
        self._handles: dict[str, AgentHandle] = {}

    @classmethod
    async def open(cls, database_url: str) -> Self:
        runtime = AgentRuntime(database_url, model=Scripted(), surfaces=False)
        await runtime.__aenter__()
        await runtime.deploy_async(AGENT, REASONERS)
        await assert_durable(runtime.replica.database)
        return cls(runtime)

    async def start(self, number: int) -> str:
        """Returns once the waiting state is durable."""
        handle = await self.runtime.start_async(self.agent, f"order {number}")
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


class ReasonerProduct(Product):
    """The same with a reasoner in place of the model's loop."""

    name = "countersign, reasoner"
    agent = REASONERS.name


class HttpProduct(Product):
    """The same over HTTP on loopback; server and client share this process."""

    name = "countersign, HTTP"

    @classmethod
    async def open(cls, database_url: str) -> Self:
        product = await super().open(database_url)
        replica = product.runtime.replica
        app = create_app(
            replica.database,
            replica.settings,
            defaults=replica.defaults,
            status=replica.status,
            people=replica.actor,
            agents=replica.agents,
        )
        product._runner = web.AppRunner(app, access_log=None)
        await product._runner.setup()
        await web.TCPSite(product._runner, "127.0.0.1", 0).start()
        host, port = product._runner.addresses[0]
        product._client = AsyncClient(f"http://{host}:{port}")
        product._session = ClientSession(connector=TCPConnector(limit=0))
        return product

    def __init__(self, runtime: AgentRuntime) -> None:
        super().__init__(runtime)
        self._runner: web.AppRunner
        self._client: AsyncClient
        self._session: ClientSession
        self._approvals: dict[str, str] = {}

    async def start(self, number: int) -> str:
        url = f"{self._client.server_url}/api/v1/execute/{self.agent}"
        async with self._session.post(url, json={"prompt": f"order {number}"}) as answered:
            waiting = await answered.json()
        assert waiting["is_waiting"], waiting
        execution_id = str(waiting["execution_id"])
        self._approvals[execution_id] = waiting["pending_approvals"][0]["approval_request_id"]
        return execution_id

    async def decide(self, execution_id: str) -> None:
        await self._client.decide(self._approvals.pop(execution_id), "approved")

    async def done(self, execution_id: str) -> None:
        async with aclosing(self._client.events(execution_id)) as events:
            async for _ in events:
                pass
        ended = await self._client.execution(execution_id)
        assert ended["status"] == "succeeded"

    async def close(self) -> None:
        await self._session.close()
        await self._client.close()
        await self._runner.cleanup()
        await super().close()

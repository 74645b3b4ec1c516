"""W through the public Python API with every feature on: policy, audit events that are sealed, outbox rows for a
notifier that are delivered and receipted, every guard.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import aclosing, nullcontext
from typing import Any, Self

from aiohttp import ClientSession, TCPConnector, web
from sqlalchemy import func, select, text

from agent_runtime import Agent, AgentHandle, AgentRuntime, tool
from agent_runtime.client import AsyncClient
from agent_runtime.engine.model import ModelRequest
from agent_runtime.store.database import Database
from agent_runtime.store.outbox import UNDELIVERED
from agent_runtime.store.schema import approvals, events, receipts, seals
from agent_runtime.store.statement import Q
from agent_runtime.store.tx import Tx
from agent_runtime.web.app import create_app
from benchmarks.measuring import Subject
from benchmarks.notifying import installed


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
    """The model in process: two free calls, then the gated one, then the answer; about the order of "order NUMBER"."""

    async def complete(self, request: ModelRequest) -> dict[str, Any]:
        replies = [message for message in request.messages if message["role"] == "assistant"]
        asked = next(message["content"] for message in request.messages if message["role"] == "user")
        arguments = json.dumps({"order": int(asked.rpartition(" ")[2])})
        names = [offered["function"]["name"] for offered in request.tools]
        wanted = [names[:2], names[2:], []][len(replies)]
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


class Product(Subject):
    """W on a runtime in this process, as its users write it. Who decides has been notified."""

    name = "countersign"
    agent: Agent = AGENT
    notifies = True

    def __init__(self, runtime: AgentRuntime) -> None:
        self.runtime = runtime
        self._handles: dict[str, AgentHandle] = {}

    @classmethod
    async def open(cls, database_url: str) -> Self:
        runtime = AgentRuntime(database_url, model=Scripted(), surfaces=cls.notifies)
        with installed() if cls.notifies else nullcontext():
            await runtime.__aenter__()
        await runtime.deploy_async(cls.agent)
        await assert_durable(runtime.replica.database)
        return cls(runtime)

    @property
    def database(self) -> Database:
        return self.runtime.replica.database

    async def start(self, number: int) -> str:
        """Returns once the waiting state is durable."""
        handle = await self.runtime.start_async(self.agent.name, f"order {number}")
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

    async def settled(self) -> None:
        """Returns once every card shows the newest state, and its receipt is durable."""
        with self.database.wakes.listen("delivered") as woken:
            while (await self.database.all(UNDELIVERED))[0].n:
                await woken.wait()
                woken.clear()

    async def check(self) -> None:
        """Raises where a feature was not on: each approval has its receipt, each event its seal."""
        await self.settled()
        async with asyncio.timeout(SEALED_WITHIN):
            while (counts := (await self.database.all(_COUNTS))[0]).seals < counts.events:
                await asyncio.sleep(0.1)
        assert counts.receipts == (counts.approvals if self.notifies else 0), counts

    async def close(self) -> None:
        await self.runtime.close_async()


SEALED_WITHIN = 60.0
"""Seconds. The product seals every second what came in, on SQLite tens of thousands of events a second."""

_COUNTS = Q(
    select(
        *(
            select(func.count()).select_from(table).scalar_subquery().label(table.name)
            for table in (approvals, receipts, events, seals)
        )
    )
)


class PlainProduct(Product):
    """The same where nobody is notified, as the floor and the peers do it: without outbox rows and receipts."""

    name = "countersign, no notifier"
    notifies = False


class ReasonerProduct(Product):
    """The same with a reasoner in place of the model's loop."""

    name = "countersign, reasoner"
    agent = REASONERS


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
        url = f"{self._client.server_url}/api/v1/execute/{self.agent.name}"
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

"""Replicas on the test's database: worker, clockwork and store, as in a server; the time is real."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from agent_runtime.agent import Agent
from agent_runtime.engine.model import Model
from agent_runtime.replica import Replica
from agent_runtime.settings import Settings
from agent_runtime.store.database import Database
from tests.engine.replies import Replies
from tests.engine.running import Run

OpenReplica = Callable[..., Awaitable[Replica]]
Begin = Callable[..., Awaitable[Run]]


@pytest.fixture
async def open_replica(database_url: str) -> AsyncIterator[OpenReplica]:
    """`await open_replica(model, *agents)` opens one more replica that runs these agents; closed after the test."""
    async with AsyncExitStack() as stack:

        async def open_one(model: Model, *agents: Agent, **settings: Any) -> Replica:
            replica = Replica(Settings(database_url=database_url, **settings), model=model, surfaces=False)
            await replica.__aenter__()
            stack.push_async_callback(replica.close, 1.0)
            await replica.deploy(*agents)
            return replica

        yield open_one


@pytest.fixture
async def begin(open_replica: OpenReplica) -> Begin:
    """`await begin(model or replies, *tools, **agent)` opens a replica with one agent and starts an execution of it."""

    async def begin_one(model: Model | list[Any], *tools: Any, wanted: Any = None, **agent: Any) -> Run:
        model = Replies(*model) if isinstance(model, list) else model
        replica = await open_replica(model, Agent("an_agent", tools=tools, **agent))
        return await Run.begun(replica, "an_agent", **(wanted or {}))

    return begin_one


@pytest.fixture
async def live_database(database_url: str) -> AsyncIterator[Database]:
    """The test's database without a replica, in real time."""
    async with await Database.open(database_url) as database:
        yield database

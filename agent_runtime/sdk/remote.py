"""Executions of a server, over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json

import structlog
from pydantic import SecretStr

from agent_runtime.agent import Agent
from agent_runtime.client import AsyncClient
from agent_runtime.core.approval import Decision, Outcome
from agent_runtime.errors import InvalidRequest, ServerUnavailable
from agent_runtime.sdk.executions import WantedStart
from agent_runtime.sdk.snapshot import Snapshot, of_answer

log = structlog.get_logger(__name__)

LOOK_EVERY = 1.0
"""Seconds between looks where no event came."""

TOGETHER = 0.02
"""Seconds in which further events of the same moment are awaited before looking."""

FOLLOWED = 1_000
"""Executions whose last event's number is remembered; an older one's events are read from the first again."""


class RemoteExecutions:
    """`Executions` on a server; who decides is whoever the token is made for."""

    def __init__(self, server_url: str, api_token: SecretStr | None) -> None:
        self._client = AsyncClient(server_url, None if api_token is None else api_token.get_secret_value())
        self._last_event: dict[str, int] = {}

    async def deploy(self, *agents: Agent) -> None:
        names = ", ".join(agent.name for agent in agents) or "agents"
        raise InvalidRequest(
            f"{names}: over HTTP nothing is deployed or served; run `countersign serve --agents …` where "
            f"{self._client.server_url} is, then start by name"
        )

    async def start(self, wanted: WantedStart) -> str:
        started = await self._client.start(
            wanted.agent_name,
            wanted.given.get("prompt"),
            input=wanted.given.get("input"),
            reasoner=wanted.reasoner,
            idempotency_key=wanted.idempotency_key,
        )
        if started["no_worker"]:
            log.warning("queued: no live process serves this agent there", agent=wanted.agent_name)
        return str(started["execution_id"])

    async def look(self, execution_id: str) -> Snapshot:
        return of_answer(await self._client.execution(execution_id))

    async def changed(self, since: Snapshot) -> Snapshot:
        while (snapshot := await self.look(since.execution_id)) == since:
            await self._next_events(since.execution_id)
        if snapshot.complete:
            self._last_event.pop(snapshot.execution_id, None)
        return snapshot

    async def settled(self, execution_id: str, seconds: float) -> Snapshot:
        return await self.look(execution_id)

    async def ended(self, execution_id: str) -> Snapshot:
        snapshot = await self.look(execution_id)
        while not snapshot.complete:
            snapshot = await self.changed(snapshot)
        return snapshot

    async def decide(self, approval_request_id: str, decision: Decision) -> bool:
        edited = decision.edited_arguments
        made = await self._client.decide(
            approval_request_id,
            decision.verdict.value,
            decision.feedback,
            edited_arguments=None if edited is None else json.loads(edited),
        )
        return bool(made["already_processed"])

    async def settle(self, approval_request_id: str, outcome: Outcome, result: object, evidence: str) -> None:
        await self._client.settle(approval_request_id, outcome.value, result=result, evidence=evidence)

    async def cancel(self, execution_id: str, reason: str) -> None:
        await self._client.cancel(execution_id, reason)

    async def close(self) -> None:
        await self._client.close()

    async def _next_events(self, execution_id: str) -> None:
        """Until something is recorded, a second at most; where the events break off, looking goes on without them."""
        last = self._last_event.pop(execution_id, 0)
        loop = asyncio.get_running_loop()
        with contextlib.suppress(TimeoutError, ServerUnavailable):
            async with (
                asyncio.timeout(LOOK_EVERY) as limit,
                contextlib.aclosing(self._client.events(execution_id, last)) as events,
            ):
                async for event in events:
                    last = int(event["seq"])
                    limit.reschedule(loop.time() + TOGETHER)
        self._last_event[execution_id] = last
        if len(self._last_event) > FOLLOWED:
            del self._last_event[next(iter(self._last_event))]

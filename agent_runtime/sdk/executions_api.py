"""Executions over HTTP: start, look, cancel, follow."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import aiohttp

from agent_runtime.errors import ServerUnavailable
from agent_runtime.sdk.transport import Answer, Transport, part
from agent_runtime.sdk.wire import problem, raise_refusal, sent_events

AGAIN_AFTER = 1.0
"""Seconds before a stream that ended without an event is taken up again."""


class ExecutionsApi:
    """The part of `AsyncClient` that is about executions."""

    _http: Transport

    async def start(
        self,
        agent: str,
        prompt: str | None = None,
        *,
        input: Mapping[str, Any] | None = None,
        reasoner: str | None = None,
        idempotency_key: str | None = None,
    ) -> Answer:
        """Starts an execution of a deployed agent and answers at once. Send a `prompt` (text) or an `input`."""
        target = agent if reasoner is None else f"{agent}.{reasoner}"
        body = {"prompt": prompt} if input is None else {"input": dict(input)}
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        path = f"/api/v1/execute/async/{part(target)}"
        return await self._http.send(path, body, headers, idempotent=idempotency_key is not None)

    async def execution(self, execution_id: str) -> Answer:
        """One execution: its status, result, approvals and steps."""
        return await self._http.read(f"/api/v1/executions/{part(execution_id)}")

    async def executions(
        self, *, status: str | None = None, agent: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Answer:
        """A page of executions, newest first: {"items": […], "next_cursor": …}."""
        return await self._http.read("/api/v1/executions", status=status, agent=agent, limit=limit, cursor=cursor)

    async def cancel(self, execution_id: str, reason: str = "") -> Answer:
        """Cancels an execution; what it asked is withdrawn."""
        return await self._http.send(
            f"/api/v1/executions/{part(execution_id)}/cancel", {"reason": reason}, idempotent=False
        )

    async def events(self, execution_id: str, after: int = 0) -> AsyncGenerator[Answer, None]:
        """The audit events of an execution from number `after` on, as they are recorded, until it has ended.

        A stream that the server ended, as one that stops does, is taken up again after its last event.
        """
        url = f"/api/v1/executions/{part(execution_id)}/events"
        endless = aiohttp.ClientTimeout(total=None, sock_connect=self._http.timeout_seconds)
        try:
            while True:
                headers = {"Last-Event-ID": str(after)} if after else {}
                async with self._http.session.get(
                    self._http.server_url + url, headers=headers, timeout=endless
                ) as response:
                    if response.status == 204:
                        return
                    await raise_refusal(response)
                    before = after
                    async for name, data in sent_events(response.content):
                        if name == "problem":
                            raise problem(json.loads(data), 503)
                        event = json.loads(data)
                        after = int(event["seq"])
                        yield event
                if after == before:
                    await asyncio.sleep(AGAIN_AFTER)
        except (aiohttp.ClientError, ConnectionError) as error:
            raise ServerUnavailable(f"{self._http.server_url}: the events broke off: {error}") from error

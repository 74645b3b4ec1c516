"""People, and the programs that start executions, at the HTTP doors of whatever server lives; they write down what they
were told was done.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from agent_runtime.conformance.agents import AGENT
from agent_runtime.conformance.ledger import Ledger
from agent_runtime.conformance.reasoners import REASONERS

Json = dict[str, Any]

PATIENCE = aiohttp.ClientTimeout(total=30)
LOOK_EVERY = 0.01
"""Seconds between looks where nothing was pending."""

AT_ONCE = 16
OPEN = ("queued", "running", "waiting")
GONE = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, ConnectionError, TimeoutError)
"""What people see of a server that dies while it answers."""


@dataclass
class People:
    """`started` and `decided` hold what was acknowledged: that must be there for ever. `wanted` are references that are
    to be executed, with their prompts; a start that was not acknowledged is asked for again under the same idempotency
    key. `reasoners` names the reasoner of those that are not the LLM agent's.
    """

    http: aiohttp.ClientSession
    ledger: Ledger
    wanted: dict[str, str] = field(default_factory=dict)
    reasoners: dict[str, str] = field(default_factory=dict)
    started: dict[str, str] = field(default_factory=dict)
    decided: dict[str, str] = field(default_factory=dict)
    settled: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    def want(self, reference: str, prompt: str = "", *, reasoner: str = "") -> None:
        """One more execution is wanted, of the LLM agent or of a reasoner."""
        self.wanted[reference] = prompt or reference
        if reasoner:
            self.reasoners[reference] = reasoner

    async def work(self, url: str, *, take: float = 0.0) -> None:
        """Starts what is wanted, takes so many seconds, and then decides whatever is asked at `url`, for ever or until
        the server is gone.
        """
        with contextlib.suppress(*GONE):
            await self.start_all(url)
            await asyncio.sleep(take)
            while True:
                if not await self.decide_all(url):
                    await asyncio.sleep(LOOK_EVERY)

    async def start_all(self, url: str) -> None:
        """Starts what is wanted and not acknowledged."""
        due = [reference for reference in self.wanted if reference not in self.started]
        await _all(self.start(url, reference) for reference in due)

    async def decide_all(self, url: str) -> int:
        """Answers everything that is pending now; how much there was."""
        pending = (await self.get(url, "/api/v1/approvals?status=pending&limit=200"))["items"]
        await _all(self.answer(url, approval) for approval in pending)
        return len(pending)

    async def answer(self, url: str, approval: Json) -> None:
        """Approves; what is in doubt is settled by what the ledger says, as a person would look it up."""
        if approval["kind"] == "in_doubt":
            await self._settle(url, approval)
            return
        identifier = approval["approval_request_id"]
        status, body = await self.post(url, f"/api/v1/approvals/{identifier}/decision", {"decision": "approved"})
        if status == 200:
            self.decided[identifier] = body["status"]
        elif status not in {409, 503}:
            self.problems.append(f"{identifier}: deciding answered {status}: {body}")

    async def post(self, url: str, path: str, body: Json, **headers: str) -> tuple[int, Json]:
        async with self._turns, self.http.post(url + path, json=body, headers=headers, timeout=PATIENCE) as answer:
            return answer.status, await answer.json(content_type=None)

    async def get(self, url: str, path: str) -> Json:
        async with self.http.get(url + path, timeout=PATIENCE) as answer:
            told: Json = await answer.json(content_type=None)
            if answer.status != 200:
                self.problems.append(f"{path} answered {answer.status}: {told}")
                return {"items": []}
            return told

    async def all_ended(self, url: str) -> bool:
        """Whether everything that was wanted is started, and nothing seems to be under way any more; what changes its
        status between two of these looks is not seen.
        """
        if len(self.started) < len(self.wanted):
            return False
        try:
            pages = [await self.get(url, f"/api/v1/executions?status={status}&limit=1") for status in OPEN]
        except GONE:
            return False
        return not any(page["items"] for page in pages)

    async def start(self, url: str, reference: str) -> None:
        target = AGENT
        given: Json = {"prompt": self.wanted[reference]}
        if reference in self.reasoners:
            target, given = f"{REASONERS}.{self.reasoners[reference]}", {"input": {"reference": reference}}
        status, body = await self.post(url, f"/api/v1/execute/async/{target}", given, **{"Idempotency-Key": reference})
        if status == 202:
            self.started[reference] = body["execution_id"]
        elif status != 503:
            self.problems.append(f"{reference}: starting answered {status}: {body}")

    async def _settle(self, url: str, approval: Json) -> None:
        identifier = approval["approval_request_id"]
        body: Json = {"outcome": "not_happened"}
        reference = (approval["arguments"] or {}).get("reference")
        if reference is not None and self.ledger.count(reference, approval["tool_name"]):
            body = {"outcome": "happened", "result": f"{approval['tool_name']} done", "evidence": "seen in the ledger"}
        status, told = await self.post(url, f"/api/v1/approvals/{identifier}/settle", body)
        if status == 200:
            self.settled[identifier] = body["outcome"]
        elif status not in {409, 503}:
            self.problems.append(f"{identifier}: settling answered {status}: {told}")


@asynccontextmanager
async def people(ledger: Ledger, token: str = "") -> AsyncIterator[People]:
    """People with a connection pool of their own, and a token where there is one."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64), headers=headers) as http:
        yield People(http, ledger)


async def _all(work: Any) -> None:
    """Everything side by side; the first failure is raised once all have ended."""
    for outcome in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome

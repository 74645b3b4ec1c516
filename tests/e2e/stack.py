"""The whole product as it runs in earnest, but for Slack and the model, which stand in beside it.

The local workspace and the scripted model are served by the test's own process over real HTTP; the server is a
process of its own, which can be killed and started again on the same database.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from bot.sandbox.app import Sandbox, running_sandbox
from bot.sandbox.config import DEFAULT_CHANNELS, DEFAULT_USERS, ChannelConfig, SandboxConfig, UserConfig
from bot.scripted_model.in_process import serve_scripted_model
from tests.e2e.agents import FOLDER
from tests.e2e.process import ProductProcess, environment
from tests.e2e.waiting import until

Json = dict[str, Any]

REVIEWER, REVIEWER_2, ON_CALL = "U0REVIEWER1", "U0REVIEWER2", "U0ONCALL001"
APPROVALS, ESCALATIONS = "C0APPROVALS", "C0ESCALATE1"
WEBHOOK_SECRET = "end-to-end-webhook-secret"
AGENTS = ("examples.refund_agent:agent", "examples.prod_change_demo:agent", "tests.e2e.agents:agents")
ROOMS = 80


@dataclass(frozen=True, slots=True)
class Variant:
    """Which database, and how Slack reaches the server."""

    database: str
    transport: str

    def __str__(self) -> str:
        return f"{self.database}-{self.transport}"


VARIANTS = tuple(Variant(*both) for both in itertools.product(("sqlite", "postgresql"), ("socket", "http")))


@dataclass
class Stack:
    """A deployment that a test uses as its people do. Nothing here reaches into the server's process."""

    variant: Variant
    sandbox: Sandbox
    http: aiohttp.ClientSession
    folder: Path
    settings: dict[str, str]
    server: ProductProcess | None = None
    url: str = ""
    processes: list[ProductProcess] = field(default_factory=list)
    rooms: int = 0

    async def start_server(self) -> None:
        """A server on this stack's database, up to where Slack reaches it."""
        command = [sys.executable, "-m", "bot", "serve", "--port", "0"]
        command += [part for agent in AGENTS for part in ("--agents", agent)]
        self.server = ProductProcess.start(command, self.settings, self.folder)
        self.processes.append(self.server)
        self.url = (await self.server.says(r"API and dashboard: (\S+)"))[1]
        if self.variant.transport == "http":
            await until(self._takes_events, "the server answers Slack's challenge", explain=self.explain)
        await until(self._connected, "the server is connected to Slack", explain=self.explain)

    async def kill_server(self) -> None:
        """A crash: kill -9."""
        assert self.server is not None
        await self.server.kill()
        await until(self._disconnected, "the workspace has noticed")

    def explain(self) -> str:
        """What the server logged, for a test that fails."""
        return self.server.tail() if self.server is not None else ""

    def new_room(self) -> str:
        """A channel of a test's own, as tests that share a workspace share Slack's limits of each channel too."""
        self.rooms += 1
        return _rooms()[self.rooms - 1].id

    async def api(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Json]:
        """A call of the server's HTTP API: status and JSON."""
        async with self.http.request(method, f"{self.url}{path}", json=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def get(self, path: str) -> Json:
        status, answer = await self.api("GET", path)
        assert status == 200, answer
        return answer

    async def faults(self, **faults: Any) -> None:
        """Breaks Slack in these ways (bot.sandbox.faults), and in no others any more."""
        await self.workspace("POST", "/faults", faults)

    async def workspace(
        self, method: str, path: str, body: Json | None = None, *, query: Mapping[str, str] | None = None
    ) -> Json:
        """A call of the workspace's control endpoints."""
        url = f"{self.sandbox.url}/sandbox/api{path}"
        async with self.http.request(method, url, json=body, params=query) as answer:
            told: Json = await answer.json()
            assert answer.status == 200, told
            return told

    async def held(self, order_id: str) -> None:
        """Until a call of `held_refund` or `keyed_refund` waits in its tool."""

        async def is_held() -> bool:
            return (self.folder / f"{order_id}.held").exists()

        await until(is_held, f"{order_id} is held", explain=self.explain)

    def let_go(self, order_id: str) -> None:
        """The call goes on; a later one of this order does not wait."""
        (self.folder / f"{order_id}.go").touch()

    def effects(self, execution_id: str) -> list[Json]:
        """What the tools of an execution have really done, from the ledger."""
        ledger = Path(self.settings["COUNTERSIGN_DEMO_LEDGER"])
        lines = ledger.read_text().splitlines() if ledger.exists() else []
        effects = [json.loads(line) for line in lines]
        return [effect for effect in effects if effect["idempotency_key"].startswith(f"{execution_id}:")]

    async def _takes_events(self) -> bool:
        url = f"{self.sandbox.url}/sandbox/api/request_url"
        async with self.http.post(url, json={"url": f"{self.url}/slack/events"}) as answer:
            return answer.status == 200

    async def _connected(self) -> bool:
        slack = (await self.get("/readyz"))["checks"]["surfaces"]["slack"]
        return bool(slack["state"] == "connected")

    async def _disconnected(self) -> bool:
        return not (await self.workspace("GET", "/state"))["connections"]


@asynccontextmanager
async def open_stack(
    variant: Variant, database_url: str, folder: Path, *, time_scale: float = 0.02, **settings: str
) -> AsyncIterator[Stack]:
    """A stack that is up. `settings` are the server's, beside those that connect it; `time_scale` is Slack's."""
    async with contextlib.AsyncExitStack() as opening:
        sandbox = await opening.enter_async_context(running_sandbox(workspace_config(time_scale)))
        model = await opening.enter_async_context(serve_scripted_model())
        http = await opening.enter_async_context(aiohttp.ClientSession())
        connecting = {
            "COUNTERSIGN_DATABASE_URL": database_url,
            "COUNTERSIGN_SLACK_API_URL": sandbox.api_url,
            "SLACK_BOT_TOKEN": sandbox.config.bot_token,
            **_transport(variant, sandbox),
            "OPENAI_BASE_URL": model.base_url,
            "OPENAI_API_KEY": "scripted",
            "COUNTERSIGN_DEFAULT_AGENT": "refund_agent",
            "COUNTERSIGN_REVIEWERS": f"{REVIEWER},{REVIEWER_2}",
            "COUNTERSIGN_ESCALATION_CHANNEL": ESCALATIONS,
            "COUNTERSIGN_ESCALATION_REVIEWERS": ON_CALL,
            "COUNTERSIGN_APPROVAL_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "COUNTERSIGN_DEMO_LEDGER": str(folder / "ledger.jsonl"),
            FOLDER: str(folder),
        }
        stack = Stack(variant, sandbox, http, folder, environment(**connecting | settings))
        try:
            await stack.start_server()
            yield stack
        finally:
            for process in stack.processes:
                await asyncio.to_thread(process.abandon)


def workspace_config(time_scale: float) -> SandboxConfig:
    """The workspace: a room for each test, somebody on call, and Slack's waits made short by `time_scale`."""
    return SandboxConfig(
        users=(*DEFAULT_USERS, UserConfig(id=ON_CALL, name="On Call", email="oncall@example.com")),
        channels=(*map(_with_on_call, DEFAULT_CHANNELS), *_rooms()),
        time_scale=time_scale,
        rate_limit_scale=20,
    )


def _with_on_call(channel: ChannelConfig) -> ChannelConfig:
    if channel.id != ESCALATIONS:
        return channel
    return channel.model_copy(update={"members": (*(channel.members or ()), ON_CALL)})


def _rooms() -> list[ChannelConfig]:
    return [ChannelConfig(id=f"C0ROOM{number:03}", name=f"room-{number}") for number in range(1, ROOMS + 1)]


def _transport(variant: Variant, sandbox: Sandbox) -> dict[str, str]:
    if variant.transport == "http":
        return {"SLACK_SIGNING_SECRET": sandbox.config.signing_secret}
    return {"SLACK_APP_TOKEN": sandbox.config.app_token}

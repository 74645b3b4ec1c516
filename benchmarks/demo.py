"""The demo as its users run it: a click until its card is redrawn; requests to its API."""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, TCPConnector

from benchmarks.extent import FULL
from benchmarks.measuring import at_once
from benchmarks.table import show

CLICKS, REQUESTS = (30, 2000) if FULL else (6, 300)
STARTS_WITHIN, REDRAWN_WITHIN = 60.0, 30.0
WANTED = "refund_agent Customer Alex (cust_001) wants a refund on order ORD-8821"


@dataclass
class Demo:
    """A running demo: its server's and its workspace's addresses."""

    server: str
    sandbox: str
    http: ClientSession
    channel: str = ""
    bot: str = ""
    requester: str = ""
    reviewer: str = ""

    async def control(self, method: str, path: str, **body: Any) -> Any:
        async with self.http.request(method, f"{self.sandbox}/sandbox/api/{path}", json=body or None) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def meet(self) -> None:
        """Who is there."""
        state = await self.control("GET", "state")
        self.channel, self.bot = state["channels"][0]["id"], state["bot_user_id"]
        people = {user["role"]: user["id"] for user in reversed(state["users"])}
        self.requester, self.reviewer = people["requester"], people["reviewer"]

    async def ask(self) -> str:
        """A mention; the timestamp of its thread."""
        text = f"<@{self.bot}> {WANTED}"
        posted = await self.control("POST", "messages", channel=self.channel, user=self.requester, text=text)
        return str(posted["ts"])

    async def card(self, thread: str, *words: str) -> dict[str, Any]:
        """The thread's card, once it says all of `words`."""
        async with asyncio.timeout(REDRAWN_WITHIN):
            while True:
                messages = (await self.control("GET", f"channels/{self.channel}/messages"))["messages"]
                for message in messages:
                    told = f"{message.get('text', '')}{message.get('blocks', '')}"
                    if message.get("thread_ts") == thread and all(word in told for word in words):
                        return dict(message)
                await asyncio.sleep(0.002)


async def run(folder: Path) -> None:
    """Wall time; the API's figures are of one connection pool on loopback."""
    async with running() as demo:
        clicks = [await _click(demo) for _ in range(CLICKS)]
        show("click to card redrawn", {"through the sandbox": {"median ms": statistics.median(clicks) * 1e3}})
        figures = {}
        for path in ("/healthz", "/api/v1/approvals?limit=50", "/api/v1/executions?limit=50"):
            begun = time.perf_counter()
            await at_once(lambda _, path=path: _get(demo, path), range(REQUESTS), width=20)
            figures[f"GET {path}"] = {"requests a second": REQUESTS / (time.perf_counter() - begun)}
        show("API", figures)


async def _click(demo: Demo) -> float:
    thread = await demo.ask()
    card = await demo.card(thread, "Approval needed", "approval.approve")
    begun = time.perf_counter()
    await demo.control(
        "POST",
        "actions",
        user=demo.reviewer,
        channel=demo.channel,
        message_ts=card["ts"],
        action_id="approval.approve",
        confirm=True,
    )
    await demo.card(thread, "Approved")
    return time.perf_counter() - begun


async def _get(demo: Demo, path: str) -> None:
    async with demo.http.get(f"{demo.server}{path}") as answer:
        assert answer.status == 200
        await answer.read()


@asynccontextmanager
async def running() -> AsyncIterator[Demo]:
    """`countersign demo` on free ports, ended with the end of its standard input."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERSIGN_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bot",
        "demo",
        env={**environment, "COUNTERSIGN_PORT": "0", "COUNTERSIGN_SANDBOX_PORT": "0"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        found: dict[str, str] = {}
        async with asyncio.timeout(STARTS_WITHIN):
            while len(found) < 2:
                line = (await process.stdout.readline()).decode()
                assert line, "the demo has ended"
                if said := re.match(r"(API and dashboard|Slack sandbox): (http://[^/\s]+)", line.strip()):
                    found[said.group(1)] = said.group(2)
        async with ClientSession(connector=TCPConnector(limit=0)) as http:
            demo = Demo(found["API and dashboard"], found["Slack sandbox"], http)
            await demo.meet()
            yield demo
    finally:
        process.stdin.close()
        await process.wait()

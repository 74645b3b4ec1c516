"""The outbox against a Slack that limits rates: a backlog of cards, and what comes while it waits.

The local workspace answers 429 with Retry-After at the limits that Slack documents (`bot/sandbox/rates.py`), and, in
the second line, at half of them: the pace that the product keeps is then too fast, and 429 is what slows it.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent_runtime import Agent, AgentHandle, AgentRuntime, Approval, tool
from agent_runtime.core.approval import ApprovalRequest
from agent_runtime.store.approvals import OF_EXECUTION
from agent_runtime.store.outbox import APPROVAL_CARD, UNDELIVERED
from benchmarks.extent import FULL
from benchmarks.measuring import Figures, at_once
from benchmarks.product import AGENT, Scripted, first, second
from benchmarks.table import show
from bot.sandbox.app import Sandbox, running_sandbox
from bot.sandbox.config import SandboxConfig
from bot.sandbox.workspace.messages import Message

LIMITS = {"Slack's limits": 1.0, "half of them": 0.5}
BACKLOG = 120 if FULL else 20
"""Cards in one channel at Slack's limits; fewer where they are lower."""

CHANNEL, OTHER_CHANNEL, REVIEWER = "C0APPROVALS", "C0ESCALATE1", "U0REVIEWER1"
WITHIN = 600.0
"""Seconds for anything that is waited for."""


@tool(approval=Approval(channel=OTHER_CHANNEL))
async def refund_elsewhere(order: int) -> dict[str, Any]:
    """The gated step, shown in another channel."""
    return {"ok": True, "order": order}


ELSEWHERE = Agent("bench_elsewhere", tools=[first, second, refund_elsewhere])


async def run(folder: Path) -> None:
    """Both at the same time: they mostly wait, each on a workspace and a database of its own."""
    async with asyncio.TaskGroup() as both:
        measured = {
            name: both.create_task(measure(folder / f"slack-{number}", scale, round(BACKLOG * scale)))
            for number, (name, scale) in enumerate(LIMITS.items())
        }
    show("a rate-limited Slack", {name: one.result() for name, one in measured.items()})


async def measure(folder: Path, scale: float, backlog: int) -> Figures:
    """A backlog of cards in one channel, and while it waits one more there, one in another channel, and a decision.

    `scale`: how much the workspace allows of what Slack does.
    """
    folder.mkdir()
    async with _opened(folder, scale) as desk:
        ids = await at_once(lambda number: desk.start(AGENT, number), range(backlog))
        same, other = await desk.start(AGENT, backlog), await desk.start(ELSEWHERE, 1)
        redrawn = await desk.decides_one(ids)
        await desk.delivered()
        cards, elsewhere = desk.cards(CHANNEL), desk.cards(OTHER_CHANNEL)
        posted = sorted(_at(card) for card in cards)
        shown = {_about(card) for card in [*cards, *elsewhere]}
        assert shown == {await desk.approval(execution_id) for execution_id in (*ids, same, other)}
        answers = Counter(record["status"] for record in desk.sandbox.server.calls.records())
        return {
            "cards": len(posted),
            "doubled": len(cards) + len(elsewhere) - len(shown),
            "a minute": (len(posted) - 1) / (posted[-1] - posted[0]) * 60,
            "allowed a minute": 60 * scale,
            "answered 429": answers[429],
            "one more there s": await desk.delay(CHANNEL, same),
            "one elsewhere s": await desk.delay(OTHER_CHANNEL, other),
            "decision redrawn s": redrawn,
        }


@dataclass
class _Desk:
    """A runtime that shows its approvals in a workspace."""

    runtime: AgentRuntime
    sandbox: Sandbox

    async def start(self, agent: Agent, number: int) -> str:
        """Returns once it waits for people."""
        handle = await self.runtime.start_async(agent, f"order {number}")
        assert (await handle.get_status_async()).is_waiting
        return handle.execution_id

    async def decides_one(self, ids: list[str]) -> float:
        """Approves the one whose card is there first; the seconds until that says so."""
        await _until(lambda: self.cards(CHANNEL))
        card = self.cards(CHANNEL)[0]
        of = {await self.approval(execution_id): execution_id for execution_id in ids}
        begun = time.time()
        await AgentHandle(of[_about(card)], self.runtime).approve_async()
        await _until(lambda: card.edited_ts)
        return float(card.edited_ts or 0) - begun

    async def delivered(self) -> None:
        """Until nothing waits in the outbox."""
        async with asyncio.timeout(WITHIN):
            while (await self.runtime.replica.database.all(UNDELIVERED))[0].n:
                await asyncio.sleep(0.1)

    async def delay(self, channel: str, execution_id: str) -> float:
        """Seconds from the request of an execution's approval to its card."""
        asked = await self._asked(execution_id)
        card = next(card for card in self.cards(channel) if _about(card) == asked.approval_request_id)
        return _at(card) - asked.created_at / 1e6

    async def approval(self, execution_id: str) -> str:
        """The id of what an execution has asked."""
        return (await self._asked(execution_id)).approval_request_id

    def cards(self, channel: str) -> list[Message]:
        """The cards in a channel, as they came."""
        messages = self.sandbox.server.workspace.logs[channel].top_level()
        return [m for m in messages if m.metadata and m.metadata["event_payload"]["topic"] == APPROVAL_CARD]

    async def _asked(self, execution_id: str) -> ApprovalRequest:
        [approval] = await self.runtime.replica.database.all(OF_EXECUTION, b_execution=execution_id)
        return approval


@asynccontextmanager
async def _opened(folder: Path, scale: float) -> AsyncIterator[_Desk]:
    async with running_sandbox(SandboxConfig(rate_limit_scale=scale)) as sandbox:
        settings = {
            "SLACK_BOT_TOKEN": sandbox.config.bot_token,
            "SLACK_APP_TOKEN": sandbox.config.app_token,
            "COUNTERSIGN_SLACK_API_URL": sandbox.api_url,
            "COUNTERSIGN_APPROVALS_CHANNEL": CHANNEL,
            "COUNTERSIGN_REVIEWERS": REVIEWER,
        }
        env_file = folder / "settings.env"
        env_file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        database_url = f"sqlite+aiosqlite:///{folder / 'countersign.db'}"
        async with AgentRuntime(database_url, env_file=str(env_file), model=Scripted()) as runtime:
            await runtime.deploy_async(AGENT, ELSEWHERE)
            [slack] = runtime.replica.surfaces
            await _until(lambda: slack.status()["state"] == "connected")
            yield _Desk(runtime, sandbox)


def _about(card: Message) -> str:
    return str((card.metadata or {})["event_payload"]["id"])


def _at(card: Message) -> float:
    """Epoch seconds of the post."""
    return float(card.ts)


async def _until(there: Callable[[], object]) -> None:
    async with asyncio.timeout(WITHIN):
        while not there():
            await asyncio.sleep(0.01)

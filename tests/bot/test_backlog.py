"""Slack is away while many approvals are asked for: each reaches the reviewers in the end, and none twice.

COUNTERSIGN_TEST_BACKLOG says how many (1000 is what is promised), COUNTERSIGN_TEST_PACE how many times faster than
Slack's own limits it goes, on both sides (1: as in earnest, a card a second and channel).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from pathlib import Path

import pytest

from agent_runtime.core.approval import ApprovalRequest
from agent_runtime.delivery.pacing import Pacing
from agent_runtime.store.outbox import UNDELIVERED
from bot.sandbox.app import running_sandbox
from bot.sandbox.config import SandboxConfig
from tests.bot.desk import Desk, connected, open_desk
from tests.bot.seeing import action_ids, until
from tests.bot.workspace import APPROVALS

CARDS = int(os.environ.get("COUNTERSIGN_TEST_BACKLOG", "60"))
PACE = float(os.environ.get("COUNTERSIGN_TEST_PACE", "50"))
LONGEST = CARDS / PACE * 4 + 30
LOST = 3
"""Posts that landed just before the outage, and whose answers got lost."""

HALF_AN_HOUR = 30 * 60


@pytest.mark.timeout(LONGEST + 60)
async def test_an_outage_with_a_backlog(tmp_path: Path) -> None:
    config = SandboxConfig(time_scale=0.01, rate_limit_scale=PACE)
    async with running_sandbox(config) as sandbox, open_desk(sandbox, tmp_path / "countersign.db") as desk:
        await connected(desk)
        desk.outbox.lanes.pacing = Pacing(desk.outbox.notifier.burst, desk.outbox.notifier.interval / PACE)
        await desk.post("/faults", {"lost_response": {"method": "chat.postMessage", "count": LOST}})
        asked = [await proposed(desk) for _ in range(LOST)]
        await until(lambda: has_cards(desk, LOST), "some landed")
        await desk.post("/faults", {"status_5xx": {"method": "*"}})
        asked += [await proposed(desk) for _ in range(CARDS - LOST)]
        await until(lambda: tried(desk, min(CARDS, 8)), "they were tried")
        desk.clock.forward(HALF_AN_HOUR)
        assert len(await open_cards(desk)) == LOST

        await desk.post("/faults", {})
        began, cpu = time.monotonic(), time.process_time()
        while not await nothing_waits(desk):
            assert time.monotonic() - began < LONGEST, f"{len(await open_cards(desk))} of {CARDS}"
            await asyncio.sleep(0.2)
        print(f"{CARDS} cards in {time.monotonic() - began:.1f} s, {time.process_time() - cpu:.1f} s of CPU")  # noqa: T201
        print(Counter((r["method"], r["status"]) for r in (await desk.get("/calls"))["calls"]))  # noqa: T201
        shown = await open_cards(desk)
        assert Counter(shown) == Counter(approval.approval_request_id for approval in asked)


async def proposed(desk: Desk) -> ApprovalRequest:
    return await desk.proposes(await desk.started_by_operator())


async def open_cards(desk: Desk) -> list[str]:
    """The approvals that have a card with buttons, one entry a card."""
    cards = [message for message in await desk.messages(APPROVALS) if action_ids(message)]
    return [card["metadata"]["event_payload"]["id"] for card in cards]


async def has_cards(desk: Desk, count: int) -> bool:
    return len(await open_cards(desk)) == count


async def tried(desk: Desk, count: int) -> bool:
    calls = (await desk.get("/calls", method="chat.postMessage"))["calls"]
    return sum(call["status"] == 503 for call in calls) >= count


async def nothing_waits(desk: Desk) -> bool:
    waiting = await desk.database.one(UNDELIVERED)
    return waiting is not None and waiting.n == 0

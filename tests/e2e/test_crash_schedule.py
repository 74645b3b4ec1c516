"""kill -9 of the server at random moments, while people ask and decide; in the end everything has happened once."""

from __future__ import annotations

import asyncio
import random
import re
from dataclasses import dataclass, field

import pytest

from tests.e2e.conftest import NewStack
from tests.e2e.room import DECIDE, Room, Thread, buttons, shown
from tests.e2e.stack import REVIEWER, REVIEWER_2, Json, Stack
from tests.e2e.test_crash import shows_the_truth

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

REFUND = "refund_agent Customer Alex (cust_001) wants a refund on order ORD-8821"
KILLS = {"sqlite": 4, "postgresql": 2}
"""On PostgreSQL only the end of a lease tells that a worker is dead, so that each kill takes its time."""

LONGEST_LIFE = 1.2
"""Seconds that a server lives at most, once it is connected, before it is killed."""

COMES_TO_AN_END_WITHIN = 60.0


@dataclass
class Reviewers:
    """Two people who decide whatever they see. A click that nobody acknowledges is made again."""

    stack: Stack
    threads: list[Thread] = field(default_factory=list)

    async def work(self) -> None:
        """For ever; cancel it to send them home."""
        while True:
            for thread in list(self.threads):
                for message in await thread.messages():
                    if buttons(message) == DECIDE:
                        both = [self.click(who, message, "approval.approve") for who in (REVIEWER, REVIEWER_2)]
                        await asyncio.gather(*both)
                    elif "in_doubt.happened" in buttons(message):
                        await self.settle(message)
            await asyncio.sleep(0.05)

    async def settle(self, message: Json) -> None:
        """They look where the effect would show, and say what they found."""
        (execution_id,) = set(re.findall(r"exe_[0-9a-f]+", shown(message)))
        if not self.stack.effects(execution_id):
            await self.click(REVIEWER, message, "in_doubt.not_happened")
            return
        await self.click(REVIEWER, message, "in_doubt.happened")
        for view in (await self.stack.workspace("GET", "/views", query={"user": REVIEWER}))["views"]:
            values = {"answer": {"text": '{"refunded": true}'}}
            await self.try_to(f"/views/{view['id']}/submit", {"user": REVIEWER, "values": values})
            await self.try_to(f"/views/{view['id']}/close", {"user": REVIEWER, "clear": True})

    async def click(self, user: str, message: Json, action_id: str) -> None:
        where = {"channel": message["channel"], "message_ts": message["ts"]}
        await self.try_to("/actions", {"user": user, **where, "action_id": action_id, "confirm": True})

    async def try_to(self, path: str, body: Json) -> None:
        """What is on the screen may be gone by now, and the server may be away."""
        async with self.stack.http.post(f"{self.stack.sandbox.url}/sandbox/api{path}", json=body) as answer:
            assert answer.status in {200, 404}, await answer.text()


@pytest.mark.variants("sqlite-socket", "postgresql-http")
@pytest.mark.parametrize("seed", [20])
async def test_kills_at_random_moments(new_stack: NewStack, seed: int) -> None:
    chance = random.Random(seed)
    stack = await new_stack(time_scale=0.08)
    reviewers = Reviewers(stack)
    working = asyncio.create_task(reviewers.work())
    try:
        for _ in range(KILLS[stack.variant.database]):
            lives = chance.uniform(0.0, LONGEST_LIFE)
            for asks_after in sorted(chance.uniform(0.0, lives) for _ in range(3)):
                reviewers.threads.append(await asks(stack))
                await asyncio.sleep(asks_after / 3)
            await stack.kill_server()
            await stack.start_server()
            # Slack delivers what the crash has cut off again, three times at most: before the next one it gets through.
            for thread in reviewers.threads[-3:]:
                await thread.execution(COMES_TO_AN_END_WITHIN)
        for thread in reviewers.threads:
            await ends_once(thread)
    finally:
        working.cancel()
        (ended,) = await asyncio.gather(working, return_exceptions=True)
    assert isinstance(ended, asyncio.CancelledError), ended


async def asks(stack: Stack) -> Thread:
    return await Room(stack, stack.new_room()).asks(REFUND)


async def ends_once(thread: Thread) -> None:
    await thread.ends(within=COMES_TO_AN_END_WITHIN)
    assert len(await thread.effects()) == 1
    await shows_the_truth(thread)

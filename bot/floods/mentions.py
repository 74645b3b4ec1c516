"""Mentions faster than executions can be started: what is acknowledged is started once, or answered."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass

from agent_runtime.conformance.answering import Answers
from agent_runtime.conformance.figures import Finding
from agent_runtime.conformance.flooded import Target
from agent_runtime.conformance.waiting import until
from bot.floods.workspace import REQUESTERS, Flooded, again, clicks_in

GUEST = "U0GUEST0001"
GUESTS = 5
"""Mentions by somebody who may start nothing, each in a thread of its own; in the first flood of this length."""
LONG_ENOUGH = 0.5

REPEATED = 10
"""Every so many events one comes twice."""

TOLD_WITHIN = 45.0
"""Seconds: an answer waits for its turn as long as 30."""


@dataclass
class Mentions:
    """Floods of mentions in one workspace."""

    workspace: Flooded
    _guests_came: bool = False

    async def run(self, target: Target, seconds: float, each_second: float) -> Finding:
        """So many seconds of them, with the reviewer's clicks amid them."""
        began = time.monotonic()
        workspace, answers, honest = self.workspace, Answers(), Answers()
        flood = next(workspace.numbers)
        mentions = [
            workspace.mention_request(f"Ev{flood}F{number}", REQUESTERS[number % len(REQUESTERS)])
            for number in range(round(seconds * each_second))
        ]
        guests = []
        if seconds >= LONG_ENOUGH and not self._guests_came:  # what they are told waits behind all other answers
            self._guests_came = True
            guests = [
                workspace.mention_request(f"Ev{flood}G{number}", GUEST, thread=await self._thread(target))
                for number in range(GUESTS)
            ]
        sent = [
            *itertools.chain(*([one, again(one)] if n % REPEATED == 0 else [one] for n, one in enumerate(mentions)))
        ]
        sent[len(sent) // 2 : len(sent) // 2] = guests
        approvals = await target.ask_for(f"clicked-in-{flood}", clicks_in(seconds))
        before = workspace.told(GUEST)
        flooding = asyncio.create_task(workspace.send_all(target, sent, answers, each_second))
        try:
            await workspace.clicks(target, approvals, honest)
        finally:
            await flooding
        lost = await workspace.not_started(target.database, [name for name in answers.acknowledged if "F" in name])
        lost += await self._not_told(before, len({name for name in answers.acknowledged if "G" in name}))
        undecided = await workspace.undecided(target, approvals)
        return Finding(
            "P14",
            f"{each_second:g} mentions a second",
            {
                **answers.figures(),
                "acknowledged and lost": len(lost),
                "honest clicks meanwhile": len(honest.seconds),
                "s for the slowest click": round(honest.slowest, 2),
            },
            (*lost, *answers.violations, *honest.violations, *undecided),
            time.monotonic() - began,
        )

    async def _thread(self, target: Target) -> str:
        """The ts of a message of the guest's, in whose thread they go on."""
        sandbox = self.workspace.sandbox
        said = {"user": GUEST, "channel": sandbox.config.channels[0].id, "text": "hello"}
        async with target.http.post(f"{sandbox.url}/sandbox/api/messages", json=said) as answer:
            return str((await answer.json())["ts"])

    async def _not_told(self, before: int, acknowledged: int) -> list[str]:
        """Whether the workspace shows the guest fewer answers than there should be."""

        async def told() -> bool:
            return self.workspace.told(GUEST) - before >= acknowledged

        if await until(told, within=TOLD_WITHIN):
            return []
        return [
            f"{GUEST}: {acknowledged} mentions were acknowledged, and {self.workspace.told(GUEST) - before} answered"
        ]

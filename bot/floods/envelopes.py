"""Envelopes in Socket Mode faster than they are answered: what is acknowledged is there once, the rest comes again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent_runtime.conformance.agents import REVIEWER
from agent_runtime.conformance.answering import IN_TIME
from agent_runtime.conformance.doors import Shown
from agent_runtime.conformance.figures import Finding, percentile
from agent_runtime.conformance.flooded import FloodSizes, Target
from bot.floods.workspace import CLICK_EVERY, REQUESTERS, Flooded, clicks_in
from bot.sandbox.delivery.outgoing import Outgoing

BRINGS_AGAIN = 3
"""Times that Slack delivers an event again (docs.slack.dev/apis/events-api#retries)."""

OF_THESE = 200
GENTLY = 50.0
"""How many of those that were not taken come again, and how many a second; Slack spreads them over minutes."""


@dataclass
class Acks:
    """What was acknowledged, how fast, and what was not."""

    acknowledged: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)


@dataclass
class Envelopes:
    """A server in Socket Mode on the same workspace, and floods through its connections."""

    workspace: Flooded
    mode: str = "Socket Mode"

    @property
    def environment(self) -> Mapping[str, str]:
        return {**self.workspace.environment, "SLACK_APP_TOKEN": self.workspace.sandbox.config.app_token}

    async def ready(self, target: Target) -> None:
        await self.workspace.ready(target)

    async def run(self, target: Target, sizes: FloodSizes) -> Sequence[Finding]:
        """Mentions of all, and the reviewer's clicks amid them; each sent through any of the connections."""
        began = time.monotonic()
        flood = next(self.workspace.numbers)
        events = {
            f"Ev{flood}S{number}": self._mention(f"Ev{flood}S{number}", number)
            for number in range(round(sizes.seconds * sizes.each_second))
        }
        approvals = await target.ask_for(f"clicked-through-{flood}", clicks_in(sizes.seconds))
        flooding = asyncio.create_task(self._send_all(events, sizes.each_second))
        clicks = await self._clicks(approvals)
        first = await flooding
        acknowledged = {*first.acknowledged}
        unheard = {name: events[name] for name in first.silent[:OF_THESE]}
        brought_again = len(unheard)
        for retry in range(1, BRINGS_AGAIN + 1):
            brought = await self._send_all(unheard, GENTLY, retry)
            acknowledged |= {*brought.acknowledged}
            unheard = {name: events[name] for name in brought.silent}
        lost = await self.workspace.not_started(target.database, sorted(acknowledged))
        undecided = await self.workspace.undecided(target, approvals)
        slow = [f"an ack took {took:.1f} s" for took in (*first.seconds, *clicks.seconds) if took > IN_TIME]
        return (
            Finding(
                "P14",
                f"{sizes.each_second:g} mentions a second through Socket Mode",
                {
                    "sent": len(events),
                    "acknowledged at once": len(first.acknowledged),
                    "not taken": len(first.silent),
                    "of these brought again": brought_again,
                    "and not taken then": len(unheard),
                    "acknowledged and lost": len(lost),
                    "s at the 99th percentile": round(percentile(first.seconds, 0.99), 2),
                    "s at most": round(max(first.seconds, default=0.0), 2),
                    "honest clicks meanwhile": len(clicks.acknowledged),
                    "s for the slowest click": round(max(clicks.seconds, default=0.0), 2),
                },
                (
                    *lost,
                    *slow,
                    *undecided,
                    *(f"{name}: not acknowledged when it came the last time" for name in unheard),
                    *(f"{name}: the click of who may decide was not acknowledged" for name in clicks.silent),
                ),
                time.monotonic() - began,
            ),
        )

    async def _clicks(self, approvals: Sequence[Shown]) -> Acks:
        """The reviewer decides on one after the other; Slack brings a click once."""
        acks = Acks()
        for shown in approvals:
            click = Outgoing("interactive", self.workspace.click(shown, REVIEWER))
            await self._deliver(shown.approval_request_id, click, acks)
            await asyncio.sleep(CLICK_EVERY)
        return acks

    async def _send_all(self, events: Mapping[str, Outgoing], each_second: float, retry: int = 0) -> Acks:
        """At that rate, whether those before are acknowledged or not; for the `retry`-th time."""
        acks, began = Acks(), time.monotonic()
        async with asyncio.TaskGroup() as sending:
            for number, (name, event) in enumerate(events.items()):
                if (ahead := began + number / each_second - time.monotonic()) > 0:
                    await asyncio.sleep(ahead)
                again = Outgoing(event.kind, event.payload, retry, "timeout" if retry else "")
                sending.create_task(self._deliver(name, again, acks))
        return acks

    async def _deliver(self, name: str, outgoing: Outgoing, acks: Acks) -> None:
        began = time.monotonic()
        ack = await self.workspace.sandbox.server.socket_mode.deliver(outgoing)
        if ack.ok:
            acks.seconds.append(time.monotonic() - began)
        (acks.acknowledged if ack.ok else acks.silent).append(name)

    def _mention(self, event_id: str, number: int) -> Outgoing:
        return Outgoing("events_api", self.workspace.mention(event_id, REQUESTERS[number % len(REQUESTERS)]))

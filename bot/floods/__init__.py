"""Floods from Slack for `countersign conformance`: mentions, clicks, bad bodies and envelopes, faster than they can be
answered.

What is acknowledged is looked for afterwards: as an execution, as the one decision, or as words to whoever asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from agent_runtime.conformance.figures import Finding
from agent_runtime.conformance.flooded import DoorFloods, FloodSizes, Target
from bot.floods.clicks import many, one
from bot.floods.envelopes import Envelopes
from bot.floods.mentions import Mentions
from bot.floods.slack_bodies import slack_bodies, slowly
from bot.floods.workspace import STRANGER, Flooded
from bot.sandbox.app import running_sandbox
from bot.sandbox.config import DEFAULT_USERS, SandboxConfig, UserConfig

CLICKS_ON_ONE = 500


@dataclass
class SlackFloods:
    """One workspace, and floods from it over HTTP; `doors` are others that its requests come through."""

    workspace: Flooded
    doors: Sequence[DoorFloods] = ()
    mode: str = "HTTP mode"
    _mentions: Mentions = field(init=False)

    def __post_init__(self) -> None:
        self._mentions = Mentions(self.workspace)

    @property
    def environment(self) -> Mapping[str, str]:
        secret = self.workspace.sandbox.config.signing_secret
        return {**self.workspace.environment, "SLACK_SIGNING_SECRET": secret}

    async def ready(self, target: Target) -> None:
        await self.workspace.ready(target)

    async def run(self, target: Target, sizes: FloodSizes) -> Sequence[Finding]:
        seconds, each_second = sizes.seconds, sizes.each_second
        async with asyncio.TaskGroup() as beside:
            slow = beside.create_task(slowly(target, sizes.slow))
            return (
                await self._mentions.run(target, seconds, each_second),
                await one(self.workspace, target, round(min(CLICKS_ON_ONE, seconds * each_second))),
                await many(self.workspace, target, seconds, each_second),
                await slack_bodies(self.workspace, target, sizes.bodies, slow),
            )


@asynccontextmanager
async def slack_floods(strangers: int) -> AsyncIterator[SlackFloods]:
    """A workspace of its own, with so many people in it who may decide nothing."""
    more = (UserConfig(id=f"{STRANGER}{number:02}", name=f"Stranger {number}") for number in range(strangers))
    config = SandboxConfig(time_scale=0.01, bot_events=(), users=(*DEFAULT_USERS, *more))
    async with running_sandbox(config) as sandbox:
        workspace = Flooded(sandbox)
        yield SlackFloods(workspace, doors=(Envelopes(workspace),))

"""A local workspace for `countersign conformance`: servers that are killed post there, and what they left is read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import zip_longest
from typing import Any

from agent_runtime.delivery.views import approval_view, execution_view
from agent_runtime.store.database import Database
from agent_runtime.store.outbox import APPROVAL_CARD, EXECUTION_PROGRESS, EXECUTION_RESULT
from bot.sandbox import posting
from bot.sandbox.app import Sandbox, running_sandbox
from bot.sandbox.config import ChannelConfig, SandboxConfig
from bot.sandbox.workspace.messages import Message as Posted
from bot.slack.history import EVENT_TYPE
from bot.slack.origin import Origin
from bot.ui.card import card
from bot.ui.message import Message
from bot.ui.progress import progress, result
from bot.ui.text import Workspace

CHANNELS = 4

_GIVEN = frozenset({"block_id", "action_id"})
"""What Slack gives to blocks that come without."""

Found = dict[tuple[str, str], list[Posted]]
"""Messages by topic and what they are about."""


class LocalWorkspace:
    """See agent_runtime.conformance.messages.Workspace."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        config = sandbox.config
        self.channels: Sequence[str] = [channel.id for channel in config.channels]
        self.environment: Mapping[str, str] = {
            "SLACK_BOT_TOKEN": config.bot_token,
            "SLACK_SIGNING_SECRET": config.signing_secret,
            "COUNTERSIGN_SLACK_API_URL": sandbox.api_url,
        }

    def asked(self, number: int) -> Mapping[str, Any]:
        """Somebody asks there for an execution; its origin."""
        server, config = self._sandbox.server, self._sandbox.config
        channel, user = self.channels[number % len(self.channels)], config.users[0].id
        question = Posted(channel=channel, ts=server.clock.next_ts(), user=user, text="Go on, please.")
        posting.post(server, question)
        return Origin(config.team_id, channel, question.ts, question.ts, user).as_json()

    def messages(self) -> int:
        """How many messages the app posted."""
        return len(self._posted())

    async def read(
        self, database: Database, execution_ids: Sequence[str], approval_request_ids: Sequence[str]
    ) -> Sequence[str]:
        """What is wrong with what is shown of these: twice, not at all, or not as they ended."""
        config = self._sandbox.config
        workspace = Workspace(config.team_id, config.bot_user_id)
        found: Found = defaultdict(list)
        places: dict[tuple[str, ...], int] = defaultdict(int)
        for message in self._posted():
            marks = {name: str(value) for name, value in (message.metadata or {})["event_payload"].items()}
            found[marks["topic"], marks["id"]].append(message)
            places[tuple(marks[name] for name in sorted(marks))] += 1
        wrong = [f"{' '.join(marks)}: stands there {count} times" for marks, count in places.items() if count > 1]
        for approval_request_id in approval_request_ids:
            approval = await approval_view(database, approval_request_id)
            assert approval is not None
            expected = card(approval, workspace, database.clock())
            wrong += _differences(APPROVAL_CARD, approval_request_id, expected, found)
        for execution_id in execution_ids:
            execution = await execution_view(database, execution_id)
            assert execution is not None
            wrong += _differences(EXECUTION_PROGRESS, execution_id, progress(execution, workspace, {}), found)
            wrong += _differences(EXECUTION_RESULT, execution_id, result(execution.execution, workspace), found)
        return wrong

    def _posted(self) -> list[Posted]:
        logs = self._sandbox.server.workspace.logs
        return [
            message
            for channel in self.channels
            for message in logs[channel]
            if message.metadata is not None and message.metadata.get("event_type") == EVENT_TYPE
        ]


@asynccontextmanager
async def local_workspace() -> AsyncIterator[LocalWorkspace]:
    """A workspace that takes messages as fast as they come and tells nobody of them."""
    channels = tuple(ChannelConfig(id=f"C0CONFORM{n:02}", name=f"conformance-{n}") for n in range(CHANNELS))
    config = SandboxConfig(channels=channels, bot_events=(), rate_limits=False, time_scale=0.01)
    async with running_sandbox(config) as sandbox:
        yield LocalWorkspace(sandbox)


def _differences(topic: str, subject: str, expected: Message, found: Found) -> list[str]:
    messages = found[topic, subject]
    if len(messages) != 1:
        return [f"{topic} {subject}: there are {len(messages)}, not one"]
    stands = [messages[0].text, *_without_ids(messages[0].blocks)]
    wanted = [expected.text, *_without_ids(expected.blocks)]
    for shown, due in zip_longest(stands, wanted):
        if shown != due:
            return [f"{topic} {subject}: it shows {shown}, not {due}"]
    return []


def _without_ids(blocks: Any) -> Any:
    if isinstance(blocks, list):
        return [_without_ids(block) for block in blocks]
    if isinstance(blocks, dict):
        return {name: _without_ids(value) for name, value in blocks.items() if name not in _GIVEN}
    return blocks

"""What listeners work with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from agent_runtime.delivery.pacing import Pacing
from agent_runtime.store.database import Database
from bot.listeners.later import Later
from bot.settings import SlackSettings
from bot.slack.client import SlackClient
from bot.slack.directory import Directory
from bot.slack.identity import Identity
from bot.ui.text import Workspace

ANSWERS_AT_ONCE = 50
ANSWER_EVERY = 0.6
"""Seconds: Slack takes 100 a minute."""


@dataclass(frozen=True, slots=True)
class Context:
    """The database and the workspace; `identity` raises LookupError before Slack has said whose bot this is."""

    settings: SlackSettings
    database: Database
    client: SlackClient
    directory: Directory
    identity: Callable[[], Identity]
    workspace: Callable[[], Workspace]
    channel_agents: Mapping[str, str] = field(default_factory=dict)
    """The agent that is meant in a channel where a mention names none (checkpoints.toml)."""
    later: Later = field(default_factory=Later)
    pacing: Pacing = field(default_factory=partial(Pacing, ANSWERS_AT_ONCE, ANSWER_EVERY))
    """Of answers to people."""

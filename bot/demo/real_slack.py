"""The demo in one's own Slack workspace: real tokens, the sample agents, the scripted model instead of a paid one."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.errors import InvalidSetting
from agent_runtime.operations.start import Start, start
from agent_runtime.store.database import Database
from bot.demo.child import Child
from bot.demo.supervisor import SAMPLES, STOPS_WITHIN, drain, ready_url, say, server_url, start_server, until_stopped
from bot.demo.workspace import REFUND
from bot.settings import SlackSettings
from bot.slack.reviewers import SELF_APPROVAL

AGENT = "refund_agent"

_USER = re.compile(r"[UW][A-Z0-9]{2,}", re.ASCII)
_MODELS = ("OPENAI_", "ANTHROPIC_", "COUNTERSIGN_MODEL")


def check(settings: SlackSettings) -> None:
    """Raises InvalidSetting naming what is missing for a card to be shown and decided."""
    if settings.mode == "off":
        raise InvalidSetting(
            "SLACK_BOT_TOKEN: it is missing; create the app with `countersign manifest`, install it, and set "
            "SLACK_BOT_TOKEN and SLACK_APP_TOKEN here or in .env (docs/slack.md; `countersign demo` needs no Slack)"
        )
    if not settings.reviewers:
        raise InvalidSetting(
            "COUNTERSIGN_REVIEWERS: nobody may decide yet; set it to the ids of one or more people (in Slack: profile "
            "→ ⋮ → Copy member ID), @group-handles or e-mail addresses. One is enough for the first card, which the "
            f"operator of this machine asks for; of what is asked for in Slack, {SELF_APPROVAL}"
        )
    if not settings.approvals_channel and not any(map(_USER.fullmatch, settings.reviewers)):
        raise InvalidSetting(
            "COUNTERSIGN_APPROVALS_CHANNEL: the first card would have no place; set it to a channel's id (C…), or name "
            "a person's id (U…) in COUNTERSIGN_REVIEWERS, who then gets it as a direct message"
        )


def plan(settings: SlackSettings, who: str) -> list[str]:
    """What is about to happen, sentence by sentence; `who` is the bot, as Slack knows it."""
    place = settings.approvals_channel or "direct messages to the reviewers"
    kept = f"in {_shown(settings.database_url)}" if keeps(settings) else "in a temporary folder, gone afterwards"
    return [
        f"This is real: it connects to Slack as {who}, and posts there.",
        f"  · The sample agents {', '.join(SAMPLES)} run here, with a scripted model: none is asked or paid, no money moves.",
        f"  · The first card goes to {place}: a refund that the operator of this machine asks for.",
        f"  · May decide: {', '.join(settings.reviewers)}.",
        f"  · More cards come when somebody mentions the bot: @Countersign {AGENT} {REFUND}",
        f"    Of those, {SELF_APPROVAL}.",
        f"  · The state is {kept}.",
        "  · Stop any other server that uses these tokens: Slack hands each click to only one of them.",
    ]


def keeps(settings: SlackSettings) -> bool:
    """Whether COUNTERSIGN_DATABASE_URL is set."""
    return "database_url" in settings.model_fields_set


async def run_real_slack(settings: SlackSettings, port: int) -> int:
    """Runs until Ctrl-C, SIGTERM or the end of a piped standard input; the exit status."""
    folder = Path(tempfile.mkdtemp(prefix="countersign-demo-"))
    try:
        return await until_stopped(_Processes(settings, port, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Processes:
    """The scripted model and the server; Slack is somebody else's."""

    def __init__(self, settings: SlackSettings, port: int, folder: Path) -> None:
        self._port = port
        self._database_url = (
            settings.database_url if keeps(settings) else f"sqlite+aiosqlite:///{folder / 'countersign.db'}"
        )
        self._children: list[Child] = []
        self._draining: asyncio.Task[None] | None = None

    async def start(self) -> None:
        model = await Child.start("the scripted model", "bot.scripted_model", [], os.environ)
        self._children.append(model)
        environment = server_environment(os.environ, self._database_url, await ready_url(model))
        server = await start_server(self._port, environment)
        self._children.insert(0, server)
        url = await server_url(server)
        self._draining = asyncio.create_task(drain(server))
        execution_id = await self._ask()
        say(f"API and dashboard: {url}")
        say(f"The first card is on its way to Slack ({execution_id}). Press Ctrl-C to stop.")

    async def stop(self) -> None:
        """The server first, gracefully."""
        if self._draining is not None:
            self._draining.cancel()
            await asyncio.gather(self._draining, return_exceptions=True)
        for child in self._children:
            await child.stop(STOPS_WITHIN)

    async def _ask(self) -> str:
        """As `countersign executions start` does."""
        async with await Database.open(self._database_url) as database:
            started = await database.write(start, Start(AGENT, {"prompt": REFUND}), by=LOCAL_OPERATOR, via=Via.cli)
        return started.execution.execution_id


def server_environment(environment: Mapping[str, str], database_url: str, model_url: str) -> dict[str, str]:
    """The server's: Slack's settings as they are, the model's never."""
    return {name: value for name, value in environment.items() if not name.startswith(_MODELS)} | {
        "COUNTERSIGN_DATABASE_URL": database_url,
        "COUNTERSIGN_DEFAULT_AGENT": AGENT,
        "OPENAI_BASE_URL": f"{model_url}/v1",
        "OPENAI_API_KEY": "scripted",
    }


def _shown(database_url: str) -> str:
    from agent_runtime.store.url import parse_database_url

    return parse_database_url(database_url).render_as_string(hide_password=True)

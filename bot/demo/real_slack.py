"""The demo in one's own Slack workspace: real tokens, the sample agents, the scripted model instead of a paid one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from agent_runtime.core.execution import ExecutionStatus
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.errors import Conflict, InvalidSetting
from agent_runtime.operations.cancel import cancel
from agent_runtime.operations.start import Start, start
from agent_runtime.store.database import Database
from agent_runtime.store.executions import list_executions
from agent_runtime.store.outbox import UNDELIVERED
from bot.demo.child import Child
from bot.demo.supervisor import SAMPLES, STOPS_WITHIN, drain, ready_url, say, server_url, start_server, until_stopped
from bot.demo.workspace import REFUND
from bot.settings import SlackSettings
from bot.slack.reviewers import SELF_APPROVAL

AGENT = "refund_agent"

MOST_WITHDRAWN = 200
WITHDRAWN_WITHIN = 8.0
"""Executions, and seconds for Slack to be told."""

_UNDER_WAY = (ExecutionStatus.queued, ExecutionStatus.running, ExecutionStatus.waiting)
_LISTED = list_executions(status=True, agent=False, after=False)
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
    temporary = "in a temporary folder and gone afterwards; cards that are open then are withdrawn"
    kept = f"in {_shown(settings.database_url)}" if keeps(settings) else temporary
    return [
        f"This is real: it connects to Slack as {who}, and posts there.",
        f"  · The sample agents {' and '.join(SAMPLES)} run here, with a scripted model; no money moves.",
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
        self._temporary = not keeps(settings)
        self._database_url = (
            f"sqlite+aiosqlite:///{folder / 'countersign.db'}" if self._temporary else settings.database_url
        )
        self._children: list[Child] = []
        self._server: Child | None = None
        self._draining: asyncio.Task[None] | None = None

    async def start(self) -> None:
        model = await Child.start("the scripted model", "bot.scripted_model", [], os.environ)
        self._children.append(model)
        environment = server_environment(os.environ, self._database_url, await ready_url(model))
        self._server = await start_server(self._port, environment)
        self._children.insert(0, self._server)
        url = await server_url(self._server)
        self._draining = asyncio.create_task(drain(self._server))
        execution_id = await self._ask()
        say(f"API and dashboard: {url}")
        say(f"The first card is on its way to Slack ({execution_id}). Press Ctrl-C to stop.")

    async def stop(self) -> None:
        """The server first, gracefully."""
        if self._draining is not None:
            if self._temporary and self._server is not None and self._server.process.returncode is None:
                await self._withdraw()
            self._draining.cancel()
            await asyncio.gather(self._draining, return_exceptions=True)
        for child in self._children:
            await child.stop(STOPS_WITHIN)

    async def _ask(self) -> str:
        """As `countersign executions start` does."""
        async with await Database.open(self._database_url) as database:
            started = await database.write(start, Start(AGENT, {"prompt": REFUND}), by=LOCAL_OPERATOR, via=Via.cli)
        return started.execution.execution_id

    async def _withdraw(self) -> None:
        """Nobody would hear a click on a card that is left open: what is under way is cancelled, and Slack shows it."""
        async with await Database.open(self._database_url) as database:
            for status in _UNDER_WAY:
                for execution in await database.all(_LISTED, b_status=status.value, b_limit=MOST_WITHDRAWN):
                    with contextlib.suppress(Conflict):  # it has just ended by itself
                        await database.write(
                            cancel, execution.execution_id, by=LOCAL_OPERATOR, via=Via.cli, reason="the demo has ended"
                        )
            until = time.monotonic() + WITHDRAWN_WITHIN
            while time.monotonic() < until:
                left = await database.one(UNDELIVERED)
                if left is None or not left.n:
                    return
                await asyncio.sleep(0.1)


def server_environment(environment: Mapping[str, str], database_url: str, model_url: str) -> dict[str, str]:
    """The server's: Slack's settings and proxies as they are, the model's settings never, and no proxy before it."""
    direct = ",".join(filter(None, [environment.get("NO_PROXY") or environment.get("no_proxy"), "127.0.0.1"]))
    return {name: value for name, value in environment.items() if not name.startswith(_MODELS)} | {
        "COUNTERSIGN_DATABASE_URL": database_url,
        "COUNTERSIGN_DEFAULT_AGENT": AGENT,
        "OPENAI_BASE_URL": f"{model_url}/v1",
        "OPENAI_API_KEY": "scripted",
        "NO_PROXY": direct,
        "no_proxy": direct,
    }


def _shown(database_url: str) -> str:
    from agent_runtime.store.url import parse_database_url

    return parse_database_url(database_url).render_as_string(hide_password=True)

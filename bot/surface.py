"""Slack as a place where approvals are shown and decided; `bot.entry` is how the runtime finds it."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import structlog
from aiohttp import web

from agent_runtime.core.duration import SECOND
from agent_runtime.core.policy import Approval
from agent_runtime.core.principal import Actor
from agent_runtime.policy_file import load_policy_file
from agent_runtime.store.database import Database
from bot.listeners.context import Context
from bot.settings import SlackSettings
from bot.slack.client import METHODS, SlackAway, SlackClient, SlackRefused
from bot.slack.directory import UNKNOWN, Directory
from bot.slack.identity import Identity
from bot.slack.notifier import SlackNotifier
from bot.transport.admission import Admission
from bot.transport.bolt import bolt_app
from bot.transport.envelope import dispatch
from bot.transport.gate import Gate
from bot.transport.http import HttpMode
from bot.transport.socket import SocketMode
from bot.ui.text import Workspace

log = structlog.get_logger(__name__)

_PRINCIPAL = re.compile(r"slack:([A-Z0-9]+):([A-Z0-9]+)", re.ASCII)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds between tries to reach Slack, doubling."""


class SlackSurface:
    """One workspace. Slack being away is no error: it goes on trying, and what is to be shown waits in the outbox."""

    name = "slack"

    def __init__(self, database: Database, settings: SlackSettings) -> None:
        self.settings = settings
        self.approval_defaults: Approval = settings.approval_defaults()
        self._client = SlackClient(settings)
        self._directory = Directory(self._client, now=time.monotonic)
        self._identity: Identity | None = None
        self._problem = "not asked yet"
        self._background: list[asyncio.Task[None]] = []
        self._known = asyncio.Event()
        self.notifier = SlackNotifier(self._client, self._workspace, database.clock, self._known)
        self._context = Context(
            settings,
            database,
            self._client,
            self._directory,
            self._known_identity,
            self._workspace,
            load_policy_file(settings.checkpoints).channel_agents,
        )
        self._app = bolt_app(self._context)
        self._admission = Admission()
        receive = partial(dispatch, self._app)
        self._socket = SocketMode(self._client, receive, settings.slack_connections, self._admission)
        self._http = self._http_mode(database)

    async def actor(self, principal: str) -> Actor | None:
        """Who somebody in Slack is now; barred where Slack does not say. None for principals of other doors."""
        named = _PRINCIPAL.fullmatch(principal)
        if named is None:
            return None
        if self._identity is None:
            return Actor(principal, barred=UNKNOWN)
        return (await self._directory.person(self._identity, user=named[2], team=named[1])).actor

    def routes(self) -> Sequence[web.RouteDef]:
        """`POST /slack/events`, where a signing secret is set."""
        return [] if self._http is None else self._http.routes()

    async def start(self) -> None:
        """Opens it; reaching Slack goes on in the background."""
        await self._client.open()
        connecting = asyncio.create_task(self._connect(), name="countersign-slack")
        connecting.add_done_callback(self._ended)
        self._background = [connecting]

    async def stop(self) -> None:
        """Lets what has arrived be answered, then closes."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._socket.stop()
        await self._context.later.close()
        await self._directory.close()
        await self._client.close()

    def calls(self) -> Mapping[tuple[str, str], int]:
        """Calls of the Web API by method and outcome (`ok`, `refused`, `away`)."""
        return self._client.calls

    def status(self) -> Mapping[str, Any]:
        """`state` is connected, connecting or away; `problem` says why not.

        `refused` counts deliveries that came faster than they could be answered.
        """
        told: dict[str, Any] = {"mode": self.settings.mode}
        if self._identity is None:
            return {**told, "state": "away", "problem": self._problem}
        if self._client.refused_token:
            problem = f"{self._client.refused_token}; see `countersign doctor`"
            return {**told, "state": "away", "problem": problem}
        told |= {
            "team": self._identity.team_id,
            "missing_scopes": sorted(missing_scopes(self._identity)),
            "refused": self._admission.refused,
        }
        if self.settings.mode == "http":
            return {**told, "state": "connected", "received": self._http.received if self._http is not None else 0}
        connected = self._socket.connected
        if connected:
            return {**told, "state": "connected", "connections": connected}
        return {**told, "state": "connecting", "connections": 0, "problem": self._socket.problem}

    async def _connect(self) -> None:
        """Asks whose bot this is until Slack answers, then opens the connections."""
        self._identity = await self._ask_identity()
        self._known.set()
        missing = missing_scopes(self._identity)
        if missing:
            log.error("slack: scopes are missing; install the app anew with manifest.yml", missing=sorted(missing))
        log.info("slack: connected", team=self._identity.team, mode=self.settings.mode)
        if self.settings.mode == "socket":
            await self._socket.start()
        await self._directory.keep_groups_fresh()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._problem = f"{type(error).__name__}: {error}"
            log.error("slack: background work failed", exc_info=error)

    async def _ask_identity(self) -> Identity:
        pause = FIRST_PAUSE
        while True:
            try:
                return Identity.of(await self._client.auth_test())
            except (SlackRefused, SlackAway) as error:
                self._problem = str(error)
                log.warning("slack: cannot be reached; trying again", reason=self._problem, seconds=pause)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
            pause = min(LONGEST_PAUSE, pause * 2)

    def _known_identity(self) -> Identity:
        if self._identity is None:
            raise LookupError(self._problem)
        return self._identity

    def _workspace(self) -> Workspace:
        if self._identity is None:
            return Workspace()
        return Workspace(self._identity.team_id, self._identity.bot_user_id, self._directory.handles)

    def _http_mode(self, database: Database) -> HttpMode | None:
        """What Slack signed is fresh by the database's time: this process's clock may be off."""
        secret = self.settings.slack_signing_secret
        if secret is None:
            return None
        return HttpMode(self._app, Gate(secret.get_secret_value(), lambda: database.clock() / SECOND), self._admission)


def missing_scopes(identity: Identity) -> set[str]:
    """The scopes that the bot's calls need and its token lacks; none where Slack does not say which it has."""
    needed = frozenset().union(*METHODS.values())
    return set(needed - set(identity.scopes)) if identity.scopes else set()

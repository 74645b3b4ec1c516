"""The parts of the running workspace, put together. Everything that answers a request gets this object."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import aiohttp

from bot.sandbox.calls import CallLog
from bot.sandbox.config import SandboxConfig
from bot.sandbox.delivery.events import Events
from bot.sandbox.delivery.http import HttpDelivery
from bot.sandbox.delivery.outgoing import Transport
from bot.sandbox.delivery.socket_mode import SocketMode
from bot.sandbox.errors import ControlError
from bot.sandbox.faults import Faults
from bot.sandbox.interactions.response_urls import Answerable, ResponseUrls
from bot.sandbox.interactions.triggers import Triggers
from bot.sandbox.notices import Notices
from bot.sandbox.rates import RateLimiter
from bot.sandbox.workspace.channels import Channel
from bot.sandbox.workspace.clock import Clock
from bot.sandbox.workspace.workspace import Workspace


class SandboxServer:
    """One workspace with one installed app.

    Args:
        announce: told what the page asks of the app's process: `server.kill`, `server.start`.
    """

    def __init__(self, config: SandboxConfig, *, announce: Callable[[dict[str, Any]], None]) -> None:
        self.config = config
        self.base_url = ""
        self.clock = Clock()
        self.faults = Faults()
        self.workspace = Workspace(config, self.clock)
        self.limiter = RateLimiter(scale=config.rate_limit_scale, now=time.monotonic)
        self.notices = Notices()
        self.calls = CallLog()
        self.triggers = Triggers(
            config.trigger_seconds, now=time.monotonic, already_expired=lambda: self.faults.expired_trigger
        )
        self.response_urls = ResponseUrls(now=time.monotonic, time_scale=config.time_scale)
        self.socket_mode = SocketMode(
            config, now=time.monotonic, faults=lambda: self.faults, changed=self._connections_changed
        )
        self.http: HttpDelivery | None = None
        self.events = Events(config, self.clock, transport=lambda: self.transport, faults=lambda: self.faults)
        self.app_process = "running"
        self._announce = announce
        self._session: aiohttp.ClientSession | None = None

    @property
    def transport(self) -> Transport:
        """HTTP mode where a request URL is set, else Socket Mode."""
        return self.http or self.socket_mode

    async def start(self) -> None:
        # A proxy of the environment must not see what stays on this machine.
        self._session = aiohttp.ClientSession(trust_env=False, cookie_jar=aiohttp.DummyCookieJar())
        if self.config.request_url is not None:
            self.http = self._delivery_to(self.config.request_url)

    async def close(self) -> None:
        self.notices.close()
        await self.events.close()
        await self.socket_mode.close()
        if self._session is not None:
            await self._session.close()

    async def use_request_url(self, url: str | None) -> None:
        """Switches to HTTP mode once the URL has answered Slack's challenge; None switches to Socket Mode.

        Raises:
            ControlError: 422, and nothing is switched.
        """
        if url is None:
            self.http = None
            return
        delivery = self._delivery_to(url)
        problem = await delivery.verify()
        if problem is not None:
            raise ControlError(422, "url_verification_failed", problem)
        self.http = delivery

    async def set_faults(self, faults: Faults) -> None:
        self.faults, happening = faults.without_moments(), faults
        self.notices.publish("workspace", change="faults")
        if happening.drop_socket:
            self.socket_mode.drop()
        if happening.disconnect is not None:
            await self.socket_mode.disconnect(happening.disconnect)

    def reset(self) -> None:
        """The workspace as configured. Connections stay; deliveries under way are given up."""
        self.events.cancel_retries()
        self.workspace = Workspace(self.config, self.clock)
        self.faults = Faults()
        self.limiter.reset()
        self.calls.clear()
        self.notices.publish("workspace", change="reset")

    def control_app_process(self, action: str) -> None:
        """Asks whoever started this process to kill or start the app's.

        Raises:
            ControlError: 409 where nobody listens.
        """
        if not self.config.server_controls:
            raise ControlError(409, "no_server_controls", "nobody supervises the app here: set server_controls")
        self.app_process = {"kill": "stopped", "start": "running"}[action]
        self._announce({"event": f"server.{action}"})
        self.notices.publish("server", state=self.app_process)

    def is_archived(self, channel: Channel) -> bool:
        return channel.is_archived or channel.id in self.faults.archived or channel.name in self.faults.archived

    def response_url(self, answerable: Answerable, kind: str = "actions") -> str:
        return f"{self.base_url}/{kind}/{self.config.team_id}/{self.response_urls.issue(answerable)}"

    def _connections_changed(self) -> None:
        self.notices.publish("connection", count=self.socket_mode.connection_count)

    def _delivery_to(self, url: str) -> HttpDelivery:
        if self._session is None:
            raise RuntimeError("the workspace has not been started")
        return HttpDelivery(self.config, url, self._session, faults=lambda: self.faults)

"""Events: their envelope, who gets them, and Slack's retries.

Source: docs.slack.dev/apis/events-api: an event that is not acknowledged in 3 s is sent again at once, after
a minute and after five minutes, with the same event_id; then it is gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from bot.sandbox.config import SandboxConfig
from bot.sandbox.delivery.outgoing import Ack, Outgoing, Transport
from bot.sandbox.faults import Faults
from bot.sandbox.workspace.channels import Channel
from bot.sandbox.workspace.clock import Clock, random_id

RETRY_SECONDS = (0.0, 60.0, 300.0)

# Which scopes (any of them) an event needs, by the name under which apps subscribe to it.
NEEDED_SCOPES: dict[str, tuple[str, ...]] = {
    "app_mention": ("app_mentions:read",),
    "message.channels": ("channels:history",),
    "message.groups": ("groups:history",),
    "message.im": ("im:history",),
    "member_joined_channel": ("channels:read", "groups:read"),
    "member_left_channel": ("channels:read", "groups:read"),
    "reaction_added": ("reactions:read",),
    "reaction_removed": ("reactions:read",),
    "subteam_members_changed": ("usergroups:read",),
    "subteam_updated": ("usergroups:read",),
    "user_change": ("users:read",),
}

log = logging.getLogger(__name__)


class Events:
    """Publishes events to the app, each in its own background delivery."""

    def __init__(
        self,
        config: SandboxConfig,
        clock: Clock,
        *,
        transport: Callable[[], Transport],
        faults: Callable[[], Faults],
    ) -> None:
        self._config = config
        self._clock = clock
        self._transport = transport
        self._faults = faults
        self._deliveries: set[asyncio.Task[None]] = set()

    def publish(self, subscription: str, event: dict[str, Any], *, channel: Channel | None = None) -> str | None:
        """Sends `event` where the app subscribes to it, has the scope, and its bot is in the channel.

        Returns:
            The event_id, or None where the app gets nothing.
        """
        needed = NEEDED_SCOPES.get(subscription, ())
        if subscription not in self._config.bot_events or (needed and not set(needed) & set(self._config.scopes)):
            return None
        if channel is not None and self._config.bot_user_id not in channel.members:
            return None
        envelope = self._envelope(event, channel)
        for _ in range(1 + self._faults().duplicate_events):
            task = asyncio.create_task(self._deliver(envelope))
            self._deliveries.add(task)
            task.add_done_callback(self._deliveries.discard)
        return str(envelope["event_id"])

    def cancel_retries(self) -> None:
        """Gives up every delivery under way."""
        for task in self._deliveries:
            task.cancel()

    async def close(self) -> None:
        self.cancel_retries()
        await asyncio.gather(*self._deliveries, return_exceptions=True)

    async def _deliver(self, envelope: dict[str, Any]) -> None:
        reason = ""
        for retry_num, wait in enumerate((0.0, *RETRY_SECONDS)):
            await asyncio.sleep(wait * self._config.time_scale)
            ack = await self._deliver_once(Outgoing("events_api", envelope, retry_num, reason))
            if ack.ok or ack.no_retry:
                return
            reason = ack.reason
        log.warning("event %s was never acknowledged (%s)", envelope["event_id"], reason)

    async def _deliver_once(self, outgoing: Outgoing) -> Ack:
        if self._faults().loses_event():
            return Ack(False, reason="http_timeout")
        return await self._transport().deliver(outgoing)

    def _envelope(self, event: dict[str, Any], channel: Channel | None) -> dict[str, Any]:
        config = self._config
        return {
            "token": config.verification_token,
            "team_id": config.team_id,
            "context_team_id": config.team_id,
            "context_enterprise_id": None,
            "api_app_id": config.app_id,
            "event": event,
            "type": "event_callback",
            "event_id": random_id("Ev"),
            "event_time": self._clock.seconds(),
            "authorizations": [
                {
                    "enterprise_id": None,
                    "team_id": config.team_id,
                    "user_id": config.bot_user_id,
                    "is_bot": True,
                    "is_enterprise_install": False,
                }
            ],
            "is_ext_shared_channel": channel is not None and channel.is_shared,
            "event_context": random_id("4-"),
        }

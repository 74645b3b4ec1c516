"""Delivers outbound webhooks from the outbox: each receiver by itself, tried again with growing pauses, given up aloud.

At least once: a receiver that took a message whose record was lost gets it again under the same webhook-id.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog

from agent_runtime.core.canonical import canonical
from agent_runtime.core.duration import HOUR, SECOND
from agent_runtime.core.standard_webhooks import key_of
from agent_runtime.delivery.deliverer import Deliverer, Take
from agent_runtime.delivery.receivers import Message, NotTaken, Refused, Sender
from agent_runtime.delivery.webhook_rows import Sending, delivered, fan_out, give_up, postpone, take
from agent_runtime.settings import Settings
from agent_runtime.store.approvals import GET_APPROVAL
from agent_runtime.store.database import Database
from agent_runtime.store.outbox import TO_SEND
from agent_runtime.store.webhooks import CALLBACK, NOTIFY

log = structlog.get_logger(__name__)

PER_RECEIVER = 4
"""Deliveries on their way to one receiver at once."""

FIRST_RETRY, LAST_RETRY = 5.0, 3600.0
"""Seconds between tries: doubling, each shortened at random by up to a half."""

SLOW = 1.0
"""Seconds; beside a receiver that takes longer than this, others are not kept waiting for its turn."""

REMEMBERED = 1_000
"""Receivers of which is known how they fare."""

_SETTING = "COUNTERSIGN_NOTIFY_SECRET"


@dataclass(slots=True)
class Receiver:
    """What is known of one receiver while this process runs."""

    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(PER_RECEIVER))
    failures: int = 0
    paused_until: float = 0.0
    took: float = 0.0
    """Seconds that its last answer took."""


class Webhooks(Deliverer[Sending]):
    """What other systems are sent.

    Args:
        database: where the outbox is.
        sender: an open Sender.
        notify_urls: the operator's receivers.
        give_up_after: microseconds after which a message is given up.
    """

    name = "webhooks"
    topic = TO_SEND

    def __init__(
        self, database: Database, sender: Sender, notify_urls: Sequence[str] = (), give_up_after: int = 24 * HOUR
    ) -> None:
        super().__init__(database)
        self._sender = sender
        self._urls = {f"{NOTIFY}:{key(url)}": url for url in notify_urls}
        self._give_up_after = give_up_after
        self._receivers: dict[str, Receiver] = defaultdict(Receiver)
        self.counts = {"delivered": 0, "retried": 0, "dead": 0}
        """What this process did since it began."""

    def _taking(self, limit: int) -> tuple[Take[Sending], tuple[Any, ...]]:
        return take, (limit, bool(self._urls))

    def _begin_all(self, taken: Sequence[Sending]) -> int:
        for sending in taken:
            self._begin(sending.outbox_id, [sending.outbox_id], functools.partial(self._handle, sending))
        return len(taken)

    async def _handle(self, sending: Sending) -> None:
        if sending.lane == NOTIFY:
            await self.database.write(fan_out, sending, tuple(self._urls))
        else:
            await self._deliver(sending)

    async def _deliver(self, sending: Sending) -> None:
        url = await self._url(sending)
        if url is None:
            await self._give_up(sending, "this receiver is no longer in COUNTERSIGN_NOTIFY_URLS")
            return
        receiver = self._receiver(url)
        if receiver.turns.locked() and receiver.took > SLOW:
            await self._postpone(sending, "the receiver is slow", min(300.0, 5.0 * sending.attempts))
            return
        async with receiver.turns:
            left = receiver.paused_until - asyncio.get_running_loop().time()
            if left > 0:  # it just failed for another message: nothing is gained by asking again so soon
                await self._put_off(sending, "the receiver is paused after a failure", left)
                return
            await self._attempt(sending, url, receiver)

    async def _attempt(self, sending: Sending, url: str, receiver: Receiver) -> None:
        message = Message(str(sending.payload["id"]), canonical(sending.payload["message"]).encode())
        began = asyncio.get_running_loop().time()
        try:
            status = await self._sender.send(url, message, trusted=sending.lane != CALLBACK)
        except Refused as error:
            await self._give_up(sending, str(error))
            return
        except NotTaken as error:
            await self._retry(sending, receiver, error)
            return
        finally:
            receiver.took = asyncio.get_running_loop().time() - began
        receiver.failures = 0
        self.counts["delivered"] += 1
        await self.database.write(delivered, sending, key(url), status)

    def _receiver(self, url: str) -> Receiver:
        if len(self._receivers) > REMEMBERED:
            now = asyncio.get_running_loop().time()
            for name, known in list(self._receivers.items()):
                if known.paused_until <= now and not known.turns.locked():
                    del self._receivers[name]
        return self._receivers[key(url)]

    async def _url(self, sending: Sending) -> str | None:
        if sending.lane != CALLBACK:
            return self._urls.get(sending.lane)
        approval = await self.database.one(GET_APPROVAL, b_id=sending.approval_request_id)
        return None if approval is None else approval.callback_url

    async def _retry(self, sending: Sending, receiver: Receiver, error: NotTaken) -> None:
        receiver.failures += 1
        wait = error.seconds
        if wait is None:
            wait = min(LAST_RETRY, FIRST_RETRY * 2 ** min(receiver.failures - 1, 20)) * _jitter()
        receiver.paused_until = asyncio.get_running_loop().time() + wait
        log.warning("webhook not taken", lane=sending.lane, reason=str(error), again_in_seconds=round(wait, 1))
        await self._put_off(sending, str(error), wait)

    async def _put_off(self, sending: Sending, reason: str, seconds: float) -> None:
        """Later, or never: whatever keeps it from being taken, it is given up when it has waited long enough."""
        if self.database.clock() - sending.created_at >= self._give_up_after:
            await self._give_up(sending, reason)
        else:
            await self._postpone(sending, reason, seconds)

    async def _postpone(self, sending: Sending, reason: str, seconds: float) -> None:
        self.counts["retried"] += 1
        self.holds.drop({sending.outbox_id})
        await self.database.write(postpone, sending, round(seconds * SECOND), reason)

    async def _give_up(self, sending: Sending, reason: str) -> None:
        self.counts["dead"] += 1
        log.error(
            "webhook given up",
            lane=sending.lane,
            webhook_id=sending.payload["id"],
            approval_request_id=sending.approval_request_id,
            reason=reason,
        )
        await self.database.write(give_up, sending, reason)


@asynccontextmanager
async def webhooks(database: Database, settings: Settings) -> AsyncIterator[Webhooks]:
    """What delivers them as the settings say; closes its connections at the end. Raises InvalidSetting."""
    async with Sender(signing_key(settings), settings.callback_hosts, clock=database.clock) as sender:
        yield Webhooks(database, sender, settings.notify_urls, round(settings.notify_give_up_hours * HOUR))


def _jitter() -> float:
    return random.uniform(0.5, 1.0)  # noqa: S311 - spreads tries, keeps no secret


def key(url: str) -> str:
    """Names a receiver without telling its address, which may hold secrets."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]


def signing_key(settings: Settings) -> bytes | None:
    """The key of COUNTERSIGN_NOTIFY_SECRET. Raises InvalidSetting where it cannot be used."""
    secret = settings.notify_secret
    return None if secret is None else key_of(secret.get_secret_value(), _SETTING)

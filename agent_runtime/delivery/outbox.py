"""Delivers the outbox: takes due rows, shows the newest state, keeps the receipt, tries again, gives up aloud."""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import Sequence
from typing import Any

import structlog

from agent_runtime.core.duration import MINUTE, SECOND
from agent_runtime.delivery.deliverer import Deliverer, Take
from agent_runtime.delivery.lanes import LaneBusy, Lanes
from agent_runtime.delivery.notifier import Notifier, RetryAfter, Undeliverable
from agent_runtime.delivery.notifier_rows import Delivery, give_up, postpone, put_back, take
from agent_runtime.delivery.pacing import Pacing
from agent_runtime.delivery.showing import Showing
from agent_runtime.store.approvals import OF_EXECUTION
from agent_runtime.store.database import Database
from agent_runtime.store.outbox import EXECUTION_RESULT, TO_SHOW

log = structlog.get_logger(__name__)

FIRST_RETRY, LAST_RETRY = SECOND, 5 * MINUTE

GIVE_UP_AFTER = 60
"""Tries of one row that the other side refused; with the longest pauses about four and a half hours. Its being away
altogether is no reason to give up.
"""


LAST_WORD_WAITS = 5.0
"""Seconds for which the result of an execution waits for what this process has on its way about its approvals, so that
a thread reads in the order of what happened. A place that takes longer holds it up no further.
"""


class Outbox(Deliverer[Delivery]):
    """What is shown through one notifier; one a process and notifier."""

    name = "outbox"
    topic = TO_SHOW

    def __init__(self, database: Database, notifier: Notifier) -> None:
        super().__init__(database)
        self.notifier = notifier
        self.lanes = Lanes(Pacing(notifier.burst, notifier.interval))

    def _taking(self, limit: int) -> tuple[Take[Delivery], tuple[Any, ...]]:
        return take, (limit,)

    def _begin_all(self, taken: Sequence[Delivery]) -> int:
        """Each subject's rows in order, side by side with other subjects'."""
        by_subject: dict[str, list[Delivery]] = {}
        for delivery in taken:
            by_subject.setdefault(delivery.subject, []).append(delivery)
        for subject, deliveries in by_subject.items():
            ids = [each for delivery in deliveries for each in delivery.ids]
            self._begin(subject, ids, functools.partial(self._in_order, deliveries))
        self.lanes.forget_idle()
        return sum(len(delivery.ids) for delivery in taken)

    async def _in_order(self, deliveries: Sequence[Delivery]) -> None:
        """One subject's rows one after the other, so that a card is there before what is said below it."""
        ends = any(delivery.topic == EXECUTION_RESULT for delivery in deliveries)
        for delivery in deliveries:
            try:
                if ends:
                    await self._after_approvals_of(delivery.subject)
                    ends = False
                await Showing(self.database, self.notifier, self.lanes, delivery).show()
            except LaneBusy as busy:
                self.holds.drop(delivery.ids)
                await self.database.write(put_back, delivery.ids, round(busy.seconds * SECOND))
            except RetryAfter as error:
                await self._postpone(delivery, str(error), error.seconds, away=error.away)
            except Undeliverable as error:
                await self.database.write(give_up, delivery, str(error))
            except Exception as error:
                log.exception("outbox: delivery failed", topic=delivery.topic, subject=delivery.subject)
                await self._postpone(delivery, f"{type(error).__name__}: {error}", None)

    async def _after_approvals_of(self, execution_id: str) -> None:
        approvals = await self.database.all(OF_EXECUTION, b_execution=execution_id)
        asked = {approval.approval_request_id for approval in approvals} & self._on_their_way.keys()
        before = [self._on_their_way[approval_request_id] for approval_request_id in asked]
        if before:
            await asyncio.wait(before, timeout=LAST_WORD_WAITS)

    async def _postpone(self, delivery: Delivery, reason: str, seconds: float | None, *, away: bool = False) -> None:
        self.holds.drop(delivery.ids)
        if delivery.attempts >= GIVE_UP_AFTER and not away:
            await self.database.write(give_up, delivery, reason)
            return
        pause = min(LAST_RETRY, FIRST_RETRY << min(delivery.attempts, 10))
        wait = round(seconds * SECOND) if seconds is not None else round(pause * random.uniform(0.5, 1.0))  # noqa: S311
        await self.database.write(postpone, delivery.ids, wait, reason)

"""Delivers the outbox: takes due rows, shows the newest state, keeps the receipt, tries again, gives up aloud."""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from agent_runtime import failpoints
from agent_runtime.core.canonical import canonical
from agent_runtime.core.duration import MINUTE, SECOND
from agent_runtime.delivery.holds import HELD_FOR, Holds
from agent_runtime.delivery.notifier import CUT, RENDERED, Notice, Notifier, Place, Receipt, RetryAfter, Undeliverable
from agent_runtime.delivery.pacing import Pacing
from agent_runtime.delivery.views import notice, receipts
from agent_runtime.operations.sweep import start_clock
from agent_runtime.store.approvals import GET_APPROVAL_FOR_UPDATE
from agent_runtime.store.database import Database
from agent_runtime.store.events import record
from agent_runtime.store.outbox import (
    APPROVAL_CARD,
    APPROVAL_NOTE,
    APPROVAL_WARNING,
    ATTEMPTED,
    DELIVERED,
    DUE_DELIVERIES,
    EXECUTION_PROGRESS,
    GIVE_UP,
    HOLD,
    INSERT_RECEIPT,
    POSTPONE,
    PUT_BACK,
    UPDATE_RECEIPT,
    enqueue,
)
from agent_runtime.store.tx import Tx, own_rows, unshared_rows
from agent_runtime.trouble import report

log = structlog.get_logger(__name__)

IN_FLIGHT = 64
"""Subjects whose rows are on their way at once."""

REPAINTED = frozenset({APPROVAL_CARD, APPROVAL_WARNING, EXECUTION_PROGRESS})
"""Topics that are updated in place; all others are posted once."""

FIRST_RETRY, LAST_RETRY = SECOND, 5 * MINUTE
LONGEST_WAIT = 20.0
"""Seconds that a delivery waits for its lane; past it the row goes back, and others take its place meanwhile."""

GIVE_UP_AFTER = 60
"""Tries of one row that the other side refused; with the longest pauses about four and a half hours. Its being away
altogether is no reason to give up.
"""


class LaneBusy(Exception):
    """Its turn is more than LONGEST_WAIT away: `seconds`. Nothing was tried."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the lane is busy for {seconds:.0f} s")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Delivery:
    """Rows of one topic and subject that coalesce into one thing to do."""

    topic: str
    subject: str
    payload: str
    ids: tuple[int, ...]
    attempts: int


@dataclass(slots=True)
class Outbox:
    """Runs until it is stopped; one a process and notifier. Several processes share the rows."""

    database: Database
    notifier: Notifier
    pacing: Pacing = field(init=False)
    holds: Holds = field(init=False)
    _subjects: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.pacing = Pacing(self.notifier.burst, self.notifier.interval)
        self.holds = Holds(self.database)

    async def run(self) -> None:
        """Delivers what is due, for ever; cancel it to stop: what was on its way then is given back."""
        holding = asyncio.create_task(self.holds.keep(), name="countersign-outbox-holds")
        try:
            with self.database.wakes.listen("outbox") as woken:
                while True:
                    woken.clear()
                    try:
                        more = await self.deliver_due()
                    except Exception as error:  # noqa: BLE001 - reported; the next round tries again
                        report(log, "outbox: could not take what is due; trying again at the next wake", error)
                        more = False
                    if not more:
                        await woken.wait()
        finally:
            ending = [holding, *self._subjects.values()]
            for busy in ending:
                busy.cancel()
            await asyncio.gather(*ending, return_exceptions=True)
            await self.holds.give_back()

    async def deliver_due(self) -> bool:
        """Takes due rows and starts to deliver them, each subject in order; whether more may be due."""
        free = IN_FLIGHT - len(self._subjects)
        if free <= 0:
            return False
        taken = await self.database.write(take, free)
        by_subject: dict[str, list[Delivery]] = {}
        for delivery in taken:
            self.holds.add(delivery.ids)
            by_subject.setdefault(delivery.subject, []).append(delivery)
        for subject, deliveries in by_subject.items():
            before = self._subjects.get(subject)
            busy = asyncio.create_task(self._in_order(deliveries, before))
            self._subjects[subject] = busy
            busy.add_done_callback(functools.partial(self._forget, subject, deliveries))
        self.pacing.forget_idle(asyncio.get_running_loop().time())
        return len(taken) == free and len(self._subjects) < IN_FLIGHT

    async def idle(self) -> None:
        """Returns when nothing that was taken is still on its way."""
        while self._subjects:
            await asyncio.gather(*self._subjects.values(), return_exceptions=True)

    def _forget(self, subject: str, deliveries: Sequence[Delivery], done: asyncio.Task[None]) -> None:
        if not done.cancelled():
            for delivery in deliveries:
                self.holds.drop(delivery.ids)
            if (error := done.exception()) is not None:
                log.error("outbox: what was taken is left to be taken again", subject=subject, error=repr(error))
        if self._subjects.get(subject) is done:
            del self._subjects[subject]
            self.database.wakes.announce(["outbox"])

    async def _in_order(self, deliveries: Sequence[Delivery], before: asyncio.Task[None] | None) -> None:
        """One subject's rows one after the other, so that a card is there before what is said below it."""
        if before is not None:
            await asyncio.wait([before])
        for delivery in deliveries:
            try:
                await self._deliver(delivery)
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

    async def _deliver(self, delivery: Delivery) -> None:
        wanted = await self._notice(delivery)
        if wanted is None:
            await self.database.write(delivered, delivery.ids)
            return
        places = await self.notifier.places(wanted)
        shown = await receipts(self.database, self.notifier.name, delivery.topic, _receipt_subject(delivery))
        known = {receipt.place for receipt in shown}
        refused: list[str] = []
        fresh: Notice | None = wanted
        if delivery.topic in REPAINTED:
            for receipt in shown:
                if wanted.version > receipt.shown_version:  # else an earlier edit showed it, and this one costs no turn
                    await self._update(delivery, receipt, refused, fresh)
                    fresh = None
        for place in places:
            if await self._show(delivery, place, known, refused, fresh):
                known.add(place.key)
            fresh = None
        if refused and not known:
            raise Undeliverable("; ".join(refused))
        if refused:
            await self.database.write(record_undeliverable, delivery, refused)
        await self.database.write(delivered, delivery.ids)

    async def _show(
        self, delivery: Delivery, place: Place, known: set[str], refused: list[str], fresh: Notice | None
    ) -> bool:
        """Posts at the place, or at the first that takes it of those to try instead; False where none does. `fresh` is
        what is to be shown, where it was read just now.
        """
        candidates = (place, *place.instead)
        if any(candidate.key in known for candidate in candidates):
            return True
        for candidate in candidates:
            try:
                await self._post(delivery, candidate, fresh)
            except Undeliverable as error:
                refused.append(f"{candidate.key}: {error}")
            else:
                return True
            fresh = None
        return False

    async def _post(self, delivery: Delivery, place: Place, fresh: Notice | None) -> None:
        if place.over and delivery.attempts == 1:
            return
        if delivery.attempts > 1:
            if await self._found(delivery, place):
                return
            fresh = None
        if place.over:
            return
        current = await self._in_turn(delivery, place.lane, fresh)
        if current is None:
            return
        try:
            failpoints.reach("post.before", delivery.topic)
            receipt = await self.notifier.post(current, place)
            failpoints.reach("post.after", delivery.topic)
        except RetryAfter as error:
            self._block(place.lane, error)
            raise
        await self._keep(delivery, place.key, receipt, place.lane, current.version)

    async def _found(self, delivery: Delivery, place: Place) -> bool:
        """Whether an earlier post stands there whose record was lost: it is taken up, and shows the newest state."""
        current = await self._notice(delivery)
        receipt = None if current is None else await self.notifier.find(current, place)
        if current is None or receipt is None:
            return False
        if delivery.topic in REPAINTED:
            current = await self._in_turn(delivery, _edits(place.lane))
            if current is None:
                return True
            receipt = await self.notifier.update(current, Receipt(place.key, receipt)) or receipt
        await self._keep(delivery, place.key, receipt, place.lane, current.version)
        return True

    async def _update(self, delivery: Delivery, receipt: Receipt, refused: list[str], fresh: Notice | None) -> None:
        lane = str(receipt.receipt.get("lane", ""))
        current = await self._in_turn(delivery, _edits(lane), fresh)
        if current is None or current.version <= receipt.shown_version:
            return
        try:
            anew = await self.notifier.update(current, receipt)
            failpoints.reach("update.after", delivery.topic)
        except Undeliverable as error:
            refused.append(f"{receipt.place}: {error}")
            return
        except RetryAfter as error:
            self._block(_edits(lane), error)
            raise
        await self._keep(delivery, receipt.place, anew or receipt.receipt, lane, current.version)

    async def _keep(self, delivery: Delivery, place: str, receipt: Mapping[str, Any], lane: str, version: int) -> None:
        await self.database.write(keep_receipt, delivery, self.notifier.name, place, {**receipt, "lane": lane}, version)

    async def _notice(self, delivery: Delivery) -> Notice | None:
        wanted = await notice(self.database, self.notifier.name, delivery.topic, delivery.subject, delivery.payload)
        return None if wanted is None else replace(wanted, attempt=delivery.attempts)

    async def _in_turn(self, delivery: Delivery, lane: str, fresh: Notice | None = None) -> Notice | None:
        """What is to be shown once it is this delivery's turn in the lane: `fresh`, where it is at once."""
        wait = self.pacing.reserve(lane, asyncio.get_running_loop().time(), LONGEST_WAIT)
        if wait > LONGEST_WAIT:
            raise LaneBusy(wait)
        if wait > 0:
            await asyncio.sleep(wait)
            fresh = None
        return fresh or await self._notice(delivery)

    def _block(self, lane: str, error: RetryAfter) -> None:
        if error.seconds is not None:
            self.pacing.block(lane, asyncio.get_running_loop().time() + error.seconds)

    async def _postpone(self, delivery: Delivery, reason: str, seconds: float | None, *, away: bool = False) -> None:
        self.holds.drop(delivery.ids)
        if delivery.attempts >= GIVE_UP_AFTER and not away:
            await self.database.write(give_up, delivery, reason)
            return
        pause = min(LAST_RETRY, FIRST_RETRY << min(delivery.attempts, 10))
        wait = round(seconds * SECOND) if seconds is not None else round(pause * random.uniform(0.5, 1.0))  # noqa: S311
        await self.database.write(postpone, delivery.ids, wait, reason)


def take(tx: Tx, limit: int) -> list[Delivery]:
    """Holds up to `limit` due rows for a while; rows of one topic and subject without a payload become one delivery."""
    grouped: dict[tuple[str, str, str], list[Any]] = {}
    for row in tx.all(DUE_DELIVERIES, b_now=tx.now, b_limit=limit):
        key = (row.topic, row.subject, row.payload if row.topic not in REPAINTED else "{}")
        grouped.setdefault(key, []).append(row)
    tried = _tried(tx, [(topic, subject) for topic, subject, _ in grouped if topic in REPAINTED])
    taken: list[Delivery] = []
    for (topic, subject, payload), rows in grouped.items():
        attempts = 1 + tried.get((topic, subject), max(row.attempts for row in rows))
        taken.append(Delivery(topic, subject, payload, tuple(row.outbox_id for row in rows), attempts))
    ids = sorted(outbox_id for delivery in taken for outbox_id in delivery.ids)
    tx.run_each(HOLD, [{"b_id": one, "b_until": tx.now + HELD_FOR} for one in ids])
    return taken


def _tried(tx: Tx, repainted: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """How often each topic and subject was tried before. What is repainted counts all its rows, also those that are not
    due: one of them may have been posted.
    """
    found = tx.each(ATTEMPTED, [{"b_subject": subject, "b_topic": topic} for topic, subject in repainted])
    return {about: int(row.attempts) for about, [row] in zip(repainted, found, strict=True)}


@unshared_rows
def delivered(tx: Tx, ids: Sequence[int]) -> None:
    """Forgets rows that are done."""
    tx.run_each(DELIVERED, [{"b_id": one} for one in ids])


@unshared_rows
def postpone(tx: Tx, ids: Sequence[int], wait: int, reason: str) -> None:
    """Tries these rows again in `wait` microseconds."""
    tx.run_each(POSTPONE, [{"b_id": one, "b_at": tx.now + wait, "b_error": reason} for one in ids])


@unshared_rows
def put_back(tx: Tx, ids: Sequence[int], wait: int) -> None:
    """These rows are taken again in `wait` microseconds; as nothing was tried, that was no attempt."""
    tx.run_each(PUT_BACK, [{"b_id": one, "b_at": tx.now + wait} for one in ids])


@own_rows
def keep_receipt(tx: Tx, delivery: Delivery, notifier: str, place: str, receipt: dict[str, Any], version: int) -> None:
    """Records where it is shown. The first card that is shown starts the expiry clock."""
    subject = _receipt_subject(delivery)
    rendered = str(receipt.get(RENDERED, ""))
    values = {"b_receipt": canonical(receipt), "b_version": version, "b_digest": rendered, "b_now": tx.now}
    if not tx.run(
        UPDATE_RECEIPT, b_notifier=notifier, b_topic=delivery.topic, b_subject=subject, b_place=place, **values
    ):
        tx.run(
            INSERT_RECEIPT,
            notifier=notifier,
            topic=delivery.topic,
            subject=subject,
            place=place,
            receipt=canonical(receipt),
            shown_version=version,
            shown_digest=rendered,
            created_at=tx.now,
            updated_at=tx.now,
        )
    if delivery.topic == APPROVAL_CARD:
        approval = tx.one(GET_APPROVAL_FOR_UPDATE, b_id=delivery.subject)
        if approval is not None:
            record(
                tx,
                "approval.shown",
                execution_id=approval.execution_id,
                approval_request_id=approval.approval_request_id,
                data={
                    "notifier": notifier,
                    "place": place,
                    "version": version,
                    "digest": approval.digest,
                    **{name: receipt[name] for name in ("channel", "ts", RENDERED, CUT) if name in receipt},
                },
            )
            start_clock(tx, approval)


@own_rows
def give_up(tx: Tx, delivery: Delivery, reason: str) -> None:
    """Nothing more is tried; that it was not shown is recorded, and the approval's clock runs."""
    tx.run_each(GIVE_UP, [{"b_id": one, "b_now": tx.now, "b_error": reason} for one in delivery.ids])
    log.error("outbox: undeliverable", topic=delivery.topic, subject=delivery.subject, reason=reason)
    record_undeliverable(tx, delivery, [reason])
    if delivery.topic == APPROVAL_CARD:
        approval = tx.one(GET_APPROVAL_FOR_UPDATE, b_id=delivery.subject)
        if approval is not None:
            start_clock(tx, approval)


def record_undeliverable(tx: Tx, delivery: Delivery, reasons: Sequence[str]) -> None:
    """The event that says where something could not be shown."""
    approval = tx.one(GET_APPROVAL_FOR_UPDATE, b_id=delivery.subject)
    record(
        tx,
        "delivery.failed",
        execution_id=approval.execution_id if approval else delivery.subject,
        approval_request_id=approval.approval_request_id if approval else None,
        data={"topic": delivery.topic, "reasons": list(reasons)},
    )
    if delivery.topic == APPROVAL_CARD and approval is not None and approval.pending:
        enqueue(tx, APPROVAL_NOTE, delivery.subject, payload={"event": "undeliverable"})


def _edits(lane: str) -> str:
    """Edits are limited apart from posts, and must not wait behind them."""
    return f"{lane} (edits)"


def _receipt_subject(delivery: Delivery) -> str:
    """Notes are told apart by what they say."""
    return delivery.subject if delivery.payload == "{}" else f"{delivery.subject} {delivery.payload}"

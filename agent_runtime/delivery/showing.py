"""Shows a delivery at its places in its newest state, each in its lane's turn, and keeps the receipts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agent_runtime import failpoints
from agent_runtime.delivery.lanes import Lanes, edits
from agent_runtime.delivery.notifier import Notice, Notifier, Place, Receipt, RetryAfter, Undeliverable
from agent_runtime.delivery.notifier_rows import REPAINTED, Delivery, delivered, keep_receipt, record_undeliverable
from agent_runtime.delivery.views import filled, outlined, receipts
from agent_runtime.store.database import Database
from agent_runtime.store.outbox import APPROVAL_CARD


@dataclass(slots=True)
class Showing:
    """One delivery through one notifier, from where it is shown already to where it belongs now."""

    database: Database
    notifier: Notifier
    lanes: Lanes
    delivery: Delivery
    _known: set[str] = field(default_factory=set)
    """Places where it stands."""
    _refused: list[str] = field(default_factory=list)
    _fresh: Notice | None = None
    """What is to be shown, where it was read just now."""
    _last: bool = False
    """What is shown now is all that there was to show."""
    _done: bool = False
    """Its rows are forgotten."""

    async def show(self) -> None:
        """Shows it wherever it belongs now and is not shown yet, and forgets its rows.

        Raises LaneBusy and RetryAfter where it is to be tried again, Undeliverable where no place takes it.
        """
        outline = await self._outline()
        if outline is not None:
            await self._show(outline)
        if not self._done:
            await self.database.write_along(delivered, self.delivery.ids)

    async def _show(self, outline: Notice) -> None:
        places = await self.notifier.places(outline)
        shown = await self._shown(outline) if places or self.delivery.topic in REPAINTED else []
        self._known = {receipt.place for receipt in shown}
        outdated = [receipt for receipt in shown if self._outdates(outline, receipt)]
        missing = [place for place in places if not self._stands_at(place)]
        left = len(outdated) + len(missing)
        if left:
            self._fresh = await filled(self.database, outline)
        for receipt in outdated:
            left -= 1
            self._last = left == 0
            await self._update(receipt)
            self._fresh = None
        for place in missing:
            left -= 1
            self._last = left == 0
            if self._stands_at(place) or await self._show_at(place):
                self._known.add(place.key)
            self._fresh = None
        if self._refused and not self._known:
            raise Undeliverable("; ".join(self._refused))
        if self._refused:
            await self.database.write(record_undeliverable, self.delivery, self._refused)

    async def _shown(self, outline: Notice) -> list[Receipt]:
        if self.delivery.topic == APPROVAL_CARD:
            return list(outline.card)
        return await receipts(self.database, self.notifier.name, self.delivery.topic, self.delivery.shown_as)

    def _outdates(self, outline: Notice, receipt: Receipt) -> bool:
        """Whether it is to be edited there; where an earlier edit has shown as much, this one costs no turn."""
        return self.delivery.topic in REPAINTED and outline.version > receipt.shown_version

    def _stands_at(self, place: Place) -> bool:
        return any(candidate.key in self._known for candidate in (place, *place.instead))

    async def _show_at(self, place: Place) -> bool:
        """Posts at the place, or at the first that takes it of those to try instead; False where none does."""
        for candidate in (place, *place.instead):
            try:
                await self._post(candidate)
            except Undeliverable as error:
                self._refused.append(f"{candidate.key}: {error}")
            else:
                return True
            self._fresh = None
        return False

    async def _post(self, place: Place) -> None:
        if place.over and self.delivery.attempts == 1:
            return
        if self.delivery.attempts > 1:
            if await self._found(place):
                return
            self._fresh = None
        if place.over:
            return
        current = await self._in_turn(place.lane)
        if current is None:
            return
        try:
            failpoints.reach("post.before", self.delivery.topic)
            receipt = await self.notifier.post(current, place)
            failpoints.reach("post.after", self.delivery.topic)
        except RetryAfter as error:
            self.lanes.block(place.lane, error)
            raise
        await self._keep(place.key, receipt, place.lane, current.version)

    async def _found(self, place: Place) -> bool:
        """Whether an earlier post stands there whose record was lost: it is taken up, and shows the newest state."""
        current = await self._notice()
        receipt = None if current is None else await self.notifier.find(current, place)
        if current is None or receipt is None:
            return False
        if self.delivery.topic in REPAINTED:
            self._fresh = None
            current = await self._in_turn(edits(place.lane))
            if current is None:
                return True
            receipt = await self.notifier.update(current, Receipt(place.key, receipt)) or receipt
        await self._keep(place.key, receipt, place.lane, current.version)
        return True

    async def _update(self, receipt: Receipt) -> None:
        lane = str(receipt.receipt.get("lane", ""))
        current = await self._in_turn(edits(lane))
        if current is None or current.version <= receipt.shown_version:
            return
        try:
            anew = await self.notifier.update(current, receipt)
            failpoints.reach("update.after", self.delivery.topic)
        except Undeliverable as error:
            self._refused.append(f"{receipt.place}: {error}")
            return
        except RetryAfter as error:
            self.lanes.block(edits(lane), error)
            raise
        await self._keep(receipt.place, anew or receipt.receipt, lane, current.version)

    async def _keep(self, place: str, receipt: Mapping[str, Any], lane: str, version: int) -> None:
        """The last receipt is kept and the rows are forgotten in one transaction, where nothing else is to be said."""
        last = self._last and not self._refused
        shown = Receipt(place, {**receipt, "lane": lane}, version)
        await self.database.write_along(keep_receipt, self.delivery, self.notifier.name, shown, last=last)
        self._done = last

    async def _in_turn(self, lane: str) -> Notice | None:
        """What is to be shown once it is this delivery's turn in the lane: as it was read, where it is at once."""
        at_once = await self.lanes.enter(lane)
        return self._fresh if at_once and self._fresh is not None else await self._notice()

    async def _notice(self) -> Notice | None:
        outline = await self._outline()
        return None if outline is None else await filled(self.database, outline)

    async def _outline(self) -> Notice | None:
        delivery = self.delivery
        outline = await outlined(self.database, self.notifier.name, delivery.topic, delivery.subject, delivery.payload)
        return None if outline is None else replace(outline, attempt=delivery.attempts)

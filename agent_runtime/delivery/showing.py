"""Shows a delivery at its places in its newest state, each in its lane's turn, and keeps the receipts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from agent_runtime import failpoints
from agent_runtime.delivery.lanes import Lanes, edits
from agent_runtime.delivery.notifier import Notice, Notifier, Place, Receipt, RetryAfter, Undeliverable
from agent_runtime.delivery.notifier_rows import REPAINTED, Delivery, delivered, keep_receipt, record_undeliverable
from agent_runtime.delivery.views import notice, receipts
from agent_runtime.store.database import Database


@dataclass(slots=True)
class Showing:
    """What one notifier shows of the rows that this process has taken."""

    database: Database
    notifier: Notifier
    lanes: Lanes

    async def show(self, delivery: Delivery) -> None:
        """Shows it wherever it belongs now and is not shown yet, and forgets its rows.

        Raises LaneBusy and RetryAfter where it is to be tried again, Undeliverable where no place takes it.
        """
        wanted = await self._notice(delivery)
        if wanted is None:
            await self.database.write(delivered, delivery.ids)
            return
        places = await self.notifier.places(wanted)
        shown = await receipts(self.database, self.notifier.name, delivery.topic, delivery.shown_as)
        known = {receipt.place for receipt in shown}
        refused: list[str] = []
        fresh: Notice | None = wanted
        if delivery.topic in REPAINTED:
            for receipt in shown:
                if wanted.version > receipt.shown_version:  # else an earlier edit showed it, and this one costs no turn
                    await self._update(delivery, receipt, refused, fresh)
                    fresh = None
        for place in places:
            if await self._show_at(delivery, place, known, refused, fresh):
                known.add(place.key)
            fresh = None
        if refused and not known:
            raise Undeliverable("; ".join(refused))
        if refused:
            await self.database.write(record_undeliverable, delivery, refused)
        await self.database.write(delivered, delivery.ids)

    async def _show_at(
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
            self.lanes.block(place.lane, error)
            raise
        await self._keep(delivery, place.key, receipt, place.lane, current.version)

    async def _found(self, delivery: Delivery, place: Place) -> bool:
        """Whether an earlier post stands there whose record was lost: it is taken up, and shows the newest state."""
        current = await self._notice(delivery)
        receipt = None if current is None else await self.notifier.find(current, place)
        if current is None or receipt is None:
            return False
        if delivery.topic in REPAINTED:
            current = await self._in_turn(delivery, edits(place.lane))
            if current is None:
                return True
            receipt = await self.notifier.update(current, Receipt(place.key, receipt)) or receipt
        await self._keep(delivery, place.key, receipt, place.lane, current.version)
        return True

    async def _update(self, delivery: Delivery, receipt: Receipt, refused: list[str], fresh: Notice | None) -> None:
        lane = str(receipt.receipt.get("lane", ""))
        current = await self._in_turn(delivery, edits(lane), fresh)
        if current is None or current.version <= receipt.shown_version:
            return
        try:
            anew = await self.notifier.update(current, receipt)
            failpoints.reach("update.after", delivery.topic)
        except Undeliverable as error:
            refused.append(f"{receipt.place}: {error}")
            return
        except RetryAfter as error:
            self.lanes.block(edits(lane), error)
            raise
        await self._keep(delivery, receipt.place, anew or receipt.receipt, lane, current.version)

    async def _keep(self, delivery: Delivery, place: str, receipt: Mapping[str, Any], lane: str, version: int) -> None:
        await self.database.write(keep_receipt, delivery, self.notifier.name, place, {**receipt, "lane": lane}, version)

    async def _notice(self, delivery: Delivery) -> Notice | None:
        wanted = await notice(self.database, self.notifier.name, delivery.topic, delivery.subject, delivery.payload)
        return None if wanted is None else replace(wanted, attempt=delivery.attempts)

    async def _in_turn(self, delivery: Delivery, lane: str, fresh: Notice | None = None) -> Notice | None:
        """What is to be shown once it is this delivery's turn in the lane: `fresh`, where it is at once."""
        if not await self.lanes.enter(lane):
            fresh = None
        return fresh or await self._notice(delivery)

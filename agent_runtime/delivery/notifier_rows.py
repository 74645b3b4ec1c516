"""What happens to the rows of the outbox that a notifier shows: taken, shown, delivered, put off, given up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from agent_runtime.core.canonical import canonical
from agent_runtime.delivery.holds import HELD_FOR
from agent_runtime.delivery.notifier import CUT, RENDERED, Receipt
from agent_runtime.operations.sweep import start_clock
from agent_runtime.store.approvals import GET_APPROVAL_FOR_UPDATE
from agent_runtime.store.events import record
from agent_runtime.store.outbox import (
    APPROVAL_CARD,
    APPROVAL_NOTE,
    APPROVAL_WARNING,
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

log = structlog.get_logger(__name__)

REPAINTED = frozenset({APPROVAL_CARD, APPROVAL_WARNING, EXECUTION_PROGRESS})
"""Topics that are updated in place; all others are posted once."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Rows of one topic and subject that coalesce into one thing to do."""

    topic: str
    subject: str
    payload: str
    ids: tuple[int, ...]
    attempts: int

    @property
    def shown_as(self) -> str:
        """The subject of its receipts: notes are told apart by what they say."""
        return self.subject if self.payload == "{}" else f"{self.subject} {self.payload}"


def take(tx: Tx, limit: int) -> list[Delivery]:
    """Holds up to `limit` due rows for a while; rows of one topic and subject without a payload become one delivery."""
    grouped: dict[tuple[str, str, str], list[Any]] = {}
    for row in tx.all(DUE_DELIVERIES, b_now=tx.now, b_limit=limit):
        key = (row.topic, row.subject, row.payload if row.topic not in REPAINTED else "{}")
        grouped.setdefault(key, []).append(row)
    taken: list[Delivery] = []
    for (topic, subject, payload), rows in grouped.items():
        # Of what is repainted all rows count, also those that are not due: one of them may have been posted.
        attempts = 1 + max(row.tried if topic in REPAINTED else row.attempts for row in rows)
        taken.append(Delivery(topic, subject, payload, tuple(row.outbox_id for row in rows), attempts))
    ids = sorted(outbox_id for delivery in taken for outbox_id in delivery.ids)
    tx.run_each(HOLD, [{"b_id": one, "b_until": tx.now + HELD_FOR} for one in ids])
    return taken


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
def keep_receipt(tx: Tx, delivery: Delivery, notifier: str, shown: Receipt, *, last: bool) -> None:
    """Records where it is shown. The first card that is shown starts the expiry clock. `last`: it is shown everywhere
    now, and its rows are done.
    """
    if last:
        delivered(tx, delivery.ids)
    receipt, rendered = canonical({**shown.receipt}), str(shown.receipt.get(RENDERED, ""))
    where = {"notifier": notifier, "topic": delivery.topic, "subject": delivery.shown_as, "place": shown.place}
    values = {"b_receipt": receipt, "b_version": shown.shown_version, "b_digest": rendered, "b_now": tx.now}
    if not tx.run(UPDATE_RECEIPT, **{f"b_{name}": value for name, value in where.items()}, **values):
        tx.run(
            INSERT_RECEIPT,
            **where,
            receipt=receipt,
            shown_version=shown.shown_version,
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
                    "place": shown.place,
                    "version": shown.shown_version,
                    "digest": approval.digest,
                    **{name: shown.receipt[name] for name in ("channel", "ts", RENDERED, CUT) if name in shown.receipt},
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

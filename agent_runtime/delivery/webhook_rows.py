"""What happens to a webhook's row of the outbox: taken, fanned out, delivered, put off, given up."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from agent_runtime.core.canonical import canonical
from agent_runtime.delivery.holds import HELD_FOR
from agent_runtime.store.approvals import GET_APPROVAL
from agent_runtime.store.events import record
from agent_runtime.store.outbox import DELIVERED, GIVE_UP, HOLD, INSERT_RECEIPT, POSTPONE, WEBHOOK, enqueue
from agent_runtime.store.tx import Tx
from agent_runtime.store.webhooks import DUE_CALLBACKS, DUE_WEBHOOKS

NAME = "webhooks"
"""The notifier of their receipts."""


@dataclass(frozen=True, slots=True)
class Sending:
    """One row of the outbox that was taken: a message for one receiver, or for all of the operator's."""

    outbox_id: int
    approval_request_id: str
    lane: str
    payload: Mapping[str, Any]
    created_at: int
    attempts: int


def take(tx: Tx, limit: int, all_lanes: bool) -> list[Sending]:
    """Holds up to `limit` due rows for a while."""
    due = tx.all(DUE_WEBHOOKS if all_lanes else DUE_CALLBACKS, b_now=tx.now, b_limit=limit)
    tx.run_each(HOLD, [{"b_id": row.outbox_id, "b_until": tx.now + HELD_FOR} for row in due])
    return [
        Sending(row.outbox_id, row.subject, row.lane, json.loads(row.payload), row.created_at, row.attempts + 1)
        for row in due
    ]


def fan_out(tx: Tx, sending: Sending, lanes: Collection[str]) -> None:
    """One row a receiver in place of the one for all; each is then tried and given up by itself."""
    if tx.run(DELIVERED, b_id=sending.outbox_id) is None:
        return
    for lane in lanes:
        enqueue(tx, WEBHOOK, sending.approval_request_id, lane=lane, payload=sending.payload)


def delivered(tx: Tx, sending: Sending, receiver: str, status: int) -> None:
    """Forgets the row and keeps the receipt."""
    if tx.run(DELIVERED, b_id=sending.outbox_id) is None:
        return
    tx.later(
        INSERT_RECEIPT,
        notifier=NAME,
        topic=str(sending.payload["message"]["type"]),
        subject=str(sending.payload["id"]),
        place=f"{sending.lane} {receiver}",
        receipt=canonical({"status": status, "attempts": sending.attempts}),
        shown_version=0,
        shown_digest="",
        created_at=tx.now,
        updated_at=tx.now,
    )


def postpone(tx: Tx, sending: Sending, wait: int, reason: str) -> None:
    """Tries it again in `wait` microseconds."""
    tx.run(POSTPONE, b_id=sending.outbox_id, b_at=tx.now + wait, b_error=reason)


def give_up(tx: Tx, sending: Sending, reason: str) -> None:
    """The row stays as a dead letter, and the audit trail says so."""
    tx.run(GIVE_UP, b_id=sending.outbox_id, b_now=tx.now, b_error=reason)
    data = {
        "topic": WEBHOOK,
        "lane": sending.lane,
        "type": sending.payload["message"]["type"],
        "webhook_id": sending.payload["id"],
        "attempts": sending.attempts,
        "reasons": [reason],
    }
    about = tx.one(GET_APPROVAL, b_id=sending.approval_request_id)
    record(
        tx,
        "delivery.failed",
        execution_id=about.execution_id if about else None,
        approval_request_id=sending.approval_request_id,
        data=data,
    )

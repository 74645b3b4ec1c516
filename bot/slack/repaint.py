"""A card that somebody clicked though it was over is drawn anew, also one that no receipt knows of."""

from __future__ import annotations

import json

from agent_runtime.core.canonical import JsonValue, canonical
from agent_runtime.store.outbox import APPROVAL_CARD, INSERT_RECEIPT, RECEIPTS, UPDATE_RECEIPT, enqueue
from agent_runtime.store.tx import Tx

NOTIFIER = "slack"


def repaint(tx: Tx, approval_request_id: str, channel: str, ts: str) -> None:
    """Has the outbox draw the card at (channel, ts) in its present state, whatever it is thought to show.

    A crash between a post and its receipt leaves a card that is unknown here: it is taken up.
    """
    known = tx.all(RECEIPTS, b_notifier=NOTIFIER, b_topic=APPROVAL_CARD, b_subject=approval_request_id)
    place = f"{channel}/{ts} (found)"
    receipt: dict[str, JsonValue] = {"channel": channel, "ts": ts, "thread_ts": "", "lane": channel}
    for row in known:
        stored = json.loads(row.receipt)
        if (stored.get("channel"), stored.get("ts")) == (channel, ts):
            place, receipt = row.place, stored
    values = {"b_receipt": canonical(receipt), "b_version": 0, "b_digest": "", "b_now": tx.now}
    where = {"b_notifier": NOTIFIER, "b_topic": APPROVAL_CARD, "b_subject": approval_request_id, "b_place": place}
    if not tx.run(UPDATE_RECEIPT, **where, **values):
        tx.run(
            INSERT_RECEIPT,
            notifier=NOTIFIER,
            topic=APPROVAL_CARD,
            subject=approval_request_id,
            place=place,
            receipt=canonical(receipt),
            shown_version=0,
            shown_digest="",
            created_at=tx.now,
            updated_at=tx.now,
        )
    enqueue(tx, APPROVAL_CARD, approval_request_id)

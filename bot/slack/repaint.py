"""What somebody clicked though it was over is drawn anew, also where no receipt knows of it."""

from __future__ import annotations

import json

from agent_runtime.core.canonical import JsonValue, canonical
from agent_runtime.store.outbox import INSERT_RECEIPT, RECEIPTS, UPDATE_RECEIPT, enqueue
from agent_runtime.store.tx import Tx

NOTIFIER = "slack"


def repaint(tx: Tx, topic: str, approval_request_id: str, channel: str, ts: str) -> None:
    """Has the outbox draw the card or warning (`topic`) at (channel, ts) as it is now, whatever it is thought to show.

    A crash between a post and its receipt leaves a message that is unknown here: it is taken up.
    """
    known = tx.all(RECEIPTS, b_notifier=NOTIFIER, b_topic=topic, b_subject=approval_request_id)
    place = f"{channel}/{ts} (found)"
    receipt: dict[str, JsonValue] = {"channel": channel, "ts": ts, "thread_ts": "", "lane": channel}
    for row in known:
        stored = json.loads(row.receipt)
        if (stored.get("channel"), stored.get("ts")) == (channel, ts):
            place, receipt = row.place, stored
    values = {"b_receipt": canonical(receipt), "b_version": 0, "b_digest": "", "b_now": tx.now}
    where = {"b_notifier": NOTIFIER, "b_topic": topic, "b_subject": approval_request_id, "b_place": place}
    if not tx.run(UPDATE_RECEIPT, **where, **values):
        tx.run(
            INSERT_RECEIPT,
            notifier=NOTIFIER,
            topic=topic,
            subject=approval_request_id,
            place=place,
            receipt=canonical(receipt),
            shown_version=0,
            shown_digest="",
            created_at=tx.now,
            updated_at=tx.now,
        )
    enqueue(tx, topic, approval_request_id)

"""The transactional outbox and the receipts of what was delivered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import and_, bindparam, delete, func, insert, select, update

from agent_runtime.core.canonical import canonical
from agent_runtime.store.rows import column_names
from agent_runtime.store.schema import outbox, receipts
from agent_runtime.store.statement import Q
from agent_runtime.store.tx import Tx

APPROVAL_CARD = "approval.card"
"""The card of an approval is to show its present state."""

APPROVAL_NOTE = "approval.note"
"""Something happened to an approval that is said once, below its card; the payload's `event` says what."""

APPROVAL_WARNING = "approval.warning"
"""The warnings that an approval is about to expire, which offer more time, are to show whether that still holds."""

EXECUTION_PROGRESS = "execution.progress"
"""The progress message of an execution is to show its present state."""

EXECUTION_RESULT = "execution.result"
"""An execution ended: whoever asked is told, once."""

WEBHOOK = "webhook"
"""Another system is told something; see store.webhooks. The only topic that is no notifier's."""

TO_SHOW, TO_SEND = "outbox:show", "outbox:send"
"""What is announced where rows were written: those of a notifier, and WEBHOOK's."""

_o = outbox.c
_others = outbox.alias()
_by_id = _o.outbox_id == bindparam("b_id")
INSERT_OUTBOX = Q(insert(outbox), columns=[name for name in column_names(outbox) if name != "outbox_id"])
DUE_DELIVERIES = Q(
    select(
        _o.outbox_id,
        _o.topic,
        _o.subject,
        _o.payload,
        _o.attempts,
        select(func.max(_others.c.attempts))
        .where(_others.c.subject == _o.subject, _others.c.topic == _o.topic, _others.c.gave_up_at.is_(None))
        .scalar_subquery()
        .label("tried"),
    )
    .where(_o.gave_up_at.is_(None), _o.next_attempt_at <= bindparam("b_now"), _o.topic != WEBHOOK)
    .order_by(_o.next_attempt_at, _o.outbox_id)
    .limit(bindparam("b_limit"))
    .with_for_update(skip_locked=True, of=outbox)
)
"""`tried` is how often showing it was tried, also by rows of its topic and subject that are not due."""

NEXT_DELIVERY = Q(select(func.min(_o.next_attempt_at).label("at")).where(_o.gave_up_at.is_(None)))
HOLD = Q(
    update(outbox)
    .where(_by_id)
    .values(next_attempt_at=bindparam("b_until"), attempts=_o.attempts + 1)
    .returning(_o.outbox_id)
)
"""Claims a row until then; a deliverer that dies leaves it to be claimed again."""

HOLD_ON = Q(
    update(outbox)
    .where(_by_id, _o.next_attempt_at < bindparam("b_until"))
    .values(next_attempt_at=bindparam("b_until"))
    .returning(_o.outbox_id)
)
LET_GO = Q(update(outbox).where(_by_id).values(next_attempt_at=bindparam("b_now")).returning(_o.outbox_id))

DELIVERED = Q(delete(outbox).where(_by_id).returning(_o.outbox_id))
POSTPONE = Q(
    update(outbox)
    .where(_by_id)
    .values(next_attempt_at=bindparam("b_at"), last_error=bindparam("b_error"))
    .returning(_o.attempts)
)
PUT_BACK = Q(
    update(outbox)
    .where(_by_id)
    .values(next_attempt_at=bindparam("b_at"), attempts=_o.attempts - 1)
    .returning(_o.attempts)
)
"""It was taken, and not tried."""

GIVE_UP = Q(
    update(outbox)
    .where(_by_id)
    .values(gave_up_at=bindparam("b_now"), last_error=bindparam("b_error"))
    .returning(_o.outbox_id)
)
UNDELIVERED = Q(select(func.count().label("n")).select_from(outbox).where(_o.gave_up_at.is_(None), _o.topic != WEBHOOK))
DEAD_DELIVERIES = Q(
    select(func.count().label("n")).select_from(outbox).where(_o.gave_up_at.is_not(None), _o.topic != WEBHOOK)
)
GIVEN_UP = Q(
    select(_o.outbox_id, _o.topic, _o.subject, _o.last_error, _o.gave_up_at).where(
        _o.gave_up_at.is_not(None), _o.subject == bindparam("b_subject")
    )
)

_r = receipts.c
_place = and_(
    _r.notifier == bindparam("b_notifier"), _r.topic == bindparam("b_topic"), _r.subject == bindparam("b_subject")
)
RECEIPTS = Q(
    select(_r.place, _r.receipt, _r.shown_version, _r.shown_digest).where(_place).order_by(_r.created_at), quick=True
)
INSERT_RECEIPT = Q(insert(receipts), columns=column_names(receipts))
UPDATE_RECEIPT = Q(
    update(receipts)
    .where(_place, _r.place == bindparam("b_place"))
    .values(
        receipt=bindparam("b_receipt"),
        shown_version=bindparam("b_version"),
        shown_digest=bindparam("b_digest"),
        updated_at=bindparam("b_now"),
    )
    .returning(_r.place)
)
SHOWN_AT_PLACE = Q(
    select(_r.topic, _r.subject).where(_r.notifier == bindparam("b_notifier"), _r.place == bindparam("b_place"))
)


def enqueue(tx: Tx, topic: str, subject: str, *, lane: str = "", payload: Mapping[str, Any] | None = None) -> None:
    """Something is to be shown or sent: `topic` about `subject` (an execution's or approval's id).

    `lane` groups what is paced together (a channel); "" where the notifier works it out. Rows of one topic and subject
    without a payload coalesce: the newest state is what is shown.
    """
    tx.later(
        INSERT_OUTBOX,
        topic=topic,
        subject=subject,
        lane=lane,
        payload=canonical(dict(payload)) if payload else "{}",
        created_at=tx.now,
        next_attempt_at=tx.now,
        attempts=0,
        last_error=None,
        gave_up_at=None,
    )
    tx.wake(TO_SEND if topic == WEBHOOK else TO_SHOW)

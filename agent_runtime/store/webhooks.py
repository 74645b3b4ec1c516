"""Statements about what is sent to other systems: rows of the outbox that no notifier takes."""

from __future__ import annotations

from sqlalchemy import bindparam, func, select

from agent_runtime.store.outbox import WEBHOOK
from agent_runtime.store.schema import outbox
from agent_runtime.store.statement import Q

CALLBACK = "callback"
"""The lane of an approval's own callback_url."""

NOTIFY = "notify"
"""The lane of the operator's receivers; `notify:KEY` is one of them."""

_o = outbox.c
_due = (
    select(_o.outbox_id, _o.subject, _o.lane, _o.payload, _o.created_at, _o.attempts)
    .where(_o.topic == WEBHOOK, _o.gave_up_at.is_(None), _o.next_attempt_at <= bindparam("b_now"))
    .order_by(_o.next_attempt_at, _o.outbox_id)
    .limit(bindparam("b_limit"))
    .with_for_update(skip_locked=True)
)
DUE_WEBHOOKS = Q(_due)
DUE_CALLBACKS = Q(_due.where(_o.lane == CALLBACK))
"""For a process that knows no receivers of the operator's."""

DEAD_WEBHOOKS = Q(
    select(func.count().label("n")).select_from(outbox).where(_o.topic == WEBHOOK, _o.gave_up_at.is_not(None))
)
WAITING_WEBHOOKS = Q(
    select(func.count().label("n")).select_from(outbox).where(_o.topic == WEBHOOK, _o.gave_up_at.is_(None))
)

"""Statements about the chain that seals the audit trail."""

from __future__ import annotations

from sqlalchemy import bindparam, exists, func, insert, literal, not_, select, update

from agent_runtime.core.audit import Head
from agent_runtime.store.rows import column_names
from agent_runtime.store.schema import audit_heads, events, seals
from agent_runtime.store.statement import Q

CHAIN = "events"

_h = audit_heads.c
_s = seals.c
_v = events.c

GET_HEAD = Q(select(_h.sequence, _h.hash).where(_h.chain == CHAIN), Head)
LOCK_HEAD = Q(
    select(_h.sequence, _h.hash).where(_h.chain == CHAIN).with_for_update(skip_locked=True),
    Head,
)
"""None also while another replica seals: nobody waits for it."""

INSERT_HEAD = Q(insert(audit_heads), columns=column_names(audit_heads))
MOVE_HEAD = Q(
    update(audit_heads)
    .where(_h.chain == CHAIN, _h.sequence == bindparam("b_before"))
    .values(sequence=bindparam("b_sequence"), hash=bindparam("b_hash"))
    .returning(_h.sequence)
)
INSERT_SEAL = Q(insert(seals), columns=column_names(seals))
SEAL = Q(select(_s.sequence, _s.event_id, _s.previous_hash, _s.hash).where(_s.sequence == bindparam("b_sequence")))
LAST_SEAL = Q(select(_s.sequence, _s.event_id, _s.hash).order_by(_s.sequence.desc()).limit(1))

_sealed = exists(select(literal(1)).where(_s.event_id == _v.event_id))
UNSEALED = Q(
    select(*_v)
    .where(_v.event_id > bindparam("b_after"), not_(_sealed))
    .order_by(_v.event_id)
    .limit(bindparam("b_limit")),
)
"""Events without a seal, oldest first; `b_after` bounds how far back is looked."""

PASSED_OVER = Q(
    select(*_v)
    .where(_v.event_id < bindparam("b_before"), _v.at < bindparam("b_older"), not_(_sealed))
    .order_by(_v.event_id)
    .limit(bindparam("b_limit")),
)
"""Events that were not sealed although later ones are."""

WAITING = Q(
    select(func.count().label("n")).select_from(events).where(_v.event_id > bindparam("b_after"), not_(_sealed))
)

CHAINED = Q(
    select(_s.sequence, _s.event_id.label("sealed_id"), _s.previous_hash, _s.hash, *_v)
    .select_from(seals.outerjoin(events, _v.event_id == _s.event_id))
    .where(_s.sequence > bindparam("b_after"), _s.sequence <= bindparam("b_until"))
    .order_by(_s.sequence)
    .limit(bindparam("b_limit"))
)
"""Seals with their events, in the chain's order; the event's columns are NULL where it is gone."""

CHAINED_OF_STREAM = Q(
    select(_s.sequence, _s.event_id.label("sealed_id"), _s.previous_hash, _s.hash, *_v)
    .select_from(events.join(seals, _v.event_id == _s.event_id))
    .where(_v.stream == bindparam("b_about"), _s.sequence > bindparam("b_after"), _s.sequence <= bindparam("b_until"))
    .order_by(_s.sequence)
    .limit(bindparam("b_limit"))
)
CHAINED_OF_APPROVAL = Q(
    select(_s.sequence, _s.event_id.label("sealed_id"), _s.previous_hash, _s.hash, *_v)
    .select_from(events.join(seals, _v.event_id == _s.event_id))
    .where(
        _v.approval_request_id == bindparam("b_about"),
        _s.sequence > bindparam("b_after"),
        _s.sequence <= bindparam("b_until"),
    )
    .order_by(_s.sequence)
    .limit(bindparam("b_limit"))
)

SPARSE_STREAMS = Q(
    select(_v.stream, func.count().label("n"), func.max(_v.seq).label("last"))
    .group_by(_v.stream)
    .having(func.count() != func.max(_v.seq))
    .limit(bindparam("b_limit"))
)
"""Streams whose numbers have a gap."""

REDACTED_UP_TO = Q(
    select(func.max(_v.seq).label("seq")).where(_v.stream == bindparam("b_stream"), _v.type == "audit.redacted")
)
REDACT_EVENT = Q(
    update(events)
    .where(_v.event_id == bindparam("b_event"), _v.salt != "")
    .values(data=bindparam("b_data"), salt="")
    .returning(_v.event_id)
)
LAST_EVENT = Q(select(_v.event_id, _v.at).order_by(_v.event_id.desc()).limit(1))

"""The audit trail: one event row with every change, in its transaction. Dense sequence within a stream."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from sqlalchemy import bindparam, func, insert, select

from agent_runtime.core.canonical import canonical
from agent_runtime.core.principal import Actor, Via
from agent_runtime.store.rows import column_names
from agent_runtime.store.schema import events
from agent_runtime.store.statement import Q
from agent_runtime.store.tx import Tx

SCHEMA_VERSION = 1

_v = events.c
_earlier = events.alias("earlier")
_next_seq = (
    select(func.coalesce(func.max(_earlier.c.seq), 0) + 1)
    .where(_earlier.c.stream == bindparam("b_stream"))
    .scalar_subquery()
)
INSERT_EVENT = Q(
    insert(events).values(seq=_next_seq),
    columns=[name for name in column_names(events) if name not in {"event_id", "seq"}],
    serialised_by="b_stream",
)
EVENTS_OF_STREAM = Q(
    select(*_v)
    .where(_v.stream == bindparam("b_stream"), _v.seq > bindparam("b_after"))
    .order_by(_v.seq)
    .limit(bindparam("b_limit")),
    quick=True,
)
NOTED = Q(select(_v.data).where(_v.stream == bindparam("b_stream"), _v.type == "execution.noted").order_by(_v.seq))
"""What a reasoner has said for the record."""

LAST_OF_STREAM = Q(select(_v.type, _v.data).where(_v.stream == bindparam("b_stream")).order_by(_v.seq.desc()).limit(1))

EVENTS_OF_APPROVAL = Q(
    select(*_v)
    .where(_v.approval_request_id == bindparam("b_approval"), _v.event_id > bindparam("b_after"))
    .order_by(_v.event_id)
    .limit(bindparam("b_limit"))
)


@functools.cache
def code_version() -> str:
    """Which version of Countersign acts, for events."""
    return version("countersign")


def record(
    tx: Tx,
    type: str,
    *,
    execution_id: str | None = None,
    approval_request_id: str | None = None,
    by: Actor | str = "system",
    via: Via | str = "",
    data: Mapping[str, Any] | None = None,
    stream: str | None = None,
) -> None:
    """Adds one event to the stream of its execution, or of its approval where an outsider asked, or to `stream`.

    The writer serialises what is added to one stream, so that the sequence stays dense. `data` holds JSON values.
    """
    stream = stream or execution_id or approval_request_id
    tx.later(
        INSERT_EVENT,
        stream=stream,
        b_stream=stream,
        type=type,
        at=tx.now,
        principal=by.principal if isinstance(by, Actor) else by,
        via=str(via),
        execution_id=execution_id,
        approval_request_id=approval_request_id,
        data=canonical(dict(data)) if data else "{}",
        salt=os.urandom(8).hex(),
        schema_version=SCHEMA_VERSION,
    )

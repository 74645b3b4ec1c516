"""Writes the sealed trail, or a part of it, as JSON Lines: streaming, with bounded memory."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from typing import Any

from agent_runtime.audit.sealer import Sealer
from agent_runtime.core.audit import Head, SealedEvent
from agent_runtime.core.audit_file import end_line, event_line, head_line
from agent_runtime.core.canonical import canonical
from agent_runtime.core.duration import MINUTE
from agent_runtime.core.principal import Actor, Via
from agent_runtime.store.audit import CHAINED, CHAINED_OF_APPROVAL, CHAINED_OF_STREAM
from agent_runtime.store.database import Database
from agent_runtime.store.epochs import NEWEST_EPOCH
from agent_runtime.store.events import record
from agent_runtime.store.tx import Tx

PAGE = 1_000
"""Events in memory at once."""

STREAM = "audit"
"""The stream of what is done with the trail itself."""

SLACK = 10 * MINUTE
"""How far the times of neighbouring events may be out of order."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What is exported: everything, or what happened from `since` to before `until` (epoch microseconds), or what
    happened to one execution or approval.
    """

    since: int | None = None
    until: int | None = None
    execution_id: str | None = None
    approval_request_id: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The fields that narrow it."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def takes(self, at: int) -> bool:
        """Whether something of that time is meant."""
        return (self.since is None or at >= self.since) and (self.until is None or at < self.until)


async def export(
    database: Database,
    selection: Selection,
    *,
    key: str,
    by: Actor,
    via: Via,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> AsyncIterator[bytes]:
    """The lines of the file, in order. What is committed by now is sealed first, and that it was exported is recorded.

    `progress` is called with how many seals were looked at, and of how many. Without a `key` the file is not signed.
    """
    head = await Sealer(database).seal_pending()
    epoch = await database.one(NEWEST_EPOCH)
    await database.write(record_export, head, selection, by=by, via=via)
    digest = hashlib.sha256()
    first = head_line(
        head, epoch=epoch.epoch if epoch else 1, at=database.clock(), key=key, selection=selection.as_json()
    )
    line = _line(first)
    digest.update(line)
    yield line
    number = 0
    async for row in _rows(database, selection, head, progress):
        number += 1
        line = _line(event_line(number, row.sequence, row.previous_hash, row.hash, SealedEvent.of(row)))
        digest.update(line)
        yield line
    yield _line(end_line(number, digest.hexdigest(), key=key))


def record_export(tx: Tx, head: Head, selection: Selection, *, by: Actor, via: Via) -> None:
    """Who took the trail out, how far it went and which part of it."""
    record(
        tx,
        "audit.exported",
        stream=STREAM,
        by=by,
        via=via,
        data={"sequence": head.sequence, "hash": head.hash.hex(), "selection": selection.as_json()},
    )


async def _rows(
    database: Database, selection: Selection, head: Head, progress: Callable[[int, int], None]
) -> AsyncIterator[Any]:
    """The chain's rows that are meant; one whose event is gone is left to `verify`."""
    about = selection.execution_id or selection.approval_request_id
    q = CHAINED
    if about is not None:
        q = CHAINED_OF_STREAM if selection.execution_id is not None else CHAINED_OF_APPROVAL
    binds = {} if about is None else {"b_about": about}
    start = 0 if about is not None or selection.since is None else await _first_at(database, selection.since, head)
    after = start
    while rows := await database.all(q, b_after=after, b_until=head.sequence, b_limit=PAGE, **binds):
        for row in rows:
            if row.event_id is None:
                continue
            if about is None and selection.until is not None and row.at >= selection.until + SLACK:
                return
            if selection.takes(row.at):
                yield row
        after = rows[-1].sequence
        progress(after - start, head.sequence - start)


async def _first_at(database: Database, since: int, head: Head) -> int:
    """A sequence before the first event of `since`, by halving: times rise along the chain, but for SLACK."""
    low, high = 0, head.sequence
    while high - low > PAGE:
        middle = (low + high) // 2
        found = await database.all(CHAINED, b_after=middle, b_until=head.sequence, b_limit=1)
        if found and found[0].at is not None and found[0].at < since - SLACK:
            low = middle
        else:
            high = middle
    return low


def _line(document: dict[str, Any]) -> bytes:
    return canonical(document).encode() + b"\n"

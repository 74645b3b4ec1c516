"""Checks the trail in a database: every event against its seal, the chain, and what signed heads said about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent_runtime.audit.findings import Report
from agent_runtime.core.audit import Head, SealedEvent, next_hash, signature_problem
from agent_runtime.core.audit_file import BadLine, head_of
from agent_runtime.core.duration import MINUTE, rfc3339
from agent_runtime.store.audit import (
    CHAINED,
    GET_HEAD,
    LAST_SEAL,
    PASSED_OVER,
    REDACTED_UP_TO,
    SPARSE_STREAMS,
    WAITING,
)
from agent_runtime.store.database import Database
from agent_runtime.store.epochs import EPOCHS

PAGE = 1_000
SETTLED = 5 * MINUTE
"""An event that is older than this is sealed, or never will be."""


async def verify_database(
    database: Database,
    heads: Sequence[Mapping[str, Any]] = (),
    *,
    key: str = "",
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Report:
    """Reads the whole chain of `database`; `heads` are signed heads from elsewhere that it must agree with.

    Findings name the event. Without heads a tail that was cut off with its seals, and a chain that was computed anew,
    cannot be seen: whoever may write all tables can make a chain that holds.
    """
    head = await database.one(GET_HEAD) or Head()  # before the seals: a server may be sealing meanwhile
    last = await database.one(LAST_SEAL)
    walk = _Walk(database, _by_sequence(heads, key))
    end = last.sequence if last is not None else 0
    await walk.along(end, progress)
    report = walk.report
    report.notes += walk.notes
    await _check_ends(database, report, head, last)
    await walk.check_heads(end)
    for row in await database.all(SPARSE_STREAMS, b_limit=20):
        report.found(f"{row.stream}: it has {row.n} events, and its last one is number {row.last}: some are missing")
    if not heads:
        report.notes.append("no signed head was compared: a tail that was cut off with its seals is not seen")
    return report


@dataclass(slots=True)
class _Wanted:
    """What heads say about one sequence."""

    heads: list[tuple[Head, Mapping[str, Any]]] = field(default_factory=list)


def _by_sequence(heads: Sequence[Mapping[str, Any]], key: str) -> dict[int, _Wanted]:
    wanted: dict[int, _Wanted] = {}
    for document in heads:
        try:
            head = head_of(document)
        except BadLine:
            continue  # reported with the file that it stands in
        if not signature_problem(document, key):
            wanted.setdefault(head.sequence, _Wanted()).heads.append((head, document))
    return wanted


@dataclass(slots=True)
class _Walk:
    """One pass along the chain."""

    database: Database
    wanted: dict[int, _Wanted]
    report: Report = field(default_factory=Report)
    notes: list[str] = field(default_factory=list)
    before: Head = field(default_factory=Head)
    _redactions: Any = field(init=False)

    def __post_init__(self) -> None:
        self._redactions = {}

    async def along(self, end: int, progress: Callable[[int, int], None]) -> None:
        after = 0
        while rows := await self.database.all(CHAINED, b_after=after, b_until=end, b_limit=PAGE):
            for row in rows:
                await self._seal(row)
            after = rows[-1].sequence
            progress(after, end)
        self.report.head = self.before

    async def _seal(self, row: Any) -> None:
        report = self.report
        seal = f"seal {row.sequence}"
        gap = row.sequence - self.before.sequence - 1
        if gap:
            report.found(
                f"seal{'s' if gap > 1 else ''} {self.before.sequence + 1}"
                + (f" to {row.sequence - 1} are" if gap > 1 else " is")
                + " missing: rows were deleted"
            )
        elif row.previous_hash != self.before.hash:
            report.found(f"{seal} (of event {row.sealed_id}) does not follow the one before it")
        if row.event_id is None:
            report.found(f"event {row.sealed_id} was deleted; {seal} says that it was there")
        else:
            report.events += 1
            event = SealedEvent.of(row)
            if next_hash(Head(row.sequence - 1, row.previous_hash), event.hash()) != row.hash:
                report.found(f"{event.name} is not what was sealed: it, or {seal}, was changed")
            if event.data is None and event.seq > await self._redacted_up_to(event.stream):
                report.found(f"{event.name}: its payload is gone; no `audit.redacted` says who did that")
        self.before = Head(row.sequence, row.hash)
        for head, document in self.wanted[row.sequence].heads if row.sequence in self.wanted else ():
            if head.hash != row.hash:
                report.found(
                    f"{seal} (of event {row.sealed_id}) is not the one that the head of {document['written_at']} "
                    f"names{self._epoch(document)}: the chain up to there was made anew"
                )

    async def _redacted_up_to(self, stream: str) -> int:
        if stream not in self._redactions:
            if len(self._redactions) > PAGE:
                self._redactions.clear()
            row = await self.database.one(REDACTED_UP_TO, b_stream=stream)
            self._redactions[stream] = (row.seq or 0) if row is not None else 0
        return int(self._redactions[stream])

    async def check_heads(self, end: int) -> None:
        """Heads that are further than this chain."""
        epochs = await self.database.all(EPOCHS)
        for sequence in sorted(self.wanted):
            if sequence <= end:
                continue
            for _, document in self.wanted[sequence].heads:
                later = [epoch for epoch in epochs if epoch.epoch > int(document.get("epoch", 1))]
                why = "the tail was cut off"
                if later:
                    restore = f"the restore of {rfc3339(later[0].opened_at)} by {later[0].principal}"
                    why = f"they were lost in {restore}, or cut off"
                self.report.found(
                    f"the chain ends at {end}, and the head of {document['written_at']} stands at {sequence}: events "
                    f"{end + 1} to {sequence} are gone; {why}"
                )

    def _epoch(self, document: Mapping[str, Any]) -> str:
        return f" (epoch {document['epoch']})" if "epoch" in document else ""


async def _check_ends(database: Database, report: Report, head: Head, last: Any) -> None:
    """The chain's own note of its head, and events that nothing sealed."""
    end = last.sequence if last is not None else 0
    if head.sequence > end:
        report.found(f"the chain was sealed up to {head.sequence} and ends at {end}: its tail was cut off")
    elif head.sequence == end and end and head.hash != last.hash:
        report.found(f"the chain's own head at {end} is another than seal {end}")
    newest = last.event_id if last is not None else 0
    passed = await database.all(PASSED_OVER, b_before=newest, b_older=database.clock() - SETTLED, b_limit=PAGE)
    for row in passed:
        report.found(f"{SealedEvent.of(row).name} has no seal, and later events have: it was inserted")
    waiting = await database.one(WAITING, b_after=newest)
    if waiting is not None and waiting.n:
        report.notes.append(f"{waiting.n} new events are not sealed yet; a running server does so within a second")

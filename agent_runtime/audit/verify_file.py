"""Checks an exported file by itself: every event against its seal, the seals against each other, and both ends."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent_runtime.audit.findings import Report
from agent_runtime.core.audit import Head, SealedEvent, next_hash, signature_problem
from agent_runtime.core.audit_file import END, HEAD, BadLine, head_of, read_event


@dataclass(slots=True)
class CheckedFile:
    """A file's report and the heads that it holds: what a database can be held to."""

    report: Report
    heads: list[Mapping[str, Any]] = field(default_factory=list)


def verify_file(lines: Iterable[bytes], *, key: str) -> CheckedFile:
    """Reads an export, or a file of nothing but signed heads, line by line. Without a `key` signatures are not checked.

    Findings name the line and the event.
    """
    reading = _Reading(key)
    for number, line in enumerate(lines, start=1):
        reading.read(number, line)
    return reading.finished()


@dataclass(slots=True)
class _Reading:
    key: str
    report: Report = field(default_factory=Report)
    heads: list[Mapping[str, Any]] = field(default_factory=list)
    digest: Any = field(default_factory=hashlib.sha256)
    head: Head | None = None
    partial: bool = False
    before: Head | None = None
    ended: bool = False
    numbers: dict[str, int] = field(default_factory=dict)
    redacted: dict[str, int] = field(default_factory=dict)
    """The last number of a redacted event, by stream, that no later event accounts for."""

    def read(self, number: int, line: bytes) -> None:
        where = f"line {number}"
        document = _parsed(line)
        if document is None:
            self.report.found(f"{where}: it is no JSON object; it was cut or overwritten")
        elif document.get("kind") == HEAD:
            self._head(where, document)
        elif document.get("kind") == END:
            self._end(where, document)
        else:
            if self.ended:
                self.report.found(f"{where}: it stands behind the end of the export")
            self._event(where, document)
        self.digest.update(line)

    def finished(self) -> CheckedFile:
        report = self.report
        if not self.heads:
            report.found("the first line is no signed head: the beginning was cut off, or this is no export")
        elif report.events and not self.ended:
            report.found("the file has no end: its tail was cut off")
        elif self.ended and self.before is not None and not self.partial and self.before != self.head:
            report.found(
                f"the events end at number {self.before.sequence} of the chain, and the head says "
                f"{report.head.sequence}: the tail was cut off"
            )
        for stream, seq in () if self.partial else self.redacted.items():
            report.found(f"number {seq} of {stream}: its payload is gone; no `audit.redacted` says who did that")
        if not self.key:
            report.notes.append("signatures were not checked: set COUNTERSIGN_AUDIT_KEY to the key of the export")
        return CheckedFile(report, self.heads)

    def _head(self, where: str, document: Mapping[str, Any]) -> None:
        try:
            head = head_of(document)
        except BadLine as error:
            self.report.found(f"{where}: {error}")
            return
        if problem := signature_problem(document, self.key):
            self.report.found(f"{where}: the head of {document.get('written_at')}: {problem}")
        if self.report.events or self.ended:
            self.report.found(f"{where}: a head stands among the events")
        self.heads.append(document)
        self.head, self.partial = head, bool(document.get("selection"))
        self.before = None if self.partial else Head()
        self.report.head = head

    def _end(self, where: str, document: Mapping[str, Any]) -> None:
        if problem := signature_problem(document, self.key):
            self.report.found(f"{where}: the end: {problem}")
        if document.get("events") != self.report.events:
            self.report.found(
                f"{where}: the file was written with {document.get('events')} events and holds {self.report.events}"
            )
        if document.get("digest") != f"sha256:{self.digest.hexdigest()}":
            self.report.found(f"{where}: the bytes before it are not those that were written")
        self.ended = True

    def _event(self, where: str, document: Mapping[str, Any]) -> None:
        self.report.events += 1
        try:
            number, before, seal_hash, event = read_event(document)
        except BadLine as error:
            self.report.found(f"{where}: {error}")
            return
        if number != self.report.events:
            self._out_of_place(where, number, event)
            self.report.events = max(number, 0)
        if next_hash(before, event.hash()) != seal_hash:
            self.report.found(f"{where}: {event.name} is not what was sealed: it was changed")
        self._follow(where, before, event)
        self.before = Head(before.sequence + 1, seal_hash)
        self._account(event)

    def _out_of_place(self, where: str, number: int, event: SealedEvent) -> None:
        expected = self.report.events
        if number > expected:
            self.report.found(f"{where}: events {expected} to {number - 1} of the file are missing before {event.name}")
        else:
            self.report.found(f"{where}: {event.name} was event {number} of the file: it was moved or repeated")

    def _follow(self, where: str, before: Head, event: SealedEvent) -> None:
        """Seals that stand next to each other in the chain follow each other; in a whole export all do."""
        last = self.before
        if last is None or (self.partial and before.sequence > last.sequence):
            return
        if before.sequence < last.sequence:
            self.report.found(f"{where}: {event.name} stands behind a later one: the order was changed")
        elif before.sequence > last.sequence:
            missing = f"numbers {last.sequence + 1} to {before.sequence} of the chain"
            self.report.found(f"{where}: {missing} are missing before {event.name}")
        elif before.hash != last.hash:
            self.report.found(f"{where}: {event.name} does not follow the seal before it")

    def _account(self, event: SealedEvent) -> None:
        if event.type == "audit.redacted":
            self.redacted.pop(event.stream, None)
        elif event.data is None:
            self.redacted[event.stream] = event.seq


def _parsed(line: bytes) -> Mapping[str, Any] | None:
    try:
        document = json.loads(line)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None

"""What a verification found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agent_runtime.core.audit import Head

SAID = 100
"""Findings that are kept; the rest are counted."""


@dataclass(slots=True)
class Report:
    """`events` were checked; the chain ends at `head`. `notes` are no findings, but whoever looks should know them."""

    events: int = 0
    head: Head = field(default_factory=Head)
    findings: list[str] = field(default_factory=list)
    more: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def intact(self) -> bool:
        return not self.findings

    def found(self, what: str) -> None:
        """Adds a finding."""
        if len(self.findings) < SAID:
            self.findings.append(what)
        else:
            self.more += 1

    def as_json(self) -> Mapping[str, Any]:
        return {
            "intact": self.intact,
            "events": self.events,
            "sequence": self.head.sequence,
            "hash": self.head.hash.hex(),
            "findings": self.findings,
            "more_findings": self.more,
            "notes": self.notes,
        }

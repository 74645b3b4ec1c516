"""The outside world: a file to which every effect appends one line, and which no transaction can take back."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Effect:
    """One thing that happened: which kind of tool did it, for what, with which idempotency key ("" where none)."""

    kind: str
    reference: str
    key: str
    process: int


class Ledger:
    """Effects by reference: a file each, so that looking one up costs the same however many there are."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)

    def add(self, kind: str, reference: str, key: str = "") -> None:
        """The effect happens: one write, which a killed process has made wholly or not at all."""
        line = f"{kind} {key or '-'} {os.getpid()}\n".encode()
        file = os.open(self._folder / reference, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, line)
        finally:
            os.close(file)

    def of(self, reference: str) -> list[Effect]:
        """Everything that happened for `reference`, in order."""
        try:
            lines = (self._folder / reference).read_text().splitlines()
        except FileNotFoundError:
            return []
        parts = (line.split(" ") for line in lines)
        return [Effect(kind, reference, "" if key == "-" else key, int(process)) for kind, key, process in parts]

    def count(self, reference: str, kind: str) -> int:
        return Counter(effect.kind for effect in self.of(reference))[kind]

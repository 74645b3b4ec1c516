"""Epochs: each restore of the database opens one; what was made between the backup and the restore is lost. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from agent_runtime.core.duration import rfc3339
from agent_runtime.errors import LostInRestore, NotFound

_MINTED = re.compile(r"(?:apr|exe)_([0-9a-f]{12})7[0-9a-f]{3}[89ab][0-9a-f]{15}")


@dataclass(frozen=True, slots=True)
class Epoch:
    """One restore: to the state of `restored_to`, at `opened_at` (epoch microseconds)."""

    epoch: int
    principal: str
    reason: str
    restored_to: int
    opened_at: int


def unknown(kind: str, id: str, epochs: Sequence[Epoch]) -> NotFound:
    """The refusal for an id ("approval", "execution") that nothing has: never known, or lost in a restore.

    A minted id tells when it was made; of a caller's own nobody knows.
    """
    made = made_at(id)
    for epoch in epochs:
        if made is None or epoch.restored_to - 1_000 <= made <= epoch.opened_at:
            then, now = rfc3339(epoch.restored_to), rfc3339(epoch.opened_at)
            back = f"the database was restored at {now} to its state of {then}"
            if made is None:
                return NotFound(f"no {kind} has the id {id!r}; {back}, and it may have been lost with that")
            return LostInRestore(
                f"this {kind} was lost in a restore: {back}, and it was made at {rfc3339(made)}. Nothing runs by it; "
                "look whether it took effect before you ask again"
            )
    return NotFound(f"no {kind} has the id {id!r}")


def made_at(id: str) -> int | None:
    """When a minted id was made, in epoch microseconds to the millisecond (RFC 9562, 5.7)."""
    minted = _MINTED.fullmatch(id)
    return None if minted is None else int(minted[1], 16) * 1_000

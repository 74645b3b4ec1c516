"""What a process has counted since it began: plain numbers, read when somebody asks for figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from agent_runtime.store.intake import BATCH, Request

SIZES = tuple(2**power for power in range(BATCH.bit_length()))
"""Upper bounds of batch sizes: 1, 2, 4, … up to BATCH."""


@dataclass(slots=True)
class Figures:
    """`counts` has what operations counted (`Tx.count`), by its name and labels, once that was committed."""

    counts: Counter[tuple[str, ...]] = field(default_factory=Counter)
    batches: list[int] = field(default_factory=lambda: [0] * len(SIZES))
    """Transactions that were committed, by size: as many as SIZES, each up to that bound; what joined a full
    one counts with those.
    """
    requests: int = 0
    """Operations that were committed."""

    def add(self, batch: Sequence[Request]) -> None:
        """A batch that was answered; what failed in it counts for nothing."""
        landed = 0
        for request in batch:
            if request.error is None:
                landed += 1
                if request.counted:
                    self.counts.update(request.counted)
        if landed:
            self.requests += landed
            self.batches[min((landed - 1).bit_length(), len(SIZES) - 1)] += 1

"""How much of everything a run does."""

from __future__ import annotations

from dataclasses import dataclass

from agent_runtime.conformance.flooded import FEW, FLOODS, FloodSizes


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is done. Zero leaves a part out."""

    kills: int = 200
    """At each failpoint."""
    rounds: int = 1000
    deadlines: int = 1000
    replicas: int = 1000
    kill_every: float = 3.0
    replicas_killed: int | None = None
    """At most; None: as long as executions run."""
    changes: int = 50
    sleepers: int = 8
    parked: int = 10_000
    floods: FloodSizes | None = FLOODS
    """None leaves them out."""
    leases: bool = True
    """Whether the leases of servers that were killed at failpoints run out by themselves (15 s on PostgreSQL)."""
    patience: float = 600.0
    points: frozenset[str] = frozenset()
    """The failpoints; all by default."""


QUICK = Sizes(
    kills=1,
    rounds=25,
    deadlines=100,
    replicas=40,
    kill_every=1.0,
    replicas_killed=2,
    changes=5,
    sleepers=0,
    parked=100,
    floods=FEW,
    leases=False,
    patience=60,
)
"""Under a minute on two cores."""

FULL = Sizes()

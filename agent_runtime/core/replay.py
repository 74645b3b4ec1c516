"""The journal of a reasoner: what a replay finds, and what it refuses. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from agent_runtime.core.execution import Step
from agent_runtime.errors import InvalidRequest, NonDeterminism


@dataclass(frozen=True, slots=True)
class Asked:
    """One durable thing that the code asks for. `digest` covers its arguments; `name` is explicit or a default."""

    kind: str
    name: str
    digest: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r}"


@dataclass(slots=True)
class Replay:
    """Matches what the code asks for, in the order that it asks, against the journal.

    The n-th unnamed thing belongs to the n-th unnamed record, a named one to the record of its name, so that named
    ones may be asked for in any order (after a race).
    """

    recorded: dict[str, Step] = field(default_factory=dict)
    next_position: int = 0
    _unnamed: int = 0
    _asked: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, journal: Sequence[Step]) -> Replay:
        replay = cls()
        for step in journal:
            replay.take(step)
        return replay

    def take(self, step: Step) -> None:
        """A record, new or as it is now."""
        self.recorded[step.call_id] = step
        self.next_position = max(self.next_position, step.position + 1)

    def ask(self, asked: Asked, explicit_name: str | None) -> tuple[str, int, Step | None]:
        """(key, position, record or None) of what the code asks for now.

        Raises NonDeterminism where the journal holds something else there, InvalidRequest for a name used twice.
        """
        key = self._key(explicit_name)
        step = self.recorded.get(key)
        if step is None:
            position, self.next_position = self.next_position, self.next_position + 1
            return key, position, None
        if (step.kind, step.name, step.digest) != (asked.kind, asked.name, asked.digest):
            what = "with other arguments" if (step.kind, step.name) == (asked.kind, asked.name) else f"{asked}"
            raise NonDeterminism(
                f"replay: at {_place(key, step)} the journal holds {step.kind} {step.name!r}, the code asked for {what}"
            )
        return key, step.position, step

    def _key(self, explicit_name: str | None) -> str:
        if explicit_name is None:
            self._unnamed += 1
            return f"#{self._unnamed}"
        if explicit_name in self._asked:
            raise InvalidRequest(f"name: {explicit_name!r} is used twice in one run; a name stands for one step")
        self._asked.add(explicit_name)
        return f"={explicit_name}"


def _place(key: str, step: Step) -> str:
    return f"name {key[1:]!r}" if key.startswith("=") else f"step {key[1:]} (position {step.position})"

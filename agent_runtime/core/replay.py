"""The journal of a reasoner: what a replay finds, and what it refuses. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from agent_runtime.core.execution import Step, StepKind
from agent_runtime.errors import InvalidRequest, NonDeterminism


@dataclass(frozen=True, slots=True)
class Asked:
    """One durable thing that the code asks for; `digest` covers what it is asked with."""

    kind: StepKind
    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a durable thing belongs in the journal, and what is recorded there."""

    key: str
    position: int
    recorded: Step | None


class Replay:
    """Matches what the code asks for, in the order that it asks, against the journal.

    The n-th unnamed thing belongs to the n-th unnamed record, a named one to the record of its name, so that named
    ones may be asked for in any order (after a race). What follows a resumed approval (`wait_for_resume`) is counted
    apart: the code went another way there than when it asked. A record is handed out once and then forgotten.
    """

    def __init__(self, journal: Sequence[Step] = ()) -> None:
        self._recorded = {step.call_id: step for step in journal}
        self._next_position = 1 + max((step.position for step in journal), default=-1)
        self._branch = ""
        self._unnamed = 0
        self._named: set[str] = set()
        self._passed: set[str] = set()
        self._resumptions: Counter[str] = Counter()

    def ask(self, asked: Asked, name: str | None = None) -> Place:
        """The place of what the code asks for now, by its explicit `name` or in its turn.

        Raises NonDeterminism where the journal holds something else there, InvalidRequest for a name used twice.
        """
        key = self._key(name)
        step = self._recorded.pop(key, None)
        if step is None:
            return self.new_place(key)
        if (step.kind, step.name, step.digest) != (asked.kind, asked.name, asked.digest):
            raise _differs(key, step, asked)
        return Place(key, step.position, step)

    def resumption(self, approval_request_id: str) -> tuple[str, Step | None]:
        """The key of the next resumption of an approval, and what is recorded there."""
        self._resumptions[approval_request_id] += 1
        key = f"?{approval_request_id}#{self._resumptions[approval_request_id]}"
        return key, self._recorded.pop(key, None)

    def new_place(self, key: str) -> Place:
        """A place for what is to be recorded under `key`."""
        position, self._next_position = self._next_position, self._next_position + 1
        return Place(key, position, None)

    def resumed(self, key: str, approval_request_id: str) -> None:
        """The code goes on with what was resumed under `key`."""
        self.passed(approval_request_id)
        self._branch, self._unnamed = key, 0

    def passed(self, approval_request_id: str) -> None:
        """The code has come to the line that asked for this approval."""
        self._passed.add(approval_request_id)

    def has_passed(self, approval_request_id: str) -> bool:
        """Whether this run of the code has come to the line that asked for this approval."""
        return approval_request_id in self._passed

    def _key(self, name: str | None) -> str:
        if name is None:
            self._unnamed += 1
            return f"{self._branch}#{self._unnamed}"
        if name in self._named:
            raise InvalidRequest(f"name: {name!r} is used twice in one run; a name stands for one durable thing")
        self._named.add(name)
        return f"={name}"


def _differs(key: str, step: Step, asked: Asked) -> NonDeterminism:
    place = f"the name {key[1:]!r}" if key.startswith("=") else f"position {step.position}"
    recorded, wanted = _words(step.kind, step.name), _words(asked.kind, asked.name)
    if recorded == wanted:
        recorded += f" with {_short(step.digest)}"
        wanted += f" with {_short(asked.digest)} (the digests of what it is asked with)"
    return NonDeterminism(
        f"at {place} the journal holds {recorded}, and the code asks for {wanted}. What may differ between two runs "
        "(ids, times, other services) belongs in a step; what races needs a name"
    )


def _words(kind: str, name: str) -> str:
    if kind == StepKind.model:
        return "ai()"
    return f"the step {name}()" if kind == StepKind.tool else f"{kind}({name!r})"


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]

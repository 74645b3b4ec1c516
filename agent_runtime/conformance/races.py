"""P2, P7: sixteen resolvers at once, through every door, and the expiry among them."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent_runtime.conformance.agents import RACED_FOR
from agent_runtime.conformance.doors import Answer, Door, Shown
from agent_runtime.conformance.figures import Finding
from agent_runtime.conformance.people import LOOK_EVERY, People
from agent_runtime.conformance.waiting import until
from agent_runtime.core.approval import ApprovalRequest, ApprovalStatus
from agent_runtime.core.duration import SECOND
from agent_runtime.store.approvals import GET_APPROVAL, PENDING_OF_EXECUTION, VOTES
from agent_runtime.store.database import Database
from agent_runtime.store.events import EVENTS_OF_STREAM
from agent_runtime.store.executions import GET_EXECUTION

RESOLVERS = 16
AT_ONCE = 25
"""Approvals that are raced for side by side."""

VERDICTS = ("approved", "rejected", "request_changes")
ENDS_WITHIN = 60.0


@dataclass
class Races:
    """Rounds on one deployment. A round is one approval of an execution, for which all resolvers race. `seldom` are the
    doors that take long to open: they take part in every so many rounds, in which others may wait for them.
    """

    database: Database
    people: People
    url: str
    doors: Sequence[tuple[str, Door]]
    seldom: Mapping[str, int] = field(default_factory=dict)
    winners: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    tried: Counter[str] = field(default_factory=Counter)
    untold: int = 0
    executed: int = 0

    def __post_init__(self) -> None:
        self._chance = random.Random(20)  # noqa: S311 - who clicks when

    async def run(self, rounds: int) -> Finding:
        """Rounds, AT_ONCE of them side by side."""
        began = time.monotonic()
        for first in range(0, rounds, AT_ONCE):
            numbers = range(first, min(rounds, first + AT_ONCE))
            await asyncio.gather(*(self._round(number) for number in numbers))
        return Finding(
            "P2",
            f"{RESOLVERS} resolvers at once through {len(self.doors) + 1} doors",
            {
                "rounds": rounds,
                "with one winner": sum(self.winners.values()),
                "calls run": self.executed,
                "decisions through": " ".join(f"{door}:{tried}" for door, tried in sorted(self.tried.items())),
                "won by": " ".join(f"{door}:{won}" for door, won in sorted(self.winners.items())),
                "losers not told who won": self.untold,
            },
            tuple(self.violations),
            time.monotonic() - began,
        )

    async def _round(self, number: int) -> None:
        reference = f"raced-{number}"
        self.people.want(reference, f"{reference} raced")
        await self.people.start(self.url, reference)
        execution_id = self.people.started[reference]
        approval = await self._pending(execution_id)
        shown = Shown(approval.approval_request_id, approval.digest)
        answers = await self._race(number, shown, approval)
        await self._ended(execution_id)
        decided = await self.database.one(GET_APPROVAL, b_id=shown.approval_request_id)
        assert decided is not None
        await self._judge(reference, decided, answers)

    async def _pending(self, execution_id: str) -> ApprovalRequest:
        found: list[ApprovalRequest] = []

        async def there() -> bool:
            found[:] = await self.database.all(PENDING_OF_EXECUTION, b_execution=execution_id)
            return bool(found)

        if not await until(there, within=ENDS_WITHIN, every=LOOK_EVERY):
            raise RuntimeError(f"{execution_id} asks for nothing")
        return found[0]

    async def _race(self, round: int, shown: Shown, approval: ApprovalRequest) -> list[tuple[str, Answer]]:
        """All at once: soon after it was asked, or (every third) around the instant at which it expires."""
        doors = [(name, door) for name, door in self.doors if round % self.seldom.get(name, 1) == 0]
        slow = {"slack", *self.seldom} & {name for name, _ in doors}
        late = self._chance.random() < 1 / 3
        lead = (
            self._chance.random() < 1 / 3
        )  # a click looks up the clicker first, a process starts: they would never win
        ends_in = ((approval.expires_at or 0) - self.database.clock()) / SECOND
        wait = max(0.0, ends_in - 0.01) if late else self._chance.uniform(0, RACED_FOR / 20)
        await asyncio.sleep(wait)

        async def one(number: int) -> tuple[str, Answer]:
            name, door = doors[number % len(doors)]
            self.tried[name.partition(" ")[0]] += 1
            if late or (lead and name not in slow):
                longest = RACED_FOR / 2 if slow & self.seldom.keys() else 0.1
                await asyncio.sleep(self._chance.uniform(0, 0.02 if late else longest))
            verdict = self._chance.choice(VERDICTS) if name != "slack" else "approved"
            return name, await door(shown, verdict, f"resolver {number}" if name != "slack" else "")

        return await asyncio.gather(*map(one, range(RESOLVERS)))

    async def _ended(self, execution_id: str) -> None:
        async def over() -> bool:
            execution = await self.database.one(GET_EXECUTION, b_id=execution_id)
            return execution is not None and execution.terminal

        if not await until(over, within=ENDS_WITHIN, every=LOOK_EVERY):
            self.violations.append(f"{execution_id} has not ended {ENDS_WITHIN:g} s after the race")

    async def _judge(self, reference: str, decided: ApprovalRequest, answers: Sequence[tuple[str, Answer]]) -> None:
        resolution: dict[str, Any] = dict(decided.resolution or {})
        via = str(resolution.get("via", ""))
        won = [(name, answer) for name, answer in answers if answer.won and answer.told]
        expected = 0 if via in {"expiry", "slack"} else 1
        if len(won) != expected:
            self.violations.append(f"{reference}: {len(won)} were told that they won; {via} did")
        votes = await self.database.all(VOTES, b_id=decided.approval_request_id)
        if len(votes) != (0 if via == "expiry" else 1):
            self.violations.append(f"{reference}: {len(votes)} decisions are recorded")
        events = await self.database.all(EVENTS_OF_STREAM, b_stream=decided.execution_id, b_after=0, b_limit=1000)
        ends = [event.type for event in events if event.type == f"approval.{decided.status}"]
        if len(ends) != 1:
            self.violations.append(f"{reference}: it ended {len(ends)} times")
        if via != "expiry" and decided.expires_at is not None and (decided.resolved_at or 0) >= decided.expires_at:
            self.violations.append(f"{reference}: {via} decided after it had expired")
        happened = self.people.ledger.count(reference, "raced")
        if happened != int(decided.status == ApprovalStatus.approved):
            self.violations.append(f"{reference}: {decided.status}, and its call ran {happened} times")
        self.executed += happened
        self.winners[via] += 1
        by = str(resolution.get("by", ""))
        for name, answer in answers:
            if answer.told and not answer.won and not _names(answer.words, decided, by):
                self.untold += 1
                self.violations.append(f"{reference}: {name} lost and was told {answer.words!r}")
            if not answer.told and name not in {"slack"}:
                self.violations.append(f"{reference}: {name} was told neither: {answer.words!r}")


def _names(words: str, decided: ApprovalRequest, by: str) -> bool:
    """Whether a refusal says who won, or that time did."""
    return "expired" in words if decided.status == ApprovalStatus.expired else by in words

"""A request's view of its writer's transaction: what operations know as `Tx`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from agent_runtime.store.statement import Q
from agent_runtime.store.tx import Write

R = TypeVar("R")
Rows = Sequence[Sequence[Any]]
Deferred = list[tuple[Q[Any], dict[str, Any]]]
"""Inserts that are written at the commit, in order."""


class Statements(Protocol):
    """What runs statements. Raises errors of `store.faults`, or StoreUnavailable."""

    def rows(self, q: Q[Any], binds: dict[str, Any]) -> Rows: ...

    def each(self, q: Q[Any], binds: Sequence[dict[str, Any]]) -> Sequence[Rows]:
        """The rows of one statement for each of `binds`."""
        ...

    def together(self, writes: Sequence[Write]) -> Sequence[Rows]:
        """The rows of each of `writes`; see `Tx.together`."""
        ...


class Transaction:
    """Gathers what is deferred, announced and counted; see `Tx`. How a write is undone is the subclasses' matter."""

    __slots__ = ("_statements", "counted", "deferred", "now", "topics")

    def __init__(self, statements: Statements, now: int) -> None:
        self._statements = statements
        self.deferred: Deferred = []
        self.topics: set[str] = set()
        self.counted: list[tuple[str, ...]] = []
        self.now = now

    def one(self, q: Q[R], /, **binds: Any) -> R | None:
        rows = self._statements.rows(q, binds)
        return q.row(*rows[0]) if rows else None

    def all(self, q: Q[R], /, **binds: Any) -> Sequence[R]:
        make = q.row
        return [make(*row) for row in self._statements.rows(q, binds)]

    def each(self, q: Q[R], binds: Sequence[dict[str, Any]], /) -> Sequence[Sequence[R]]:
        make = q.row
        return [[make(*row) for row in rows] for rows in self._statements.each(q, binds)] if binds else []

    def together(self, *writes: Write) -> Sequence[Any]:
        answers = self._statements.together(writes)
        return [q.row(*rows[0]) if rows else None for (q, _), rows in zip(writes, answers, strict=True)]

    def later(self, q: Q[Any], /, **binds: Any) -> None:
        self.deferred.append((q, binds))

    def wake(self, topic: str) -> None:
        self.topics.add(topic)

    def count(self, *what: str) -> None:
        self.counted.append(what)

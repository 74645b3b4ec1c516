"""Requests without a savepoint each: cheap, and where one raises after it has written, all of it is rolled back and
the batch runs one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from agent_runtime.errors import CountersignError, StoreUnavailable
from agent_runtime.store.faults import Collision, Entangled
from agent_runtime.store.intake import Request
from agent_runtime.store.statement import Q
from agent_runtime.store.transaction import Deferred, Statements, Transaction
from agent_runtime.store.tx import Write

R = TypeVar("R")


class _Noting(Transaction):
    """Knows whether anything was written."""

    __slots__ = ("wrote",)

    def __init__(self, statements: Statements, now: int) -> None:
        super().__init__(statements, now)
        self.wrote = False

    def run(self, q: Q[R], /, **binds: Any) -> R | None:
        row = self.one(q, **binds)
        self.wrote = self.wrote or row is not None or not q.returns
        return row

    def run_all(self, q: Q[R], /, **binds: Any) -> Sequence[R]:
        rows = self.all(q, **binds)
        self.wrote = self.wrote or bool(rows) or not q.returns
        return rows

    def run_each(self, q: Q[R], binds: Sequence[dict[str, Any]], /) -> Sequence[Sequence[R]]:
        rows = self.each(q, binds)
        self.wrote = self.wrote or any(rows) or (bool(binds) and not q.returns)
        return rows

    def together(self, *writes: Write) -> Sequence[Any]:
        self.wrote = True
        return super().together(*writes)


def in_order(
    connection: Statements, batch: Iterable[Request], now: int, owners: Mapping[str, str]
) -> Iterable[Deferred]:
    """Runs the requests in this order; yields what each defers. Raises Entangled."""
    for request in batch:
        yield run(connection, request, now)


def run(statements: Statements, request: Request, now: int) -> Deferred:
    """Runs one request; returns what it defers. Raises Entangled."""
    tx = _Noting(statements, now)
    try:
        result = request.operation(tx, *request.args, **request.kwargs)
    except (StoreUnavailable, Entangled):
        raise
    except Exception as error:
        if tx.wrote or isinstance(error, Collision):
            raise Entangled from error
        request.refuse(error)
        return _what_it_leaves(statements, error, now)
    request.succeed(result, tx.topics, tx.counted)
    return tx.deferred


def _what_it_leaves(statements: Statements, error: Exception, now: int) -> Deferred:
    """A refusal may leave a trace although nothing else is written (`CountersignError.leaves`)."""
    if not isinstance(error, CountersignError) or error.leaves is None:
        return []
    tx = _Noting(statements, now)
    error.leaves(tx)
    return tx.deferred

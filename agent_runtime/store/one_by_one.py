"""The requests of a batch one after another, each behind its own savepoint: one that raises leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from agent_runtime.errors import CountersignError, StoreUnavailable
from agent_runtime.store.faults import Collision
from agent_runtime.store.intake import Request
from agent_runtime.store.statement import Q
from agent_runtime.store.transaction import Deferred, Statements, Transaction
from agent_runtime.store.tx import Write

R = TypeVar("R")

TRIES = 5
"""Runs of one request, where others who write at the same time keep it from landing."""


class Savepoints(Statements, Protocol):
    """A connection that can go back."""

    def savepoint(self) -> None: ...

    def release(self) -> None: ...

    def undo(self) -> None:
        """Back to the savepoint, which is gone then."""
        ...


class _Undoable(Transaction):
    """The first write sets the savepoint; what only reads costs none."""

    __slots__ = ("_connection", "_saved")

    def __init__(self, connection: Savepoints, now: int) -> None:
        super().__init__(connection, now)
        self._connection = connection
        self._saved = False

    def run(self, q: Q[R], /, **binds: Any) -> R | None:
        self._save()
        return self.one(q, **binds)

    def run_all(self, q: Q[R], /, **binds: Any) -> Sequence[R]:
        self._save()
        return self.all(q, **binds)

    def run_each(self, q: Q[R], binds: Sequence[dict[str, Any]], /) -> Sequence[Sequence[R]]:
        self._save()
        return self.each(q, binds)

    def together(self, *writes: Write) -> Sequence[Any]:
        self._save()
        return super().together(*writes)

    def keep(self) -> None:
        """The request is done: what it wrote stays with the batch."""
        if self._saved:
            self._connection.release()

    def undo(self) -> None:
        """The request has failed: what it wrote goes."""
        if self._saved:
            self._connection.undo()

    def _save(self) -> None:
        if not self._saved:
            self._connection.savepoint()
            self._saved = True


def one_by_one(
    connection: Savepoints, batch: Iterable[Request], now: int, owners: Mapping[str, str]
) -> Iterable[Deferred]:
    """Runs the requests in this order; yields what each defers."""
    for request in batch:
        yield _run(connection, request, now)


def _run(connection: Savepoints, request: Request, now: int) -> Deferred:
    """After a collision it runs again: the row that was first can be seen now."""
    for attempt in range(TRIES):
        tx = _Undoable(connection, now)
        try:
            result = request.operation(tx, *request.args, **request.kwargs)
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - handed to whoever awaits the request
            tx.undo()
            request.refuse(error)
            if isinstance(error, Collision) and attempt < TRIES - 1:
                continue
            return _what_it_leaves(connection, error, now)
        tx.keep()
        request.succeed(result, tx.topics, tx.counted)
        return tx.deferred
    return []


def _what_it_leaves(connection: Savepoints, error: Exception, now: int) -> Deferred:
    """A refusal may leave a trace although all else is rolled back (`CountersignError.leaves`)."""
    if not isinstance(error, CountersignError) or error.leaves is None:
        return []
    tx = _Undoable(connection, now)
    error.leaves(tx)
    tx.keep()
    return tx.deferred

"""What an operation sees of a transaction: the same on every database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from agent_runtime.store.statement import Q

R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

Write = tuple[Q[Any], dict[str, Any]]
"""A statement that writes a row at most, and its binds."""

OWN_ROWS: set[Callable[..., Any]] = set()
UNSHARED_ROWS: set[Callable[..., Any]] = set()
FIRST_READS: dict[Callable[..., Any], tuple[Q[Any], str]] = {}


def own_rows(operation: F) -> F:
    """Marks an operation that writes, beside new rows, only those of its first argument: an execution with its calls,
    approvals, callers and children, or an approval that an outsider asked for.

    Within one transaction it may run at the same time as others that work on other things.
    """
    OWN_ROWS.add(operation)
    return operation


def unshared_rows(operation: F) -> F:
    """Marks an operation that writes only rows that no other does at that time: new ones, or such as its caller holds.

    It may run at the same time as any others within one transaction.
    """
    UNSHARED_ROWS.add(operation)
    return operation


def reads_first(q: Q[Any], bind: str) -> Callable[[F], F]:
    """Marks an operation on an id that begins with reading its row, and locks it: by `q`, which has the id as `bind`.

    The rows that its transaction locks and that one can then be had at once.
    """

    def mark(operation: F) -> F:
        FIRST_READS[operation] = (q, bind)
        return operation

    return mark


class Tx(Protocol):
    """One request's part of a writer's transaction.

    An operation is a plain function `f(tx, …)`. It may run twice (a batch that fails is replayed one by one), so it has
    no effects outside `tx`. Rows written by `later` are invisible to reads in the same batch.
    """

    now: int
    """The transaction's time, epoch microseconds: the database's on PostgreSQL, the injected clock's on SQLite."""

    def one(self, q: Q[R], /, **binds: Any) -> R | None:
        """The first row, or None."""
        ...

    def all(self, q: Q[R], /, **binds: Any) -> Sequence[R]:
        """Every row."""
        ...

    def each(self, q: Q[R], binds: Sequence[dict[str, Any]], /) -> Sequence[Sequence[R]]:
        """Every row, for each of `binds`: one question about many things."""
        ...

    def run(self, q: Q[R], /, **binds: Any) -> R | None:
        """An immediate write. With RETURNING: the first row, or None where nothing landed."""
        ...

    def run_all(self, q: Q[R], /, **binds: Any) -> Sequence[R]:
        """An immediate write with RETURNING: every row that it returns."""
        ...

    def run_each(self, q: Q[R], binds: Sequence[dict[str, Any]], /) -> Sequence[Sequence[R]]:
        """An immediate write for each of `binds`, in this order; the rows that each returns."""
        ...

    def together(self, *writes: Write) -> Sequence[Any]:
        """Immediate writes in one round trip, or as few as the database needs: the row that each returns, or None.

        All of them are carried out, whatever becomes of the others, so that whoever sends a guard with what it guards
        raises where that did not land. None may depend on another one, nor write a row that another writes.
        """
        ...

    def later(self, q: Q[Any], /, **binds: Any) -> None:
        """An insert deferred to the commit; one executemany a statement a commit.

        Where the statement is `serialised_by` a bind, no other transaction adds a row under the same name between
        this insert and the commit.
        """
        ...

    def wake(self, topic: str) -> None:
        """Announces `topic` once the transaction has committed."""
        ...

    def count(self, *what: str) -> None:
        """Counts something (its name, then its labels) among this process's figures, once that has committed."""
        ...

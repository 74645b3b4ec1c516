"""Group commit: the requests that wait share one transaction, each behind its own savepoint.

Written once for both databases as plain synchronous code over a driver's `Connection`; nobody is told anything before
the COMMIT that makes it true.
"""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from agent_runtime import failpoints
from agent_runtime.errors import CountersignError, StoreUnavailable
from agent_runtime.store.faults import Collision, ConnectionLost, Contended, OutcomeUnknown
from agent_runtime.store.statement import Compiled, Q

R = TypeVar("R")

BATCH = 64
"""Requests that share one COMMIT at most."""

TRIES = 5
"""Runs of one request, where others who write at the same time keep it from landing."""


class Connection(Protocol):
    """A driver's connection as a batch uses it. Every method raises errors of `store.faults`, or StoreUnavailable."""

    @property
    def dialect(self) -> str: ...

    @property
    def alone(self) -> bool:
        """Whether nobody else can write while its transaction is open."""
        ...

    def begin(self, *, patient: bool) -> None:
        """Begins a transaction; `patient`: waits long for locks."""
        ...

    def commit(self) -> None:
        """Raises too where the transaction had failed before and could only be rolled back."""
        ...

    def roll_back(self) -> None:
        """Ends the transaction, if one is open."""
        ...

    def savepoint(self) -> None: ...

    def release(self) -> None: ...

    def undo(self) -> None:
        """Back to the savepoint, which is gone then."""
        ...

    def rows(self, compiled: Compiled, binds: dict[str, Any]) -> Sequence[Sequence[Any]]: ...

    def insert(self, compiled: Compiled, rows: Sequence[dict[str, Any]]) -> None: ...

    def serialise(self, names: Iterable[str]) -> None:
        """From here to the end of the transaction no other one adds to what is called so."""
        ...

    def lock(self, ids: Iterable[str]) -> tuple[int, Mapping[str, str]]:
        """Locks the executions that have these ids, or whose approvals do, in the order of their ids, then the
        approvals without an execution; says which execution belongs to which id, after the transaction's time (epoch
        microseconds). It is read when the locks are held: whoever waited for one decides later than who had it.
        """
        ...


@dataclass(slots=True, eq=False)
class Request:
    """One call of an operation, and where its answer goes."""

    operation: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    future: asyncio.Future[Any]
    answered: bool = False
    result: Any = None
    error: BaseException | None = None
    topics: set[str] = field(default_factory=set)
    counted: list[tuple[str, ...]] = field(default_factory=list)

    @property
    def works_on(self) -> str:
        """The id of the execution or approval that it is about: its first argument, or what that names; else ""."""
        first = self.args[0] if self.args else ""
        if isinstance(first, str):
            return first
        return str(getattr(first, "execution_id", None) or getattr(first, "subject", ""))

    def fail(self, error: BaseException) -> None:
        self.answered, self.result, self.error = True, None, error
        self.topics, self.counted = set(), []


class Transaction:
    """A request's view of the batch's transaction; see `Tx`."""

    __slots__ = ("_connection", "_dialect", "_saved", "counted", "deferred", "now", "topics")

    def __init__(self, connection: Connection, now: int) -> None:
        self._connection = connection
        self._dialect = connection.dialect
        self._saved = False
        self.deferred: list[tuple[Q[Any], dict[str, Any]]] = []
        self.topics: set[str] = set()
        self.counted: list[tuple[str, ...]] = []
        self.now = now

    def one(self, q: Q[R], /, **binds: Any) -> R | None:
        rows = self._connection.rows(q.compiled(self._dialect), binds)
        return q.row(*rows[0]) if rows else None

    def all(self, q: Q[R], /, **binds: Any) -> Sequence[R]:
        make = q.row
        return [make(*row) for row in self._connection.rows(q.compiled(self._dialect), binds)]

    def run(self, q: Q[R], /, **binds: Any) -> R | None:
        self._save()
        return self.one(q, **binds)

    def run_all(self, q: Q[R], /, **binds: Any) -> Sequence[R]:
        self._save()
        return self.all(q, **binds)

    def later(self, q: Q[Any], /, **binds: Any) -> None:
        self.deferred.append((q, binds))

    def wake(self, topic: str) -> None:
        self.topics.add(topic)

    def count(self, *what: str) -> None:
        self.counted.append(what)

    def keep(self) -> None:
        """The request is done: what it wrote stays with the batch."""
        if self._saved:
            self._connection.release()

    def undo(self) -> None:
        """The request has failed: what it wrote goes."""
        if self._saved:
            self._connection.undo()

    def _save(self) -> None:
        """The first write sets the savepoint; what only reads costs none."""
        if not self._saved:
            self._connection.savepoint()
            self._saved = True


def commit(connection: Connection, batch: Sequence[Request]) -> None:
    """Answers every request of `batch`: in one transaction, or where that fails, each in one of its own.

    Raises ConnectionLost where the connection broke: requests that are not `answered` then wrote nothing. Those whose
    COMMIT was under way are answered with OutcomeUnknown.
    """
    for request in batch:
        request.error = None
    try:
        connection.begin(patient=len(batch) == 1)
    except ConnectionLost:
        raise
    except StoreUnavailable as error:
        for request in batch:
            request.fail(error)
        return
    try:
        _transact(connection, batch)
    except ConnectionLost:
        raise
    except Exception as error:  # noqa: BLE001 - what failed alone is told whoever asked for it
        connection.roll_back()
        if len(batch) > 1:
            for request in batch:
                _alone(connection, request)
        else:
            _alone(connection, batch[0], error)


def _alone(connection: Connection, request: Request, error: Exception | None = None) -> None:
    """A request in a transaction of its own, after `error`: again where others were in its way, else that is its
    answer.
    """
    for _ in range(TRIES):
        if error is not None and not isinstance(error, Contended | Collision):
            break
        request.error = None
        try:
            connection.begin(patient=True)
            _transact(connection, [request])
        except ConnectionLost:
            raise
        except Exception as failed:  # noqa: BLE001 - handed to whoever awaits the request
            connection.roll_back()
            error = failed
        else:
            return
    request.fail(request.error or error or StoreUnavailable())


def _transact(connection: Connection, batch: Sequence[Request]) -> None:
    """The requests, their deferred rows, COMMIT, and the answers. Raises where the whole transaction fails."""
    deferred: dict[Q[Any], list[dict[str, Any]]] = {}
    now, owners = connection.lock({request.works_on for request in batch} - {""})
    for request in batch if connection.alone else _in_lock_order(batch, owners):
        for q, binds in _run(connection, request, now):
            deferred.setdefault(q, []).append(binds)
    _flush(connection, deferred)
    if failpoints.armed:
        failpoints.reach("commit.before", *(request.operation.__name__ for request in batch))
    try:
        connection.commit()
    except OutcomeUnknown as error:
        for request in batch:
            request.fail(error)
        raise
    if failpoints.armed:
        failpoints.reach("commit.after", *(request.operation.__name__ for request in batch))
    for request in batch:
        request.answered = True


def _in_lock_order(batch: Sequence[Request], owners: Mapping[str, str]) -> Sequence[Request]:
    """One order for all writers, so that none waits in a circle."""

    def order(request: Request) -> tuple[bool, str]:
        return request.works_on in owners, owners.get(request.works_on, request.works_on)

    return sorted(batch, key=order)


def _run(connection: Connection, request: Request, now: int) -> Sequence[tuple[Q[Any], dict[str, Any]]]:
    """Runs one request and returns its deferred rows; one that raises leaves nothing behind.

    After a collision it runs again: the row that was first can be seen now.
    """
    for attempt in range(TRIES):
        tx = Transaction(connection, now)
        try:
            request.result = request.operation(tx, *request.args, **request.kwargs)
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - handed to whoever awaits the request
            tx.undo()
            request.result, request.error, request.topics, request.counted = None, error, set(), []
            if isinstance(error, Collision) and attempt < TRIES - 1:
                continue
            return _what_it_leaves(connection, error, now)
        tx.keep()
        request.error, request.topics, request.counted = None, tx.topics, tx.counted
        return tx.deferred
    return ()


def _what_it_leaves(connection: Connection, error: Exception, now: int) -> Sequence[tuple[Q[Any], dict[str, Any]]]:
    """A refusal may leave a trace although all else is rolled back (`CountersignError.leaves`); its deferred rows."""
    if not isinstance(error, CountersignError) or error.leaves is None:
        return ()
    tx = Transaction(connection, now)
    error.leaves(tx)
    tx.keep()
    return tx.deferred


def _flush(connection: Connection, deferred: Mapping[Q[Any], list[dict[str, Any]]]) -> None:
    """Writes the deferred rows, an executemany a statement, in the order of what they belong to."""
    if not connection.alone:
        names = {row[q.serialised_by] for q, rows in deferred.items() if q.serialised_by for row in rows}
        if names:
            connection.serialise(names)
    for q, rows in deferred.items():
        if q.serialised_by and not connection.alone:
            rows.sort(key=operator.itemgetter(q.serialised_by))
        connection.insert(q.compiled(connection.dialect), rows)

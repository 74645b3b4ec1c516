"""Group commit: the requests that wait share one transaction.

Written once for both databases as plain synchronous code over a driver's `Connection`; nobody is told anything before
the COMMIT that makes it true.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

from agent_runtime import failpoints
from agent_runtime.errors import StoreUnavailable
from agent_runtime.store import unsaved
from agent_runtime.store.faults import Collision, ConnectionLost, Contended, Entangled, OutcomeUnknown
from agent_runtime.store.intake import Request
from agent_runtime.store.one_by_one import TRIES, Savepoints, one_by_one
from agent_runtime.store.statement import Q
from agent_runtime.store.transaction import Deferred

Way = Callable[[Any, Sequence[Request], int, Mapping[str, str]], Iterable[Deferred]]
"""Runs requests in one transaction: connection, batch, the transaction's time, and what `Connection.lock` says."""

Joining = Callable[[Collection[str]], Sequence[Request]]
"""Requests that join the transaction that is going to announce these topics."""


def nobody(topics: Collection[str]) -> Sequence[Request]:
    """Nothing joins."""
    return ()


class Connection(Savepoints, Protocol):
    """A driver's connection as a batch uses it. Every method raises errors of `store.faults`, or StoreUnavailable."""

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

    def insert_all(self, deferred: Mapping[Q[Any], Sequence[dict[str, Any]]]) -> None:
        """Writes the rows of each insert."""
        ...

    def serialise(self, names: Iterable[str]) -> None:
        """From here to the end of the transaction no other one adds to what is called so."""
        ...

    def lock(self, ids: Iterable[str]) -> tuple[int, Mapping[str, str]]:
        """Locks the executions that have these ids, or whose approvals do, in the order of their ids, then the
        approvals without an execution; says which id belongs to which family (the id of the execution that nobody
        called, or of the approval), after the transaction's time (epoch microseconds). That is read when the locks are
        held: whoever waited for one decides later than who had it.
        """
        ...


def commit(connection: Connection, batch: list[Request], together: Way = one_by_one, joining: Joining = nobody) -> None:
    """Answers every request of `batch`: in one transaction, or where that fails, each in one of its own.

    `together` runs what shares a transaction; where it finds that it cannot, the same requests share one by one. What
    `joining` returns runs last in it, and is added to `batch`; where that fails, the others go without it.

    Raises ConnectionLost where the connection broke: requests that are not `answered` then wrote nothing. Those whose
    COMMIT was under way are answered with OutcomeUnknown.
    """
    try:
        connection.begin(patient=len(batch) == 1)
    except ConnectionLost:
        raise
    except StoreUnavailable as error:
        for request in batch:
            request.fail(error)
        return
    single = len(batch) == 1
    try:
        try:
            _transact(connection, batch, one_by_one if single and not connection.alone else together, joining)
        except Entangled:
            connection.roll_back()
            connection.begin(patient=single)
            _transact(connection, batch, one_by_one)
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
            _transact(connection, [request], one_by_one)
        except ConnectionLost:
            raise
        except Exception as failed:  # noqa: BLE001 - handed to whoever awaits the request
            connection.roll_back()
            error = failed
        else:
            return
    request.fail(request.error or error or StoreUnavailable())


def _transact(connection: Connection, batch: list[Request], way: Way, joining: Joining = nobody) -> None:
    """The requests, their deferred rows, COMMIT, and the answers. Raises where the whole transaction fails."""
    now, owners = connection.lock({request.works_on for request in batch} - {""})
    rows = _Rows()
    rows.add(way(connection, batch if connection.alone else _in_lock_order(batch, owners), now, owners))
    if joined := joining({topic for request in batch for topic in request.topics}):
        rows.write(connection, serialised=False)  # what joins is to see it
        _join(connection, joined, now, rows)
        batch += joined
    rows.write(connection)
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


def _join(connection: Connection, joined: Sequence[Request], now: int, rows: _Rows) -> None:
    """Runs what joins a transaction in which all else is done. Raises Entangled where the others must go without it."""
    try:
        rows.add(unsaved.in_order(connection, joined, now, {}))
        rows.write(connection, serialised=False)
        failed = next((request.error for request in joined if request.error is not None), None)
        if failed is not None:
            raise failed
    except Exception as error:
        reason = (error.__cause__ if isinstance(error, Entangled) else None) or error
        for request in joined:
            request.future.set_exception(reason)
        if isinstance(error, ConnectionLost):
            raise
        raise Entangled from error


def _in_lock_order(batch: Sequence[Request], owners: Mapping[str, str]) -> Sequence[Request]:
    """One order for all writers, so that none waits in a circle."""

    def order(request: Request) -> tuple[bool, str]:
        return request.works_on in owners, owners.get(request.works_on, request.works_on)

    return sorted(batch, key=order)


class _Rows:
    """What was deferred and is not written yet, by its statement."""

    def __init__(self) -> None:
        self._deferred: dict[Q[Any], list[dict[str, Any]]] = {}

    def add(self, done: Iterable[Deferred]) -> None:
        for of_one in done:
            for q, binds in of_one:
                self._deferred.setdefault(q, []).append(binds)

    def write(self, connection: Connection, *, serialised: bool = True) -> None:
        """Writes it, in the order of what the rows belong to; `serialised` ones may be left for later."""
        now = {q: rows for q, rows in self._deferred.items() if serialised or not q.serialised_by}
        self._deferred = {q: rows for q, rows in self._deferred.items() if q not in now}
        if not connection.alone:
            by = {q: q.serialised_by for q in now if q.serialised_by}
            connection.serialise({row[name] for q, name in by.items() for row in now[q]})
            for q, name in by.items():
                now[q].sort(key=operator.itemgetter(name))
        connection.insert_all(now)

"""Group commit: the requests that wait share one transaction.

Written once for both databases as plain synchronous code over a driver's `Connection`; nobody is told anything before
the COMMIT that makes it true.
"""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
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

Joining = Callable[[Sequence[Request], float], Sequence[Request]]
"""What joins the transaction in which these requests have run; with a time before its own, monotonic seconds."""


Ending = Callable[[Any, Iterable[str], Mapping[Q[Any], Sequence[dict[str, Any]]]], None]
"""Commits: connection, the names to serialise, and what is deferred still, of each insert the rows."""


def nobody(ran: Sequence[Request], since: float) -> Sequence[Request]:
    """Nothing joins."""
    return ()


def write_and_commit(
    connection: Connection, names: Iterable[str], deferred: Mapping[Q[Any], Sequence[dict[str, Any]]]
) -> None:
    """One after another."""
    if deferred:
        connection.serialise(names)
        connection.insert_all(deferred)
    connection.commit()


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


def commit(
    connection: Connection,
    batch: list[Request],
    together: Way = one_by_one,
    joining: Joining = nobody,
    ending: Ending = write_and_commit,
) -> None:
    """Answers every request of `batch`: in one transaction, or where that fails, each in one of its own.

    `together` runs what shares a transaction; where it finds that it cannot, the same requests share one by one. What
    `joining` returns runs behind them and is added to `batch`, then what it returns for those, until that is nothing.
    Where one of what joins fails, the others go without any of it. `ending` ends each transaction.

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
            way = one_by_one if single and not connection.alone else together
            _transact(connection, batch, ending, way, together, joining)
        except Entangled as error:
            _leave_joined(batch, error)
            connection.roll_back()
            connection.begin(patient=single)
            _transact(connection, batch, ending, one_by_one)
    except ConnectionLost as error:
        _leave_joined(batch, error)
        raise
    except Exception as error:  # noqa: BLE001 - what failed alone is told whoever asked for it
        left = _leave_joined(batch, error)
        connection.roll_back()
        if left or not single:
            for request in batch:
                _alone(connection, request, ending)
        else:
            _alone(connection, batch[0], ending, error)


def _leave_joined(batch: list[Request], error: Exception) -> bool:
    """What joined a transaction that failed is not run again: those that it joined announce what they lead to. Whether
    there was any.
    """
    left = [request for request in batch if request.joined and not request.answered]
    for request in left:
        batch.remove(request)
        request.future.set_exception(_reason(error))
    return bool(left)


def _reason(error: Exception) -> Exception:
    """Why requests could not share a transaction."""
    return error.__cause__ if isinstance(error, Entangled) and isinstance(error.__cause__, Exception) else error


def _alone(connection: Connection, request: Request, ending: Ending, error: Exception | None = None) -> None:
    """A request in a transaction of its own, after `error`: again where others were in its way, else that is its
    answer.
    """
    for _ in range(TRIES):
        if error is not None and not isinstance(error, Contended | Collision):
            break
        request.error = None
        try:
            connection.begin(patient=True)
            _transact(connection, [request], ending, one_by_one)
        except ConnectionLost:
            raise
        except Exception as failed:  # noqa: BLE001 - handed to whoever awaits the request
            connection.roll_back()
            error = failed
        else:
            return
    request.fail(request.error or error or StoreUnavailable())


def _transact(
    connection: Connection,
    batch: list[Request],
    ending: Ending,
    way: Way,
    together: Way = unsaved.in_order,
    joining: Joining = nobody,
) -> None:
    """The requests, what joins them, their deferred rows, COMMIT, and the answers. Raises where all of it fails."""
    since = time.monotonic()
    now, owners = connection.lock({request.works_on for request in batch} - {""})
    rows = _Rows()
    rows.add(way(connection, batch if connection.alone else _in_lock_order(batch, owners), now, owners))
    latest: Sequence[Request] = batch
    while joined := joining([request for request in latest if request.error is None], since):
        rows.write(connection, serialised=False)  # what joins is to see it
        _join(connection, joined, now, together if len(joined) > 1 else unsaved.in_order, rows)
        batch += joined
        latest = joined
    if connection.alone:  # there is nothing to save
        rows.write(connection)
    if failpoints.armed:
        failpoints.reach("commit.before", *(request.operation.__name__ for request in batch))
    try:
        ending(connection, *rows.left(connection))
    except OutcomeUnknown as error:
        for request in batch:
            request.fail(error)
        raise
    if failpoints.armed:
        failpoints.reach("commit.after", *(request.operation.__name__ for request in batch))
    for request in batch:
        request.answered = True


def _join(connection: Connection, joined: Sequence[Request], now: int, way: Way, rows: _Rows) -> None:
    """Runs what joins a transaction, each in rows of its own. Raises Entangled where the others must go without it."""
    try:
        rows.add(way(connection, joined, now, {request.works_on: request.works_on for request in joined}))
        rows.write(connection, serialised=False)
        failed = next((request.error for request in joined if request.error is not None), None)
        if failed is not None:
            raise failed
    except Exception as error:
        for request in joined:
            request.future.set_exception(_reason(error))
        if isinstance(error, ConnectionLost):
            raise
        raise Entangled from _reason(error)


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
        names, now = self.left(connection, serialised=serialised)
        if not connection.alone:
            connection.serialise(names)
        connection.insert_all(now)

    def left(
        self, connection: Connection, *, serialised: bool = True
    ) -> tuple[set[str], Mapping[Q[Any], Sequence[dict[str, Any]]]]:
        """What is to be written, in that order, after what it is to be serialised by: the caller writes it."""
        now = {q: rows for q, rows in self._deferred.items() if serialised or not q.serialised_by}
        self._deferred = {q: rows for q, rows in self._deferred.items() if q not in now}
        if connection.alone:
            return set(), now
        by = {q: q.serialised_by for q in now if q.serialised_by}
        for q, name in by.items():
            now[q].sort(key=operator.itemgetter(name))
        return {row[name] for q, name in by.items() for row in now[q]}, now

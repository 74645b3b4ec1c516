"""The requests of a batch side by side, so that statements of equal shape share a round trip.

Each lane of requests runs in a greenlet of its own. Where it asks for rows it is suspended; when all have asked or
ended, what was asked with the same statement is sent together. Operations notice nothing of it.

There is one transaction and so no row lock between them: only operations that keep to rows of their own
(`store.tx.own_rows`, `unshared_rows`) have lanes, one for each family of executions (a root and what it called) or
approval of an outsider. All others come after the lanes, one after another. Nor is there a savepoint a request: where
one raises after it has written, or a statement fails, all of it is rolled back, and the batch runs one by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet

from agent_runtime.errors import CountersignError, StoreUnavailable
from agent_runtime.store import unsaved
from agent_runtime.store.faults import Entangled
from agent_runtime.store.intake import Request
from agent_runtime.store.postgres.combined import together
from agent_runtime.store.statement import Q
from agent_runtime.store.transaction import Deferred, Rows, Statements
from agent_runtime.store.tx import OWN_ROWS, UNSHARED_ROWS, Write


class _Together:
    """Sends statements. One that fails has spoilt the transaction for everybody."""

    def __init__(self, connection: Statements) -> None:
        self._connection = connection

    def rows(self, q: Q[Any], binds: dict[str, Any]) -> Rows:
        return self.each(q, [binds])[0]

    def each(self, q: Q[Any], binds: Sequence[dict[str, Any]]) -> Sequence[Rows]:
        try:
            return self._connection.each(q, binds)
        except StoreUnavailable:
            raise
        except CountersignError as error:
            raise Entangled from error

    def together(self, writes: Sequence[Write]) -> Sequence[Rows]:
        return together(self, writes)


class _InItsLane:
    """Hands each statement to whoever started this greenlet, and waits for the rows."""

    def rows(self, q: Q[Any], binds: dict[str, Any]) -> Rows:
        return self.each(q, [binds])[0]

    def each(self, q: Q[Any], binds: Sequence[dict[str, Any]]) -> Sequence[Rows]:
        answer: Sequence[Rows] = getcurrent().parent.switch((q, binds))
        return answer

    def together(self, writes: Sequence[Write]) -> Sequence[Rows]:
        return together(self, writes)


def side_by_side(
    connection: Statements, batch: Iterable[Request], now: int, owners: Mapping[str, str]
) -> Iterable[Deferred]:
    """Runs the requests; returns what each defers, in the order in which they came to their end.

    `owners` says to which family the ids that requests work on belong. Raises Entangled.
    """
    lanes, others = _sorted_out(batch, owners)
    deferred: list[Deferred] = []

    def run(requests: Iterable[Request], statements: Statements) -> None:
        for request in requests:
            deferred.append(unsaved.run(statements, request, now))

    all_at_once, in_its_lane = _Together(connection), _InItsLane()
    _run_together(all_at_once, [greenlet(partial(run, lanes[key], in_its_lane)) for key in sorted(lanes)])
    run(others, all_at_once)
    return deferred


def _sorted_out(
    batch: Iterable[Request], owners: Mapping[str, str]
) -> tuple[Mapping[str, Sequence[Request]], Sequence[Request]]:
    """Those that share a lane, and those that have none.

    One that works on something that was not there when rows were locked has none either: by now it may be there, and
    belong to a family.
    """
    lanes: dict[str, list[Request]] = defaultdict(list)
    others: list[Request] = []
    for number, request in enumerate(batch):
        owner = owners.get(request.works_on)
        if request.operation in UNSHARED_ROWS:
            lanes[owner or request.works_on or f"\t{number}"].append(request)
        elif owner is not None and request.operation in OWN_ROWS:
            lanes[owner].append(request)
        else:
            others.append(request)
    return lanes, others


def _run_together(connection: Statements, lanes: Sequence[greenlet]) -> None:
    """Runs all lanes to their ends, always answering first the statement that was asked first."""
    asked: dict[Q[Any], list[tuple[greenlet, Sequence[dict[str, Any]]]]] = {}

    def go_on(lane: greenlet, *answer: Sequence[Rows]) -> None:
        question = lane.switch(*answer)
        if not lane.dead:
            q, binds = question
            asked.setdefault(q, []).append((lane, binds))

    try:
        for lane in lanes:
            go_on(lane)
        while asked:
            q = next(iter(asked))
            askers = asked.pop(q)
            answers = iter(connection.each(q, [one for _, binds in askers for one in binds]))
            for lane, binds in askers:
                go_on(lane, list(islice(answers, len(binds))))
    finally:
        for lane in lanes:
            if not lane.dead:
                lane.throw(GreenletExit)

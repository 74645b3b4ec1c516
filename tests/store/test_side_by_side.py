"""On PostgreSQL the requests of a batch run side by side: fewer round trips, and nobody notices."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from agent_runtime.core.approval import Decision, Verdict
from agent_runtime.core.execution import Execution, StepKind
from agent_runtime.core.policy import Policy
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.errors import AlreadyResolved, InvalidRequest, LostClaim, NotAuthorized, NotFound
from agent_runtime.operations.claim import park
from agent_runtime.operations.reason import Record, call_child
from agent_runtime.operations.resolve import Resolution, resolve
from agent_runtime.operations.start import Start, start
from agent_runtime.store.access import INSERT_SEEN
from agent_runtime.store.approvals import TOUCH_APPROVAL
from agent_runtime.store.database import Database
from agent_runtime.store.events import EVENTS_OF_STREAM
from agent_runtime.store.executions import CHILDREN, GET_EXECUTION, PROGRESS
from agent_runtime.store.tx import Tx, own_rows
from tests.samples import REVIEWERS, reviewer
from tests.store.crowd import AGENT, ASKED_BY, asking, execution, queued, running
from tests.store.work import insert, keys, sequence, together

pytestmark = pytest.mark.databases("postgresql")

APPROVE = Decision(Verdict.approved)


async def test_many_decisions_take_the_round_trips_of_one(database: Database, trips: Counter[str]) -> None:
    asked = await asking(database, 41)

    async def decide(some: list[tuple[Execution, Any]]) -> int:
        trips.clear()
        ids = [approval.approval_request_id for _, [approval] in some]
        answers = await asyncio.gather(
            *(database.write(resolve, one, APPROVE, by=LOCAL_OPERATOR, via=Via.api) for one in ids)
        )
        assert [answer.approval.status for answer in answers] == ["approved"] * len(some)
        return trips["trips"]

    alone = 2  # what it reads first comes with its locks, what it adds goes with the COMMIT
    assert await decide(asked[1:]) <= await decide(asked[:1]) + alone
    for held, _ in asked:
        assert (await execution(database, held.execution_id)).status == "queued"
        events = await sequence(database, held.execution_id)
        assert events == [*range(1, len(events) + 1)]


async def test_refusals_cost_nobody_anything(database: Database, trips: Counter[str]) -> None:
    """What is refused before it wrote needs no undoing; a trace of it stays where one is to stay."""
    asked = await asking(database, 5, policy=Policy(REVIEWERS))
    ids = [approval.approval_request_id for _, [approval] in asked]
    decided = ("U1", ids[0])
    by = {name: reviewer(name) for name in ("U1", "U2", "U77")}
    await database.write(resolve, ids[0], APPROVE, by=by["U1"], via=Via.slack)
    wanted = Start(AGENT.name, {"prompt": "x"}, idempotency_key="event-1")
    first = await database.write(start, wanted, by=ASKED_BY, via=Via.slack)
    trips.clear()
    stale = asked[1][0]

    def deciding(who: str, what: str) -> Any:
        return database.write(resolve, what, APPROVE, by=by[who], via=Via.slack)

    answers: list[Any] = await asyncio.gather(
        deciding(*decided),
        deciding("U2", ids[0]),
        deciding("U77", ids[2]),
        deciding("U1", "apr_unknown"),
        database.write(park, stale, stale.signals),
        database.write(start, wanted, by=ASKED_BY, via=Via.slack),
        *(deciding("U1", one) for one in ids[3:]),
        return_exceptions=True,
    )
    assert answers[0].already_processed
    assert [type(answer) for answer in answers[1:5]] == [AlreadyResolved, NotAuthorized, NotFound, LostClaim]
    assert answers[5].execution == first.execution
    assert [answer.approval.status for answer in answers[6:]] == ["approved"] * 2
    assert trips["rolled back"] == 0
    last = (await database.all(EVENTS_OF_STREAM, b_stream=asked[2][0].execution_id, b_after=0, b_limit=99))[-1]
    assert (last.type, last.principal) == ("approval.refused", by["U77"].principal)


async def test_16_resolvers_of_one_approval_in_one_batch(database: Database, trips: Counter[str]) -> None:
    [(held, [approval])] = await asking(database, 1, policy=Policy(tuple(f"U{n}" for n in range(101, 117))))
    trips.clear()
    answers = await together(
        database, *((_decide, approval.approval_request_id, f"U{number}") for number in range(101, 117))
    )
    assert Counter(type(answer) for answer in answers) == {Resolution: 1, AlreadyResolved: 15}
    assert trips["rolled back"] == 0
    assert (await execution(database, held.execution_id)).signals == 1


@own_rows
def _decide(tx: Tx, approval_request_id: str, user: str) -> Resolution:
    return resolve(tx, approval_request_id, APPROVE, by=reviewer(user), via=Via.slack)


async def test_one_that_fails_after_writing_leaves_nothing_and_spoils_nothing(
    database: Database, trips: Counter[str]
) -> None:
    held = await running(database, 3)

    @own_rows
    def write_and_fail(tx: Tx, execution: Execution, error: Exception | None) -> str:
        insert(tx, execution.execution_id)
        if error is not None:
            raise error
        return "written"

    refusal = InvalidRequest("no")
    trips.clear()
    answers = await together(database, *((write_and_fail, one, refusal if one is held[1] else None) for one in held))
    assert answers == ["written", refusal, "written"]
    assert trips["rolled back"] == 1
    assert await keys(database) == sorted(one.execution_id for one in (held[0], held[2]))


async def test_writes_sent_together_share_the_round_trips_of_all(database: Database, trips: Counter[str]) -> None:
    """Those of one request, and those of equal shape of all requests."""
    held = await running(database, 5)

    @own_rows
    def write_thrice(tx: Tx, execution: Execution) -> list[Any]:
        fenced = {"b_id": execution.execution_id, "b_opened": 0}
        key = {"delivery_key": execution.execution_id, "received_at": tx.now}
        beside = {"b_id": f"apr_none_{execution.execution_id}"}
        return [*tx.together((PROGRESS, fenced | {"b_fence": 1}), (INSERT_SEEN, key), (TOUCH_APPROVAL, beside))]

    for some in (held[:1], held[1:]):
        trips.clear()
        answers = await together(database, *((write_thrice, one) for one in some))
        assert [[row if row is None else tuple(row) for row in one] for one in answers] == [
            [(0, "running"), None, None]
        ] * len(some)
        assert trips["trips"] <= 4  # BEGIN, the locks, the three, COMMIT
    assert await keys(database) == sorted(one.execution_id for one in held)


async def test_what_belongs_together_runs_one_after_another(database: Database) -> None:
    """A child, its parent and their cousins: no statement of one comes between those of another."""
    families = []
    for parent in await running(database, 2):
        wanted = Record("call:0", 0, StepKind.call, "refund", "d")
        await database.write(call_child, parent, wanted, (), Start(AGENT.name, {"prompt": "x"}))
        [child] = await database.all(CHILDREN, b_parent=parent.execution_id)
        families.append([parent.execution_id, child.execution_id])
    seen: list[str] = []

    @own_rows
    def look_three_times(tx: Tx, execution_id: str) -> None:
        for _ in range(3):
            tx.one(GET_EXECUTION, b_id=execution_id)
            seen.append(execution_id)

    await together(database, *((look_three_times, one) for family in families for one in family))
    for family in families:
        assert [one for one in seen if one in family] == [family[0]] * 3 + [family[1]] * 3
    assert seen != sorted(seen, key=[one for family in families for one in family].index)


async def test_reads_of_equal_shape_share_a_round_trip(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = await queued(database, 50)
    sent: list[int] = []
    reader: Any = database._reader
    fetching = reader._fetch

    async def counted(q: Any, binds: Any) -> Any:
        sent.append(len(binds))
        return await fetching(q, binds)

    monkeypatch.setattr(reader, "_fetch", counted)
    found = await asyncio.gather(*(database.one(GET_EXECUTION, b_id=one) for one in (*ids, "exe_unknown")))
    assert [None if one is None else one.execution_id for one in found] == [*ids, None]
    assert sent == [51]


async def test_a_read_that_cannot_be_sent_is_refused_alone(database: Database) -> None:
    [known] = await queued(database, 1)
    found = await asyncio.gather(
        *(database.one(GET_EXECUTION, b_id=one) for one in (known, "\0", "\ud800", known)), return_exceptions=True
    )
    assert [type(one) for one in found] == [Execution, InvalidRequest, InvalidRequest, Execution]

"""What is shown of an execution on PostgreSQL: reads that follow each other are one."""

from __future__ import annotations

from typing import Any

import pytest

from agent_runtime.core.approval import Decision, Verdict
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.operations.resolve import resolve
from agent_runtime.store.approvals import OF_EXECUTION, VOTES
from agent_runtime.store.database import Database
from agent_runtime.store.executions import SHOWN
from agent_runtime.store.postgres import reader
from agent_runtime.store.steps import JOURNAL
from tests.store.crowd import asking

pytestmark = pytest.mark.databases("postgresql")


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many were answered by each round trip of reads."""
    sizes: list[int] = []
    fetch = reader.fetch_each

    async def counting(link: Any, q: Any, binds: Any) -> Any:
        sizes.append(len(binds))
        return await fetch(link, q, binds)

    monkeypatch.setattr(reader, "fetch_each", counting)
    return sizes


async def test_they_are_one_round_trip_and_say_the_same(database: Database, fetched: list[int]) -> None:
    [(held, [approval]), _] = await asking(database, 2)
    said = Decision(Verdict.approved, "fine")
    await database.write(resolve, approval.approval_request_id, said, by=LOCAL_OPERATOR, via=Via.sdk)

    async def look() -> list[Any]:
        shown = await database.one(SHOWN, b_id=held.execution_id)
        return [
            shown,
            await database.all(JOURNAL, b_id=held.execution_id),
            await database.all(OF_EXECUTION, b_execution=held.execution_id),
            await database.all(VOTES, b_id=approval.approval_request_id),
        ]

    async def holds(found: list[Any]) -> bool:
        return True

    by_itself = await look()
    assert [len(rows) for rows in by_itself[1:]] == [2, 1, 1]
    fetched.clear()
    assert await database.at_one_moment(look, holds) == by_itself
    assert fetched == [1]


async def test_what_is_read_again_or_of_another_is_not_what_was_kept(database: Database, fetched: list[int]) -> None:
    [(held, [approval]), (other, _)] = await asking(database, 2)

    async def look() -> list[str]:
        await database.one(SHOWN, b_id=held.execution_id)
        statuses = [one.status for one in await database.all(OF_EXECUTION, b_execution=held.execution_id)]
        approve = Decision(Verdict.approved)
        await database.write(resolve, approval.approval_request_id, approve, by=LOCAL_OPERATOR, via=Via.sdk)
        for execution in (held, other):
            found = await database.all(OF_EXECUTION, b_execution=execution.execution_id)
            statuses += [one.status for one in found]
        return statuses

    async def holds(found: list[str]) -> bool:
        return True

    fetched.clear()
    assert await database.at_one_moment(look, holds) == ["pending", "approved", "pending"]
    assert fetched == [1, 1, 1]


async def test_an_execution_that_is_not_there_has_nothing(database: Database, fetched: list[int]) -> None:
    async def look() -> list[Any]:
        shown = await database.one(SHOWN, b_id="exe_unknown")
        return [shown, await database.all(JOURNAL, b_id="exe_unknown")]

    async def holds(found: list[Any]) -> bool:
        return True

    assert await database.at_one_moment(look, holds) == [None, []]

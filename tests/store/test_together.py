"""Writes that are sent together: each is carried out, each says whether it landed, and they go or stay as one."""

from __future__ import annotations

import pytest

from agent_runtime.errors import InvalidRequest
from agent_runtime.store.access import INSERT_SEEN
from agent_runtime.store.database import Database
from agent_runtime.store.executions import GATE_CLOSED, PROGRESS, STANDING
from agent_runtime.store.tx import Tx
from tests.store.crowd import running
from tests.store.work import keys


def write(tx: Tx, execution_id: str, fence: int, refusal: Exception | None) -> list[object]:
    guard = (PROGRESS, {"b_id": execution_id, "b_fence": fence, "b_opened": 2})
    insert = (INSERT_SEEN, {"delivery_key": execution_id, "received_at": tx.now})
    nowhere = (GATE_CLOSED, {"b_id": "exe_unknown"})
    landed, inserted, missed = tx.together(guard, insert, nowhere)
    if refusal is not None:
        raise refusal
    return [landed and landed.status, inserted, missed]


async def test_each_says_whether_it_landed(database: Database) -> None:
    [held] = await running(database, 1)
    assert await database.write(write, held.execution_id, held.fence, None) == ["running", None, None]
    assert await keys(database) == [held.execution_id]


async def test_the_others_are_carried_out_where_one_does_not_land(database: Database) -> None:
    [held] = await running(database, 1)
    assert await database.write(write, held.execution_id, held.fence + 1, None) == [None, None, None]
    assert await keys(database) == [held.execution_id]


async def test_nothing_of_it_stays_where_the_operation_raises(database: Database) -> None:
    [held] = await running(database, 1)
    before = await database.one(STANDING, b_id=held.execution_id)
    with pytest.raises(InvalidRequest):
        await database.write(write, held.execution_id, held.fence, InvalidRequest("no"))
    assert await keys(database) == []
    assert await database.one(STANDING, b_id=held.execution_id) == before

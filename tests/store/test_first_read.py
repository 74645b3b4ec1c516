"""What an operation alone reads first comes with its locks on PostgreSQL: the row as those who had it left it."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from agent_runtime.core.approval import ApprovalRequest
from agent_runtime.store.approvals import GET_APPROVAL_FOR_UPDATE, TOUCH_APPROVAL
from agent_runtime.store.database import Database
from agent_runtime.store.tx import Tx, own_rows, reads_first
from tests.store.crowd import asking

pytestmark = pytest.mark.databases("postgresql")

_WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE wait_event_type = 'Lock' AND application_name = 'countersign writer' AND datname = current_database()
"""


@own_rows
@reads_first(GET_APPROVAL_FOR_UPDATE, "b_id")
def look_twice(tx: Tx, approval_request_id: str) -> list[ApprovalRequest | None]:
    """With a write between, that the second look sees."""
    before = tx.one(GET_APPROVAL_FOR_UPDATE, b_id=approval_request_id)
    tx.run(TOUCH_APPROVAL, b_id=approval_request_id)
    return [before, tx.one(GET_APPROVAL_FOR_UPDATE, b_id=approval_request_id)]


@pytest.mark.parametrize("rows", ["executions", "approvals"])
async def test_it_waits_for_who_has_the_rows(database: Database, database_url: str, rows: str) -> None:
    [(held, [approval])] = await asking(database, 1)
    other = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    try:
        async with other.transaction():
            await other.execute(f"SELECT 1 FROM {rows} WHERE execution_id = $1 FOR UPDATE", held.execution_id)
            looking = asyncio.create_task(database.write(look_twice, approval.approval_request_id))
            while not await other.fetchval(_WAITING):
                await asyncio.sleep(0.01)
            await other.execute(
                "UPDATE approvals SET title = 'changed', version = 7 WHERE approval_request_id = $1",
                approval.approval_request_id,
            )
        before, after = await looking
    finally:
        await other.close()
    assert before is not None
    assert after is not None
    assert [before.title, before.version, after.version] == ["changed", 7, 8]


async def test_nothing_is_found_of_what_is_not_there(database: Database) -> None:
    assert await database.write(look_twice, "apr_unknown") == [None, None]

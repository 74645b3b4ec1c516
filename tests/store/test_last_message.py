"""On PostgreSQL the few rows that are deferred go with the COMMIT, written out: whatever they hold, and as one."""

from __future__ import annotations

from collections import Counter

import pytest

from agent_runtime.errors import InvalidRequest
from agent_runtime.store.database import Database
from agent_runtime.store.events import EVENTS_OF_STREAM, record
from agent_runtime.store.faults import Collision
from agent_runtime.store.outbox import WEBHOOK, enqueue
from agent_runtime.store.postgres.spelled import MOST, SETTING, Spelling
from agent_runtime.store.tx import Tx
from tests.store.work import insert, insert_later, keys

pytestmark = pytest.mark.databases("postgresql")

ODD = [
    "it's",
    "''; DROP TABLE inbox; --",
    "\\'",
    "\\",
    "E'\\n'",
    "$1 $$ %s :name ?",
    "line\nbreak\ttab\r",
    "naïve 字 🙂 \u202e",
    '"quoted"',
    "",
]


def insert_all_later(tx: Tx, found: list[str]) -> None:
    for key in found:
        insert_later(tx, key)


def several_tables(tx: Tx, key: str) -> None:
    insert_later(tx, key)
    enqueue(tx, WEBHOOK, key)
    record(tx, "test", stream=key, data={"said": key})
    record(tx, "test", stream=key)


async def test_texts_arrive_as_they_are(database: Database) -> None:
    await database.write(insert_all_later, ODD)
    assert sorted(await keys(database)) == sorted(ODD)


async def test_nothing_is_written_out_where_a_literal_means_something_else(
    database: Database, trips: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a pooler that drops what a connection asks for."""
    await database.write(several_tables, "first")
    trips.clear()
    await database.write(several_tables, "second")
    written_out = trips["trips"]
    monkeypatch.setitem(SETTING, "standard_conforming_strings", "off")
    monkeypatch.setattr(Spelling, "_safe", property(Spelling._safe.func))
    trips.clear()
    await database.write(insert_all_later, ODD)
    await database.write(several_tables, "third")
    assert trips["trips"] > 2 * written_out
    assert set(ODD) < set(await keys(database))


async def test_rows_of_several_tables_take_no_round_trip_of_their_own(database: Database, trips: Counter[str]) -> None:
    await database.write(several_tables, "first")  # prepares
    trips.clear()
    await database.write(several_tables, "it's")
    assert trips["trips"] <= 3  # BEGIN at most, locks, and all else with the COMMIT
    events = await database.all(EVENTS_OF_STREAM, b_stream="it's", b_after=0, b_limit=10)
    assert [(event.seq, event.data) for event in events] == [(1, '{"said":"it\'s"}'), (2, "{}")]


async def test_many_rows_go_as_parameters(database: Database) -> None:
    many = [f"{number:03}" for number in range(MOST + 1)]
    await database.write(insert_all_later, many)
    assert await keys(database) == many


@pytest.mark.parametrize("key", ["nul \0 within", "half \ud83d of a pair"])
async def test_what_is_no_text_is_refused_and_nothing_of_it_stays(database: Database, key: str) -> None:
    with pytest.raises(InvalidRequest, match="text: "):
        await database.write(insert_all_later, ["before", key])
    await database.write(insert, "after")
    assert await keys(database) == ["after"]


async def test_a_row_that_was_there_is_a_collision_and_nothing_of_it_stays(database: Database) -> None:
    await database.write(insert, "taken")
    with pytest.raises(Collision):
        await database.write(insert_all_later, ["new", "taken"])
    await database.write(insert_later, "next")
    assert await keys(database) == ["next", "taken"]

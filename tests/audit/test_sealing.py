"""The sealer: every committed event once, in one chain, however many replicas seal; guarded by triggers."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from agent_runtime.audit import sealer
from agent_runtime.audit.sealer import Sealer
from agent_runtime.audit.verify_database import verify_database
from agent_runtime.core.audit import GENESIS, Head, SealedEvent, sealed
from agent_runtime.operations.seal import hashed, seal
from agent_runtime.store.audit import UNSEALED
from agent_runtime.store.database import Database
from tests.audit.trail import chain, some_history
from tests.databases import run_sql
from tests.flow import Flow
from tests.store.test_open import execute
from tests.store.work import note

OpenDatabase = Any


async def test_every_event_is_sealed_once_and_in_order(database: Database) -> None:
    await some_history(database)
    rows: Any = await chain(database)
    assert len(rows) >= 8
    head = Head()
    for row in rows:
        assert row.previous_hash == head.hash
        head = sealed(head, SealedEvent.of(row))
        assert (row.sequence, row.hash) == (head.sequence, head.hash)
    assert rows[0].previous_hash == GENESIS
    report = await verify_database(database)
    assert (report.findings, report.events, report.head) == ([], len(rows), head)


async def test_a_backlog_is_sealed_in_bounded_batches(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealer, "BATCH", 7)
    for number in range(40):
        await database.write(note, f"stream {number % 3}")
    head = await Sealer(database).seal_pending()
    assert head.sequence == 40
    assert await Sealer(database).seal_pending() == head
    assert (await verify_database(database)).findings == []


async def test_several_replicas_make_one_chain(open_database: OpenDatabase) -> None:
    replicas = [await open_database() for _ in range(3)]
    for number in range(60):
        await replicas[0].write(note, f"stream {number % 5}")
    await asyncio.gather(*(Sealer(replica).seal_pending() for replica in replicas))
    await Sealer(replicas[0]).seal_pending()
    report = await verify_database(replicas[1])
    assert (report.findings, report.events) == ([], 60)


async def test_a_batch_that_another_replica_has_sealed_is_refused(database: Database) -> None:
    await database.write(note, "stream")
    batch = hashed([SealedEvent.of(row) for row in await database.all(UNSEALED, b_after=0, b_limit=9)])
    assert await database.write(seal, Head(), batch) is not None
    assert await database.write(seal, Head(), batch) is None
    assert len(await chain(database)) == 1


@pytest.mark.databases("postgresql")
async def test_an_event_that_is_committed_late_is_sealed_too(database: Database, database_url: str) -> None:
    """A lower id may become visible after higher ones were sealed."""
    await run_sql(database_url, "SELECT setval('events_event_id_seq', 10)")
    await database.write(note, "stream")
    await Sealer(database).seal_pending()
    await run_sql(database_url, "SELECT setval('events_event_id_seq', 4)")
    await database.write(note, "late")
    head = await Sealer(database).seal_pending()
    assert head.sequence == 2
    assert (await verify_database(database)).findings == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET principal = 'somebody else'",
        "UPDATE events SET data = '{}'",
        "DELETE FROM events",
        "UPDATE seals SET event_id = event_id + 100",
        "DELETE FROM seals",
    ],
)
async def test_changes_are_refused_by_the_database(database: Database, database_url: str, statement: str) -> None:
    await some_history(database)
    with pytest.raises(Exception, match="append-only"):
        await execute(database_url, statement)
    assert (await verify_database(database)).findings == []


@pytest.mark.databases("postgresql")
async def test_truncating_is_refused_by_the_database(database: Database, database_url: str) -> None:
    await Flow.started(database)
    with pytest.raises(Exception, match="append-only"):
        await run_sql(database_url, "TRUNCATE events")


async def test_sealing_meanwhile_is_no_tampering(database: Database) -> None:
    await some_history(database)

    class Busy:
        """A database whose server seals between any two reads."""

        def __getattr__(self, name: str) -> Any:
            return getattr(database, name)

        async def one(self, q: Any, **binds: Any) -> Any:
            found = await database.one(q, **binds)
            await database.write(note, "stream")
            await Sealer(database).seal_pending()
            return found

    assert (await verify_database(cast(Database, Busy()))).findings == []

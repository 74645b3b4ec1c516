"""Writes that nobody waits for: with one writer they share a transaction that others ask for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest

from agent_runtime.store.database import Database
from agent_runtime.store.intake import Request
from agent_runtime.store.tx import Tx


def urgent(tx: Tx) -> int:
    return tx.now


def unhurried(tx: Tx) -> int:
    return tx.now


@pytest.fixture
def transactions(database: Database) -> Iterator[list[list[str]]]:
    """The operations of each transaction."""
    seen: list[list[str]] = []

    def also(ran: Sequence[Request], since: float) -> Sequence[Request]:
        seen.append([one.operation.__name__ for one in ran])
        return ()

    with database.joined(also):
        yield seen


@pytest.mark.databases("sqlite")
async def test_it_is_in_the_next_transaction_that_others_ask_for(
    database: Database, transactions: list[list[str]]
) -> None:
    waiting = asyncio.create_task(database.write_along(unhurried))
    await asyncio.sleep(0)
    await database.write(urgent)
    await waiting
    assert transactions == [["urgent", "unhurried"]]


async def test_alone_it_has_one_of_its_own(database: Database, transactions: list[list[str]]) -> None:
    async with asyncio.timeout(10):
        assert await database.write_along(unhurried) > 0
    assert transactions == [["unhurried"]]


async def test_what_is_written_along_is_written_when_the_database_is_closed(database: Database) -> None:
    waiting = asyncio.create_task(database.write_along(unhurried))
    await asyncio.sleep(0)
    await database.close()
    assert await waiting > 0

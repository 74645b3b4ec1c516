"""Small operations, and ways to run several of them in one transaction or at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from sqlalchemy import func, select

from agent_runtime.store.access import INSERT_SEEN, SEEN
from agent_runtime.store.database import Database
from agent_runtime.store.events import EVENTS_OF_STREAM, record
from agent_runtime.store.schema import inbox
from agent_runtime.store.statement import Q
from agent_runtime.store.tx import Tx

Call = tuple[Callable[..., Any], *tuple[Any, ...]]
"""An operation and its arguments."""

KEYS = Q(select(inbox.c.delivery_key).order_by(inbox.c.delivery_key))
HOW_MANY = Q(select(func.count().label("n")).select_from(inbox))


def insert(tx: Tx, key: str) -> str:
    """An immediate insert; the key is unique."""
    tx.run(INSERT_SEEN, delivery_key=key, received_at=tx.now)
    return key


def insert_later(tx: Tx, key: str) -> str:
    """An insert that is deferred to the commit."""
    tx.later(INSERT_SEEN, delivery_key=key, received_at=tx.now)
    return key


def insert_and_fail(tx: Tx, key: str, error: Exception) -> None:
    """Writes in both ways, wakes somebody, and raises."""
    insert(tx, key)
    insert_later(tx, f"{key} later")
    tx.wake("never")
    raise error


def insert_unless_there(tx: Tx, key: str) -> bool:
    """What operations do for a caller's key: look, then write."""
    if tx.one(SEEN, b_key=key) is not None:
        return False
    insert(tx, key)
    return True


def note(tx: Tx, stream: str, word: str = "said") -> None:
    """An event in a stream that nothing locks."""
    record(tx, "test.note", stream=stream, data={"word": word})


def nothing(tx: Tx) -> int:
    return tx.now


async def together(database: Database, *calls: Call) -> list[Any]:
    """Runs `calls` as one batch (64 at most); returns their results and errors in order."""
    pending = [asyncio.create_task(database.write(operation, *arguments)) for operation, *arguments in calls]
    return await asyncio.gather(*pending, return_exceptions=True)


async def at_once(*calls: tuple[Database, Callable[..., Any], *tuple[Any, ...]]) -> list[Any]:
    """Submits every call before any is answered; returns their results and errors in order."""
    writes = [database.write(operation, *arguments) for database, operation, *arguments in calls]
    return await asyncio.gather(*writes, return_exceptions=True)


async def keys(database: Database) -> list[str]:
    """What was inserted and committed."""
    return [row.delivery_key for row in await database.all(KEYS)]


async def sequence(database: Database, stream: str) -> list[int]:
    """The sequence numbers of a stream's events."""
    return [event.seq for event in await database.all(EVENTS_OF_STREAM, b_stream=stream, b_after=0, b_limit=10_000)]

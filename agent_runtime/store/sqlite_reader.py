"""Reads from SQLite, beside the writer."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from agent_runtime.store import forks
from agent_runtime.store.sqlite import PATIENCE, connect, in_our_words
from agent_runtime.store.statement import Q

R = TypeVar("R")


class SqliteReader:
    """Reads that need no transaction: quick ones at once (WAL readers wait for nobody), others in a thread."""

    def __init__(self, quick: sqlite3.Connection, connection: aiosqlite.Connection) -> None:
        self._quick = quick
        self._connection = connection

    @classmethod
    async def open(cls, path: Path) -> SqliteReader:
        connection = await aiosqlite.connect(path, isolation_level=None, cached_statements=256)
        quick = connect(path)
        quick.execute("PRAGMA query_only=ON")
        await connection.execute("PRAGMA query_only=ON")
        await connection.execute(f"PRAGMA busy_timeout={PATIENCE}")
        return cls(quick, connection)

    async def all(self, q: Q[R], binds: dict[str, Any]) -> list[R]:
        compiled = q.compiled("sqlite")
        named = compiled.named(binds)
        try:
            if q.quick:
                rows: Iterable[Any] = self._quick.execute(compiled.sql, named).fetchall()
            else:
                rows = await self._connection.execute_fetchall(compiled.sql, named)
        except (sqlite3.Error, UnicodeEncodeError) as error:
            raise in_our_words(error) from error
        return [q.row(*row) for row in rows]

    async def at_one_moment(
        self, look: Callable[[], Coroutine[Any, Any, R]], holds: Callable[[R], Coroutine[Any, Any, bool]]
    ) -> R:
        """One transaction, without a stop: nothing of this process comes between, and no other reads run in it."""
        with forks.transaction():
            try:
                self._quick.execute("BEGIN")
            except sqlite3.Error as error:
                raise in_our_words(error) from error
            looking = look()
            try:
                looking.send(None)
            except StopIteration as found:
                return found.value  # type: ignore[no-any-return]
            finally:
                looking.close()
                if self._quick.in_transaction:
                    self._quick.execute("ROLLBACK")
        raise RuntimeError("reads of one moment are quick reads alone, and nothing else is awaited between them")

    async def close(self) -> None:
        self._quick.close()
        await self._connection.close()

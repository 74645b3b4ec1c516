"""The floor: the raw driver doing W with the four commits that zero duplicates needs, group commit, full durability.

W: start an execution that does 2 durable steps and waits at an approval; a decision arrives by id; the call is claimed
before its effect; it completes. Commits: run-and-wait, decision, claim, completion.
"""

from __future__ import annotations

import asyncio
import json
import queue
import sqlite3
import threading
import uuid
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks.measuring import Subject

_TABLES = (
    "CREATE TABLE run (id TEXT PRIMARY KEY, status TEXT NOT NULL, input TEXT, steps TEXT, result TEXT)",
    "CREATE TABLE approval"
    " (id TEXT PRIMARY KEY, run_id TEXT NOT NULL, status TEXT NOT NULL, payload TEXT, decision TEXT)",
    "CREATE INDEX approval_pending ON approval (id) WHERE status = 'pending'",
)


class SqliteFloor(Subject):
    """W on a raw connection in a thread of its own."""

    name = "floor: raw sqlite3"

    def __init__(self, folder: Path) -> None:
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._path = folder / "floor.db"
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    async def start(self, number: int) -> str:
        run = str(uuid.uuid4())
        steps = json.dumps({"s1": {"step": 1}, "s2": {"step": 2}})
        payload = json.dumps({"tool": "refund", "arguments": {"order": number}})
        await self._commit(
            ("INSERT INTO run VALUES (?, 'waiting', ?, ?, NULL)", (run, json.dumps({"order": number}), steps)),
            ("INSERT INTO approval VALUES (?, ?, 'pending', ?, NULL)", (run, run, payload)),
        )
        return run

    async def decide(self, run: str) -> None:
        decision = json.dumps({"by": "reviewer"})
        await self._commit(
            (
                "UPDATE approval SET status = 'approved', decision = ? WHERE id = ? AND status = 'pending'",
                (decision, run),
            )
        )

    async def done(self, run: str) -> None:
        await self._commit(("UPDATE run SET status = 'started' WHERE id = ? AND status = 'waiting'", (run,)))
        result = json.dumps({"ok": True, "id": run})
        await self._commit(("UPDATE run SET status = 'done', result = ? WHERE id = ?", (result, run)))

    async def close(self) -> None:
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    async def _commit(self, *statements: tuple[str, tuple[Any, ...]]) -> None:
        future: asyncio.Future[None] = self._loop.create_future()
        self._queue.put((statements, future))
        await future

    def _work(self) -> None:
        connection = sqlite3.connect(self._path, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2
        for table in _TABLES:
            connection.execute(table)
        item = self._queue.get()
        while item is not None:
            batch = [item]
            while len(batch) < 64 and not self._queue.empty():
                item = self._queue.get()
                if item is None:
                    break
                batch.append(item)
            connection.execute("BEGIN IMMEDIATE")
            for statements, _ in batch:
                for sql, parameters in statements:
                    connection.execute(sql, parameters)
            connection.execute("COMMIT")
            self._loop.call_soon_threadsafe(lambda done=batch: [future.set_result(None) for _, future in done])
            item = self._queue.get() if item is not None else None
        connection.close()


class PostgresFloor(Subject):
    """W on two raw asyncpg connections that take turns; a batch of at most 64 shares a commit."""

    name = "floor: raw asyncpg"

    def __init__(self, connections: list[Any]) -> None:
        self._queue: asyncio.Queue[Any] = asyncio.Queue()
        self._working = [asyncio.create_task(self._work(connection)) for connection in connections]

    @classmethod
    async def open(cls, dsn: str) -> PostgresFloor:
        connections = [await asyncpg.connect(dsn) for _ in range(2)]
        assert await connections[0].fetchval("SHOW fsync") == "on"
        assert await connections[0].fetchval("SHOW synchronous_commit") == "on"
        for table in _TABLES:
            await connections[0].execute(table)
        return cls(connections)

    async def start(self, number: int) -> str:
        run = str(uuid.uuid4())
        steps = json.dumps({"s1": {"step": 1}, "s2": {"step": 2}})
        payload = json.dumps({"tool": "refund", "arguments": {"order": number}})
        await self._commit(
            ("INSERT INTO run VALUES ($1, 'waiting', $2, $3, NULL)", (run, json.dumps({"order": number}), steps)),
            ("INSERT INTO approval VALUES ($1, $2, 'pending', $3, NULL)", (run, run, payload)),
        )
        return run

    async def decide(self, run: str) -> None:
        decision = json.dumps({"by": "reviewer"})
        sql = "UPDATE approval SET status = 'approved', decision = $1 WHERE id = $2 AND status = 'pending'"
        await self._commit((sql, (decision, run)))

    async def done(self, run: str) -> None:
        await self._commit(("UPDATE run SET status = 'started' WHERE id = $1 AND status = 'waiting'", (run,)))
        result = json.dumps({"ok": True, "id": run})
        await self._commit(("UPDATE run SET status = 'done', result = $1 WHERE id = $2", (result, run)))

    async def close(self) -> None:
        for _ in self._working:
            self._queue.put_nowait(None)
        await asyncio.gather(*self._working)

    async def _commit(self, *statements: tuple[str, tuple[Any, ...]]) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((statements, future))
        await future

    async def _work(self, connection: Any) -> None:
        while (item := await self._queue.get()) is not None:
            batch = [item]
            while len(batch) < 64 and not self._queue.empty():
                item = self._queue.get_nowait()
                if item is None:
                    self._queue.put_nowait(None)
                    break
                batch.append(item)
            async with connection.transaction():
                for statements, _ in batch:
                    for sql, parameters in statements:
                        await connection.execute(sql, *parameters)
            for _, future in batch:
                future.set_result(None)
        await connection.close()

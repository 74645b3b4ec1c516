"""The application's own table, for libraries that leave storing to it: one writer, WAL, FULL, group commit."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from pathlib import Path
from typing import Any

_TABLE = "CREATE TABLE run (id TEXT PRIMARY KEY, status TEXT NOT NULL, state TEXT, decision TEXT, result TEXT)"


class OwnTable:
    """Rows of waiting runs."""

    def __init__(self, path: Path) -> None:
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._writer = self._connect(path)
        self._writer.execute(_TABLE)
        self._reader = self._connect(path)
        threading.Thread(target=self._work, daemon=True).start()

    async def write(self, sql: str, *values: Any) -> None:
        """Returns once it is committed."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._queue.put((sql, values, future))
        await future

    def state(self, run: str) -> str:
        row = self._reader.execute("SELECT state FROM run WHERE id = ?", (run,)).fetchone()
        return str(row[0])

    def _connect(self, path: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        return connection

    def _work(self) -> None:
        while True:
            batch = [self._queue.get()]
            while len(batch) < 64 and not self._queue.empty():
                batch.append(self._queue.get())
            self._writer.execute("BEGIN IMMEDIATE")
            for sql, values, _ in batch:
                self._writer.execute(sql, values)
            self._writer.execute("COMMIT")
            self._loop.call_soon_threadsafe(lambda done=batch: [future.set_result(None) for *_, future in done])

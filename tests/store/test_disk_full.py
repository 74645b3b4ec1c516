"""A disk that is full, as a process meets it: new work is refused, nothing that was acknowledged is lost."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from tests.cli.command import REPOSITORY
from tests.databases import copy_of_sqlite

_CHILD = """
import asyncio, json, resource, sys
from agent_runtime.errors import StoreUnavailable
from agent_runtime.store.access import TOKENS
from agent_runtime.store.database import Database
from tests.flow import Flow

async def main(url):
    async with await Database.open(url) as database:
        kept, refused = [], 0
        kept.append((await Flow.started(database)).execution_id)
        size = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, size[1]))
        for _ in range(400):
            try:
                kept.append((await Flow.started(database, given={"prompt": "x" * 2000})).execution_id)
            except StoreUnavailable:
                refused += 1
        read = len(await database.all(TOKENS))
        resource.setrlimit(resource.RLIMIT_FSIZE, size)
        kept.append((await Flow.started(database)).execution_id)
    print(json.dumps({"kept": kept, "refused": refused, "read": read}))

asyncio.run(main(sys.argv[1]))
"""


def test_new_work_is_refused_and_nothing_is_lost(sqlite_schema: Path, tmp_path: Path) -> None:
    url = copy_of_sqlite(sqlite_schema, tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, url], cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["refused"] > 0
    assert len(told["kept"]) > 2
    with closing(sqlite3.connect(tmp_path / "countersign.db")) as connection:
        assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
        there = {row[0] for row in connection.execute("SELECT execution_id FROM executions")}
        events = dict(connection.execute("SELECT stream, max(seq) - count(*) FROM events GROUP BY stream"))
    assert set(told["kept"]) == there
    assert set(events.values()) == {0}

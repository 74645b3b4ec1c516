"""The clockwork: one interval that wakes the sweep; the only importer of `apscheduler`. Rows are the truth.

APScheduler goes by the host's clock. Put back, that would keep the interval from coming for as long, so the event loop,
whose clock nobody sets, looks after it.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from apscheduler.events import EVENT_JOB_ERROR, JobExecutionEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from agent_runtime.core.policy import Defaults
from agent_runtime.engine.liveness import dead_workers, forget, lock_folder
from agent_runtime.operations.claim import take_over_from
from agent_runtime.operations.orphans import ask_about_orphans_of
from agent_runtime.operations.sweep import sweep
from agent_runtime.store.database import Database

log = structlog.get_logger(__name__)
logging.getLogger("apscheduler").setLevel(logging.ERROR)  # a tick that is skipped while one runs is no news

EVERY = 1
"""Seconds between ticks; the guard in `resolve` refuses late decisions, so nothing finer is needed."""


class Clockwork:
    """Sweeps every second, takes over from dead workers, and lets the pollers look."""

    def __init__(self, database: Database, defaults: Defaults | None = None) -> None:
        self._database = database
        self._defaults = defaults
        self._scheduler = AsyncIOScheduler(
            timezone="UTC", job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )
        self._scheduler.add_listener(_report, EVENT_JOB_ERROR)
        self._tick: asyncio.Task[None] | None = None
        self._looking: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._scheduler.add_job(self.tick, "interval", seconds=EVERY, next_run_time=datetime.now(UTC), id="sweep")
        self._scheduler.start()
        self._look()

    async def stop(self) -> None:
        """Lets a tick that runs finish; then nothing more is woken."""
        if self._looking is not None:
            self._looking.cancel()
        self._scheduler.remove_all_jobs()
        if self._tick is not None and not self._tick.done():
            await asyncio.gather(self._tick, return_exceptions=True)
        self._scheduler.shutdown(wait=False)

    async def tick(self) -> None:
        """One turn: what time brought, claims of the dead, then everybody who polls."""
        self._tick = asyncio.ensure_future(self._turn())
        await asyncio.shield(self._tick)

    def _look(self) -> None:
        """Has the next tick come now where it is further away than it ever is by itself."""
        self._looking = asyncio.get_running_loop().call_later(EVERY, self._look)
        now = datetime.now(UTC)
        for job in self._scheduler.get_jobs():
            if job.next_run_time is not None and job.next_run_time - now > timedelta(seconds=2 * EVERY):
                log.warning("the host's clock was put back", seconds=round((job.next_run_time - now).total_seconds()))
                job.modify(next_run_time=now)

    async def _turn(self) -> None:
        while (await self._database.write(sweep, self._defaults)).more:
            pass
        await self._take_over()
        self._database.wakes.announce(["switches", "queued", "outbox", "seal"])

    async def _take_over(self) -> None:
        if self._database.url.get_backend_name() != "sqlite":
            return
        folder = lock_folder(Path(self._database.url.database or ""))
        for worker_id in dead_workers(folder):
            taken = await self._database.write(take_over_from, worker_id)
            asked = await self._database.write(ask_about_orphans_of, worker_id, self._defaults or Defaults())
            forget(folder, worker_id)
            log.info("took over from a dead worker", worker_id=worker_id, executions=taken, calls_in_doubt=asked)


def _report(event: JobExecutionEvent) -> None:
    log.error("sweep failed; it runs again in a second", error=repr(event.exception))

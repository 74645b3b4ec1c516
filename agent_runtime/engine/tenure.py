"""The claim of one execution as a reasoner's coroutine has it: while it has something to write, not while it waits.

The coroutine parks (the execution waits, nobody holds it) when all that it does is wait for people or children. A
decision queues the execution, this worker claims it, and the coroutine goes on. It moves durably under a claim alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Concatenate, NoReturn, ParamSpec, TypeVar

import structlog

from agent_runtime.context import OutsideReasoner
from agent_runtime.core.execution import Execution
from agent_runtime.engine.run_clock import RunClock
from agent_runtime.engine.switchboard import Switchboard
from agent_runtime.engine.waits import Waits
from agent_runtime.errors import LostClaim, Overloaded, StoreUnavailable
from agent_runtime.operations.claim import park
from agent_runtime.operations.reason import hear, reclaim
from agent_runtime.store.database import Database
from agent_runtime.store.executions import STANDING
from agent_runtime.store.faults import Collision, OutcomeUnknown
from agent_runtime.store.tx import Tx

R = TypeVar("R")
P = ParamSpec("P")

log = structlog.get_logger(__name__)

FIRST_PAUSE, LAST_PAUSE = 0.1, 2.0
"""Seconds between attempts to write while the database is away."""


class Tenure:
    """One execution's claim on this worker. `taken_back` is called where it claimed by itself, to go on."""

    def __init__(
        self,
        execution: Execution,
        database: Database,
        worker_id: str,
        clock: RunClock,
        switchboard: Switchboard,
        taken_back: Callable[[Execution], None],
    ) -> None:
        self.execution = execution
        self.database = database
        self.worker_id = worker_id
        self.clock = clock
        self.waits = Waits(lambda: self.changed.set())
        self.parked = False
        self.ended = False
        """The reasoner's end is written."""
        self.over = False
        """This copy of the coroutine is not wanted any more."""
        self.failure: Exception | None = None
        """Why this copy cannot go on; the journal can."""
        self.changed = asyncio.Event()
        self._taken_back = taken_back
        self._switchboard = switchboard
        self._busy = 0
        self._gate = asyncio.Lock()
        self._taking: asyncio.Task[None] | None = None
        self._stuck: set[asyncio.Future[None]] = set()

    # --- the worker's side ---

    def hold(self, execution: Execution) -> None:
        """A claim was won."""
        self.execution = execution
        self.parked = False
        self.clock.go_on()
        self.changed.set()

    async def until_parked_or(self, ended: Callable[[], bool]) -> None:
        """Parks when there is nothing to do; returns then, when `ended`, or when this claim is another's matter."""
        fence = self.execution.fence
        while self.execution.fence == fence and not (self.parked or self.failure is not None or ended()):
            self.changed.clear()
            if self._idle:
                await self._park()
            else:
                await self.changed.wait()

    async def listen(self) -> None:
        """Takes up, while the execution runs, what people and children answer meanwhile."""
        with self.database.wakes.listen(f"answers:{self.execution.execution_id}") as woken:
            while True:
                await woken.wait()
                woken.clear()
                if self.waits and not self.parked:
                    await self._look()

    async def hear(self) -> None:
        """Hands out what was answered. Raises LostClaim.

        The signals count as seen only where nothing was under way: a question that is written just now could be
        answered already, and its line does not wait yet. Unseen, they keep the execution from parking for good.
        """
        async with self._gate:
            if self.parked or self.over or not self.waits:
                return
            execution, waits, quiet = self.execution, self.waits, self._busy == 0
            heard = await self.database.write(hear, execution, waits.positions, waits.approval_request_ids)
            if quiet:
                self.execution = execution._replace(signals=heard.signals)
            waits.answer(heard.steps, heard.approvals)
        self.changed.set()

    def close(self) -> None:
        """Ends it: whoever waits here is cancelled, and nothing durable begins."""
        self.over = True
        self.waits.cancel()
        for stuck in self._stuck:
            stuck.cancel()
        self.changed.set()

    async def settled(self) -> None:
        """A claim of its own that is under way has come out; the session that it began gives it back."""
        if self._taking is not None:
            await asyncio.wait([self._taking])

    # --- the coroutine's side ---

    @asynccontextmanager
    async def claimed(self) -> AsyncIterator[None]:
        """Something durable is under way: the claim is held until it is done, taken back first where it was parked.

        Where the agent is stopped, it waits here until that is resumed: the coroutine stays where it is.
        """
        await self._switchboard.until_resumed(self.execution.agent)
        self._require_open()
        self._busy += 1
        try:
            async with self._gate:
                if self.parked:
                    await self._take_back()
            self._require_open()
            yield
        finally:
            self._busy -= 1
            self.changed.set()

    async def write(
        self, operation: Callable[Concatenate[Tx, Execution, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Commits `operation(tx, execution, …)` under the claim and raises what it refuses.

        A database that is away is waited out. Cancelled meanwhile, the write still lands before this returns. Where
        nobody knows whether it landed, or the claim is lost, the code does not hear of it: this copy of it ends.
        """

        async def attempt() -> R:
            return await self.database.write(operation, self.execution, *args, **kwargs)

        writing = asyncio.ensure_future(self._patiently(attempt))
        writing.add_done_callback(_looked_at)
        try:
            return await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait([writing])
            raise
        except (LostClaim, OutcomeUnknown, Collision) as error:
            return await self.abandon(error)

    async def abandon(self, error: Exception) -> NoReturn:
        """Ends this copy of the coroutine for a reason that is none of the code's business; it is replayed."""
        self.failure = self.failure or error
        stuck: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stuck.add(stuck)
        self.changed.set()
        try:
            await stuck  # until it is dropped
        finally:
            self._stuck.discard(stuck)
        raise error

    # --- parking ---

    @property
    def _idle(self) -> bool:
        return not (self._busy or self.parked or self.over) and self.waits.unanswered

    async def _park(self) -> None:
        async with self._gate:
            if not self._idle:
                return
            execution = self.execution
            try:
                await self._patiently(
                    lambda: self.database.write(park, execution, execution.signals, keep=self.worker_id)
                )
            except Exception as error:  # noqa: BLE001 - raised by the session that waits
                self.failure = error
            else:
                self.parked = True
                self.clock.stop()
        self.changed.set()

    async def _take_back(self) -> None:
        """A branch of a parked coroutine has something to do. Goes on by itself where that branch is cancelled."""
        if self._taking is None:
            self._taking = asyncio.create_task(self._reclaim(), name=f"reclaim {self.execution.execution_id}")
            self._taking.add_done_callback(_looked_at)
        await asyncio.shield(self._taking)

    async def _reclaim(self) -> None:
        """Claims again; where a claim is under way already, waits for that, or for the end of this copy.

        So also where nobody knows whether it landed: the worker finds a claim without a session, and gives it back.
        """
        try:
            with contextlib.suppress(OutcomeUnknown):
                claimed = await self._patiently(lambda: self.database.write(reclaim, self.execution, self.worker_id))
                if claimed is not None:
                    self.hold(claimed)
                    self._taken_back(claimed)
            while self.parked and not self.over:
                self.changed.clear()
                await self.changed.wait()
        finally:
            self._taking = None

    async def _look(self) -> None:
        """Whether something was decided, or the claim is gone, since the last look."""
        try:
            now = await self.database.one(STANDING, b_id=self.execution.execution_id)
            if now is not None and (now.fence, now.signals) != (self.execution.fence, self.execution.signals):
                await self.hear()
        except (StoreUnavailable, Overloaded) as error:
            log.warning("could not look for answers", execution_id=self.execution.execution_id, reason=error.message)
        except Exception as error:  # noqa: BLE001 - raised by the session that waits
            self.failure = error
            self.changed.set()

    async def _patiently(self, attempt: Callable[[], Awaitable[R]]) -> R:
        """Tries again while the database is away and this copy is wanted."""
        pause = FIRST_PAUSE
        while True:
            try:
                return await attempt()
            except OutcomeUnknown:
                raise
            except (StoreUnavailable, Overloaded) as error:
                if self.over:
                    raise
                log.warning("the database is away", execution_id=self.execution.execution_id, reason=error.message)
                await asyncio.sleep(pause)
                pause = min(LAST_PAUSE, 2 * pause)

    def _require_open(self) -> None:
        """Raises CancelledError in a copy that is dropped: its `finally` blocks run, and change nothing durable."""
        if self.ended:
            raise OutsideReasoner("the reasoner has ended; what it begins, it must also await")
        if self.over:
            raise asyncio.CancelledError


def _looked_at(task: asyncio.Future[Any]) -> None:
    """Nobody may be left to whom its exception matters."""
    if not task.cancelled():
        task.exception()

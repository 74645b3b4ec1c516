"""One reasoner that runs: its coroutine, from the top to its end.

While the process lives the coroutine stays where it is and continues from the exact line. After a crash, or once it was
dropped to bound memory, it is run again from the top against the journal, which answers what is recorded there.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import structlog

from agent_runtime.context import CURRENT
from agent_runtime.core.canonical import canonical
from agent_runtime.core.execution import Execution, ExecutionStatus
from agent_runtime.core.notes import Notes
from agent_runtime.core.replay import Replay
from agent_runtime.engine.journaled import Journaled
from agent_runtime.engine.tenure import Tenure
from agent_runtime.errors import CountersignError, LostClaim
from agent_runtime.operations.reason import finish, recall
from agent_runtime.plain import error_words
from agent_runtime.reasoner import Reasoner
from agent_runtime.store.steps import JOURNAL
from agent_runtime.tools import json_value

log = structlog.get_logger(__name__)

DROPPED_WITHIN = 5.0
"""Seconds that a dropped coroutine's `finally` blocks may take before nobody waits for them any more."""


class Reasoning:
    """One copy of a reasoner's coroutine on this worker."""

    def __init__(self, reasoner: Reasoner, tenure: Tenure, context: Journaled) -> None:
        self._reasoner = reasoner
        self._tenure = tenure
        self._context = context
        self._coroutine: asyncio.Task[None] | None = None

    @property
    def execution(self) -> Execution:
        """Its execution, as it was last claimed."""
        return self._tenure.execution

    @property
    def parked(self) -> bool:
        """It waits in memory, and nobody holds its execution."""
        return self._tenure.parked and not self._tenure.over and not self._done()

    @property
    def droppable(self) -> bool:
        """Dropped, it loses nothing: a time limit on `wait_for_resume` would be lost."""
        return self.parked and not self._tenure.waits.timed

    async def session(self, execution: Execution) -> None:
        """Runs under a claim until the coroutine parks or ends; raises why it cannot go on, and has dropped it then."""
        tenure = self._tenure
        try:
            if tenure.over:
                raise LostClaim(f"{execution.execution_id}: its coroutine is gone")
            if execution.fence != tenure.execution.fence:
                tenure.hold(execution)
            if self._coroutine is None:
                await self._begin()
            await tenure.hear()
            listening = asyncio.create_task(tenure.listen(), name=f"listen {execution.execution_id}")
            try:
                await tenure.until_parked_or(self._done)
            finally:
                listening.cancel()
                await asyncio.wait([listening])
            if tenure.failure is not None:
                raise tenure.failure
            if self._coroutine is not None and self._coroutine.done():
                self._coroutine.result()
        except BaseException:
            await self.drop()
            raise

    async def drop(self) -> None:
        """Cancels the coroutine (its `finally` blocks run); the journal is all that is left of it."""
        self._tenure.close()
        await self._tenure.settled()
        coroutine = self._coroutine
        if coroutine is None:
            return
        if not coroutine.done():
            coroutine.cancel()
            _, late = await asyncio.wait([coroutine], timeout=DROPPED_WITHIN)
            if late:
                log.warning("a dropped reasoner does not end", execution_id=self.execution.execution_id)
                return
        if not coroutine.cancelled():
            coroutine.exception()

    async def _begin(self) -> None:
        """Starts the coroutine, with the journal as it is."""
        database, execution = self._tenure.database, self.execution
        journal = await database.all(JOURNAL, b_id=execution.execution_id)
        recalled = await database.write(recall, execution)
        context = self._context
        context.replay, context.notes, context.unused = Replay(journal), Notes(recalled.notes), recalled.unused
        token = CURRENT.set(context)
        self._coroutine = asyncio.create_task(self._run(), name=f"reasoner {execution.execution_id}")
        CURRENT.reset(token)
        self._coroutine.add_done_callback(lambda _: self._tenure.changed.set())

    def _done(self) -> bool:
        return self._coroutine is not None and self._coroutine.done()

    async def _run(self) -> None:
        clock = self._tenure.clock
        try:
            async with clock.limit():
                given: Mapping[str, Any] = json.loads(self.execution.input).get("input") or {}
                value = json_value(await self._reasoner.function(**self._reasoner.arguments(given)))
                canonical(value, name="the result")
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._tenure.over or (task is not None and task.cancelling()):
                raise
            await self._fail({"type": "CancelledError", "message": "the reasoner cancelled itself"})
        except (Exception, SystemExit) as error:
            if isinstance(error, TimeoutError) and clock.ran_out:
                message = f"ran longer than {self._reasoner.timeout_seconds} s"
                await self._fail({"type": "ReasonerTimedOut", "message": message})
                return
            if not isinstance(error, CountersignError):
                log.exception("a reasoner raised", execution_id=self.execution.execution_id)
            await self._fail(error_words(error))
        else:
            await self._end(ExecutionStatus.succeeded, {"result": value, "finishReason": "STOP"}, None, "STOP")

    async def _fail(self, error: Mapping[str, str]) -> None:
        log.warning("a reasoner failed", execution_id=self.execution.execution_id, error=error["type"])
        output = {"result": f"{error['type']}: {error['message']}", "finishReason": "ERROR"}
        await self._end(ExecutionStatus.failed, output, error, "ERROR")

    async def _end(
        self, status: ExecutionStatus, output: Mapping[str, Any], error: Mapping[str, str] | None, reason: str
    ) -> None:
        tenure = self._tenure
        async with tenure.claimed():
            notes = self._context.notes.take()
            await tenure.write(finish, notes, status, output=output, error=error, finish_reason=reason)
            tenure.ended = True

"""The calls of a turn, run side by side: each as soon as it may, while people still decide on others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent_runtime.core.execution import Execution, Step
from agent_runtime.core.journal import Calls, next_action
from agent_runtime.errors import LostClaim
from agent_runtime.operations.claim import park
from agent_runtime.store.database import Database
from agent_runtime.store.executions import GET_EXECUTION
from agent_runtime.store.steps import JOURNAL


@dataclass(slots=True)
class Turns:
    """One execution's turns under one claim. `journal` is kept up to date; `call` runs a step and returns it ended."""

    execution: Execution
    journal: list[Step]
    database: Database
    call: Callable[[Step], Coroutine[Any, Any, Step]]
    _running: dict[int, asyncio.Task[Step]] = field(default_factory=dict)
    seen: int = field(init=False)
    """The signals of what people decided that it has taken up."""
    _fault: Exception | None = None

    def __post_init__(self) -> None:
        self.seen = self.execution.signals

    @property
    def running(self) -> bool:
        """Whether a call runs now."""
        return bool(self._running)

    async def run(self) -> bool:
        """Runs the calls of the last turn until all have ended; False where it parked, as the rest waits for people.

        Where the execution has ended or a call could not be recorded, nothing more is started, what runs is let
        finish, and the first fault is raised. When cancelled, everything is dropped at once.
        """
        try:
            topic = f"answers:{self.execution.execution_id}"
            with self.database.wakes.listen(topic) as woken, self.database.wakes.listen(topic) as answered:
                while True:
                    action = next_action(self.journal)
                    if isinstance(action, Calls) and self._fault is None:
                        self._start((*action.ready, *action.interrupted), woken)
                    if not self._running:
                        return await self._rest(action)
                    await woken.wait()
                    woken.clear()
                    self._take_ended()
                    if answered.is_set():
                        answered.clear()
                        await self._reload()
        finally:
            await self._abandon()

    def _start(self, steps: Sequence[Step], woken: asyncio.Event) -> None:
        for step in steps:
            if step.position not in self._running:
                calling = self._running[step.position] = asyncio.create_task(self.call(step))
                calling.add_done_callback(lambda _: woken.set())

    async def _rest(self, action: object) -> bool:
        """Nothing runs any more."""
        if self._fault is not None:
            raise self._fault
        if isinstance(action, Calls):
            await self.database.write(park, self.execution, self.seen)
            return False
        return True

    def _take_ended(self) -> None:
        """Calls that have ended go into the journal."""
        for position in [position for position, call in self._running.items() if call.done()]:
            try:
                self._replace(self._running.pop(position).result())
            except Exception as error:  # noqa: BLE001 - raised once nothing runs any more
                self._fault = self._fault or error

    async def _reload(self) -> None:
        """Takes up what people decided; the signals are read first, so that none is missed when parking."""
        current = await self.database.one(GET_EXECUTION, b_id=self.execution.execution_id)
        if current is None or current.fence != self.execution.fence:
            self._fault = self._fault or LostClaim(
                f"{self.execution.execution_id}: another worker holds it, or it ended"
            )
            return
        if current.signals == self.seen:
            return
        for step in await self.database.all(JOURNAL, b_id=self.execution.execution_id):
            if step.position not in self._running:
                self._replace(step)
        self.seen = current.signals

    def _replace(self, step: Step) -> None:
        if step.position < len(self.journal):
            self.journal[step.position] = step

    async def _abandon(self) -> None:
        """Ends calls that nobody waits for any more; what they had started is settled by whoever claims next."""
        for call in self._running.values():
            call.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        self._running.clear()

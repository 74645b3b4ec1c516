"""An execution that a replica runs, and waiting for what becomes of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from agent_runtime.core.approval import ApprovalRequest
from agent_runtime.core.execution import Execution, Step
from agent_runtime.operations.start import Start
from agent_runtime.replica import Replica
from tests.flow import Flow

T = TypeVar("T")


async def until(flow: Flow, wanted: Callable[[], Awaitable[T]], seconds: float = 60) -> T:
    """The first truthy value of `wanted`, asked again whenever something was announced."""
    topics = (f"execution:{flow.execution_id}", "approvals", "queued")
    with flow.database.wakes.listen(*topics) as woken:
        async with asyncio.timeout(seconds):
            while not (found := await wanted()):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), 0.05)
                woken.clear()
    return found


class Run(Flow):
    """An execution on a replica, looked at and decided on through that replica's database."""

    @classmethod
    async def begun(cls, replica: Replica, agent: str, prompt: str = "Go", **wanted: Any) -> Run:
        begun = await replica.start_execution(Start(agent, {"prompt": prompt}, **wanted))
        return cls(replica.database, begun.execution.execution_id)

    async def waits(self) -> list[ApprovalRequest]:
        """Its pending approvals, once it waits for people and nothing runs."""
        await until(self, lambda: self._is("waiting"))
        return await self.pending()

    async def asks(self, count: int = 1) -> list[ApprovalRequest]:
        """Its pending approvals, once there are `count`; it may be running."""

        async def enough() -> list[ApprovalRequest]:
            pending = await self.pending()
            return pending if len(pending) == count else []

        return await until(self, enough)

    async def ends(self) -> Execution:
        """It, once it has ended."""
        return await until(self, self._ended)

    async def has(self, status: str, position: int = 1) -> Step:
        """The step at `position`, once it has that status."""

        async def there() -> Step | None:
            journal = await self.journal()
            return journal[position] if position < len(journal) and journal[position].status == status else None

        return await until(self, there)  # type: ignore[return-value]

    async def output(self) -> Any:
        """What it came to, once it has ended; its error where it failed."""
        execution = await self.ends()
        if execution.error:
            return json.loads(execution.error)
        return json.loads(execution.result or "{}")["result"]

    async def is_settled(self) -> bool:
        """Whether it has ended, or waits for nothing but the settlement of calls in doubt."""
        execution = await self.execution()
        kinds = {approval.kind for approval in await self.pending()}
        return execution.terminal or (execution.status == "waiting" and kinds == {"in_doubt"})

    async def _is(self, status: str) -> bool:
        return (await self.execution()).status == status

    async def _ended(self) -> Execution | None:
        execution = await self.execution()
        return execution if execution.terminal else None

"""What the lines of a reasoner wait for: steps that people or child executions answer, approvals that are resumed."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from agent_runtime.core.approval import ApprovalRequest
from agent_runtime.core.execution import Step


class Waits:
    """Futures by what answers them; `changed` is called whenever something begins or ceases to wait."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._steps: dict[int, asyncio.Future[Step]] = {}
        self._approvals: defaultdict[str, set[asyncio.Future[ApprovalRequest]]] = defaultdict(set)
        self.timed = 0
        """Waits with a time limit of their own, which is lost with the process."""

    def __bool__(self) -> bool:
        return bool(self._steps or self._approvals)

    @property
    def positions(self) -> list[int]:
        """The steps that are waited for."""
        return list(self._steps)

    @property
    def approval_request_ids(self) -> list[str]:
        """The approvals that are waited for by their ids."""
        return list(self._approvals)

    @property
    def unanswered(self) -> bool:
        """Something waits, and nothing is answered that its line has not taken yet."""
        return bool(self) and not any(future.done() for future in self._futures())

    async def step(self, position: int) -> Step:
        """The step at `position`, once it is answered."""
        future: asyncio.Future[Step] = asyncio.get_running_loop().create_future()
        self._steps[position] = future
        try:
            self._changed()
            return await future
        finally:
            del self._steps[position]
            self._changed()

    async def approval(self, approval_request_id: str, timeout: float | None) -> ApprovalRequest:
        """The approval, once it has ended. Raises TimeoutError after `timeout` seconds."""
        future: asyncio.Future[ApprovalRequest] = asyncio.get_running_loop().create_future()
        futures = self._approvals[approval_request_id]
        futures.add(future)
        self.timed += timeout is not None
        try:
            self._changed()
            async with asyncio.timeout(timeout):
                return await future
        finally:
            self.timed -= timeout is not None
            futures.discard(future)
            if not futures:
                self._approvals.pop(approval_request_id, None)
            self._changed()

    def answer(self, steps: Iterable[Step], approvals: Iterable[ApprovalRequest]) -> None:
        """What has ended goes to the lines that wait for it."""
        for step in steps:
            future = self._steps.get(step.position)
            if future is not None and not future.done():
                future.set_result(step)
        for approval in approvals:
            for resumed in self._approvals.get(approval.approval_request_id, ()):
                if not resumed.done():
                    resumed.set_result(approval)

    def cancel(self) -> None:
        """Nobody will answer any more."""
        for future in list(self._futures()):
            future.cancel()

    def _futures(self) -> Iterator[asyncio.Future[Any]]:
        yield from self._steps.values()
        for futures in self._approvals.values():
            yield from futures

"""What waits for a writer, handed out in batches."""

from __future__ import annotations

import asyncio
import sys

from agent_runtime.store.batch import BATCH, Request


class Intake:
    """Requests in the order in which they came; of one event loop, for one writer or several."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Request | None] = asyncio.Queue()

    def put(self, request: Request) -> None:
        self._queue.put_nowait(request)

    def end(self, takers: int = 1) -> None:
        """Each of the takers gets an empty batch, once what was put before is taken."""
        for _ in range(takers):
            self._queue.put_nowait(None)

    async def batch(self) -> list[Request]:
        """What waits, at most BATCH of it; empty at the end."""
        first = await self._queue.get()
        return [] if first is None else [first, *self.waiting(BATCH - 1)]

    def waiting(self, limit: int = sys.maxsize) -> list[Request]:
        """What waits now, at most `limit` of it."""
        requests: list[Request] = []
        while len(requests) < limit and not self._queue.empty():
            request = self._queue.get_nowait()
            if request is None:
                self._queue.put_nowait(None)
                break
            requests.append(request)
        return requests

"""Requests: calls of operations that wait for a writer, handed out in batches."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

BATCH = 64
"""Requests that share one COMMIT at most."""

ALONG = 0.002
"""Seconds that a request which has time waits for a transaction that others ask for."""


@dataclass(slots=True, eq=False)
class Request:
    """One call of an operation, and where its answer goes."""

    operation: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    future: asyncio.Future[Any]
    answered: bool = False
    result: Any = None
    error: BaseException | None = None
    topics: set[str] = field(default_factory=set)
    counted: list[tuple[str, ...]] = field(default_factory=list)
    joined: bool = False
    """It was added to a transaction that was under way; nobody submitted it."""
    has_time: bool = False
    """It shares the next transaction that others ask for, so that none waits for one of its own."""
    stands_for: str = ""
    """A topic that need not be announced here: this request has taken up what it would announce."""

    @property
    def works_on(self) -> str:
        """The id of the execution or approval that it is about: its first argument, or what that names; else ""."""
        first = self.args[0] if self.args else ""
        if isinstance(first, str):
            return first
        return str(getattr(first, "execution_id", None) or getattr(first, "subject", ""))

    def succeed(self, result: Any, topics: set[str], counted: list[tuple[str, ...]]) -> None:
        """It has run; `answered` once that is committed."""
        self.result, self.error, self.topics, self.counted = result, None, topics, counted

    def refuse(self, error: BaseException) -> None:
        """It has run and was refused; `answered` once what the batch saw is committed."""
        self.result, self.error, self.topics, self.counted = None, error, set(), []

    def fail(self, error: BaseException) -> None:
        """It is answered with `error`."""
        self.refuse(error)
        self.answered = True


class Intake:
    """Requests in the order in which they came; of one event loop, for one writer or several. Of those that wait for
    one, the writer that was busy last gets it: what it needs is still in the processor's caches, and the database's.
    """

    def __init__(self) -> None:
        self._requests: deque[Request] = deque()
        self._along: deque[Request] = deque()
        self._takers: list[asyncio.Future[None]] = []
        self._ends = 0
        self._loop = asyncio.get_running_loop()

    def put(self, request: Request) -> None:
        if not request.has_time:
            self._requests.append(request)
            self._wake()
            return
        if not self._along:
            self._loop.call_later(ALONG, self._wait_no_longer)
        self._along.append(request)

    def end(self, takers: int = 1) -> None:
        """Each of the takers gets an empty batch, once what was put before is taken."""
        self._wait_no_longer()
        self._ends += takers
        for _ in range(takers):
            self._wake()

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._requests and not self._ends

    async def batch(self) -> list[Request]:
        """What waits, at most BATCH of it; empty at the end."""
        while self.empty:
            await self._woken()
        if not self._requests:
            self._ends -= 1
            return []
        return self.waiting(BATCH)

    def waiting(self, limit: int = sys.maxsize) -> list[Request]:
        """What waits now, at most `limit` of it; last what has time."""
        requests = [self._requests.popleft() for _ in range(min(limit, len(self._requests)))]
        while self._along and len(requests) < limit:
            requests.append(self._along.popleft())
        return requests

    async def _woken(self) -> None:
        taker: asyncio.Future[None] = self._loop.create_future()
        self._takers.append(taker)
        try:
            await taker
        except asyncio.CancelledError:
            if taker in self._takers:
                self._takers.remove(taker)
            elif not self.empty:  # it was woken, and goes: another one comes for what there is
                self._wake()
            raise

    def _wake(self) -> None:
        if self._takers:
            taker = self._takers.pop()
            if not taker.done():
                taker.set_result(None)

    def _wait_no_longer(self) -> None:
        """What had time is next in the queue."""
        while self._along:
            self._requests.append(self._along.popleft())
            self._wake()

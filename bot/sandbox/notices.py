"""What the page is told when something changes: small notices with an id, kept for a while to resume from."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

KEPT = 1000


@dataclass(frozen=True)
class Notice:
    """One change. `audience` are the only users it concerns; None is everybody."""

    id: str
    kind: str
    data: dict[str, Any]
    audience: frozenset[str] | None

    def concerns(self, user: str | None) -> bool:
        return user is None or self.audience is None or user in self.audience


class Notices:
    """The latest notices and those who listen for more."""

    def __init__(self) -> None:
        # Ids of another process's life must not be taken for ours.
        self._life = secrets.token_hex(4)
        self._count = 0
        self._kept: deque[Notice] = deque(maxlen=KEPT)
        self._listeners: set[asyncio.Event] = set()
        self._closed = False

    def publish(self, kind: str, *, audience: frozenset[str] | None = None, **data: Any) -> None:
        """Tells the listeners. `kind` is for example `message` or `view`; `data` must be JSON."""
        self._count += 1
        self._kept.append(Notice(self._id(self._count), kind, data, audience))
        self._wake()

    def close(self) -> None:
        """Ends every listener's iteration."""
        self._closed = True
        self._wake()

    async def listen(self, last_id: str | None, *, idle_seconds: float) -> AsyncIterator[Notice | None]:
        """Notices after `last_id`, for ever; None after so many seconds without one.

        Where `last_id` is None, a notice of kind `hello` comes first, so that there is an id to resume from.
        Where those after `last_id` are not kept any more, a notice of kind `resync` comes instead: read
        everything again."""
        position = self._position(last_id) if last_id is not None else self._count
        changed = asyncio.Event()
        self._listeners.add(changed)
        try:
            if last_id is None:
                yield Notice(self._id(self._count), "hello", {}, None)
            while not self._closed:
                changed.clear()
                missed, position = self._after(position), self._count
                for notice in missed:
                    yield notice
                try:
                    async with asyncio.timeout(idle_seconds):
                        await changed.wait()
                except TimeoutError:
                    yield None
        finally:
            self._listeners.discard(changed)

    def _position(self, last_id: str) -> int | None:
        """How many notices there had been at `last_id`; None where that can't be told."""
        life, _, number = last_id.rpartition("-")
        return int(number) if life == self._life and number.isdecimal() else None

    def _after(self, position: int | None) -> list[Notice]:
        missed = -1 if position is None else self._count - position
        if not 0 <= missed <= len(self._kept):
            return [Notice(self._id(self._count), "resync", {}, None)]
        return list(self._kept)[len(self._kept) - missed :]

    def _id(self, count: int) -> str:
        return f"{self._life}-{count}"

    def _wake(self) -> None:
        for listener in self._listeners:
            listener.set()

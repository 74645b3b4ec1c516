"""Wakes between processes: NOTIFY after a commit, coalesced, on a connection of its own; LISTEN on the same.

Inside the writers' transactions NOTIFY would take a global lock. Nothing depends on it: who waits polls as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import secrets
from collections.abc import Awaitable, Iterable, Iterator
from typing import Any

import structlog
from sqlalchemy.engine import URL

from agent_runtime.errors import StoreUnavailable
from agent_runtime.store.postgres.connecting import LISTENING, connect, disconnect
from agent_runtime.store.postgres.faults import in_our_words, is_drivers
from agent_runtime.store.wakes import EVERYTHING, Wakes

log = structlog.get_logger(__name__)

CHANNEL = "countersign"

TOGETHER = 30
"""Topics in one notification, which PostgreSQL limits to 8,000 bytes."""

MOST = 300
"""Topics to announce at once; where there are more, everybody is woken."""

APART = 0.005
"""Seconds between announcements: the first is told at once, what follows it closely in one."""

FIRST_PAUSE, LAST_PAUSE = 0.05, 5.0
"""Seconds between attempts to reach a database that is away."""


class PostgresNeighbours:
    """Tells other processes on the same database what was announced here, and announces here what they tell."""

    def __init__(self, url: URL, wakes: Wakes) -> None:
        self._url = url
        self._wakes = wakes
        self._name = secrets.token_hex(8)
        self._topics: set[str] = set()
        self._something = asyncio.Event()
        self._ending = asyncio.Event()
        self._running: asyncio.Task[None]

    @classmethod
    async def open(cls, url: URL, wakes: Wakes) -> PostgresNeighbours:
        """Listens from here on. Raises StoreUnavailable where no connection can be had."""
        neighbours = cls(url, wakes)
        link = await neighbours._listen()
        neighbours._running = asyncio.create_task(neighbours._run(link), name="countersign-neighbours")
        return neighbours

    def tell(self, topics: Iterable[str]) -> None:
        """Announces `topics` in other processes, soon."""
        self._topics.update(topics)
        self._something.set()

    async def close(self) -> None:
        """Tells what is left to tell, then ends."""
        self._ending.set()
        self._something.set()
        await self._running

    async def _run(self, link: Any) -> None:
        while link is not None:
            try:
                await self._tell_on(link)
            except StoreUnavailable as error:
                log.warning("announcements to other processes interrupted", reason=error.message)
            finally:
                await disconnect(link)
            link = await self._listen_again()

    async def _tell_on(self, link: Any) -> None:
        """Tells whatever there is to tell, until the connection or this process ends."""
        while not link.is_closed():
            self._something.clear()
            topics, self._topics = self._topics, set()
            for payload in self._payloads(topics):
                await self._on(link.execute("SELECT pg_notify($1, $2)", CHANNEL, payload))
            if self._ending.is_set() and not self._topics:
                return
            if topics:
                await asyncio.sleep(APART)
            await self._something.wait()

    async def _listen_again(self) -> Any:
        """The next connection, however long it takes; None at the end."""
        pause = FIRST_PAUSE
        while not self._ending.is_set():
            try:
                link = await self._listen()
            except StoreUnavailable:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._ending.wait(), pause * random.uniform(0.5, 1.0))  # noqa: S311
                pause = min(LAST_PAUSE, pause * 2)
            else:
                self.tell([EVERYTHING])
                self._wakes.announce([EVERYTHING])  # whatever was told meanwhile, here and there
                return link
        return None

    async def _listen(self) -> Any:
        link = await connect(self._url, LISTENING)
        link.add_termination_listener(lambda _: self._something.set())
        await self._on(link.add_listener(CHANNEL, self._heard))
        return link

    async def _on(self, answer: Awaitable[Any]) -> None:
        try:
            await answer
        except Exception as error:
            if not is_drivers(error):
                raise
            raise in_our_words(error) from error

    def _payloads(self, topics: set[str]) -> Iterator[str]:
        if len(topics) > MOST:
            topics = {EVERYTHING}
        ordered = sorted(topics)
        for first in range(0, len(ordered), TOGETHER):
            yield json.dumps([self._name, *ordered[first : first + TOGETHER]])

    def _heard(self, link: Any, process: int, channel: str, payload: str) -> None:
        try:
            sender, *topics = map(str, json.loads(payload))
        except (TypeError, ValueError):  # not one of ours; somebody says that there is something to see
            sender, topics = "", [EVERYTHING]
        if sender != self._name:
            self._wakes.announce(topics)

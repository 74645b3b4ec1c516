"""Reads that need no transaction, on connections of their own."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine, Sequence
from contextvars import ContextVar
from typing import Any, TypeVar

from sqlalchemy.engine import URL

from agent_runtime.errors import InvalidRequest
from agent_runtime.store.faults import ConnectionLost
from agent_runtime.store.postgres.faults import CONNECT_WITHIN, NoConnectionLeft, in_our_words, is_drivers
from agent_runtime.store.postgres.fetching import fetch_each
from agent_runtime.store.postgres.links import Links
from agent_runtime.store.postgres.moment import Moment
from agent_runtime.store.statement import Q
from agent_runtime.store.transaction import Rows

R = TypeVar("R")

CONNECTIONS = 8
"""Statements that run at once; more wait."""

FULL_PAUSE = 0.05
"""Seconds after which a read asks again for a connection where the server has none left."""

_MOMENT: ContextVar[Moment | None] = ContextVar("moment", default=None)
"""What is looked at just now."""

_Asked = tuple[dict[str, Any], asyncio.Future[Rows]]


class PostgresReader:
    """Reads with the same statement that are asked at the same time share a round trip.

    A read whose connection broke is run once more on another.
    """

    def __init__(self, links: Links) -> None:
        self._links = links
        self._asked: dict[Q[Any], list[_Asked]] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(CONNECTIONS)

    @classmethod
    async def open(cls, url: URL) -> PostgresReader:
        """Raises StoreUnavailable where no connection can be had."""
        return cls(await Links.open(url))

    async def all(self, q: Q[R], binds: dict[str, Any]) -> list[R]:
        moment = _MOMENT.get()
        rows = await (self._rows(q, binds) if moment is None else moment.rows(q, binds))
        return [q.row(*row) for row in rows]

    async def at_one_moment(
        self, look: Callable[[], Coroutine[Any, Any, R]], holds: Callable[[R], Coroutine[Any, Any, bool]]
    ) -> R:
        """Reads again what changed meanwhile: a transaction would take round trips that reads of many callers share."""
        while True:
            of_one = _MOMENT.set(Moment(self._rows))
            try:
                found = await look()
            finally:
                _MOMENT.reset(of_one)
            if await holds(found):
                return found

    async def close(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CONNECT_WITHIN):
                await asyncio.gather(*self._sending, return_exceptions=True)
        await self._links.close()

    async def _rows(self, q: Q[Any], binds: dict[str, Any]) -> Rows:
        asked = self._asked.get(q)
        if asked is None or not q.returns:
            asked = self._asked[q] = []
            sending = asyncio.create_task(self._send(q, asked))
            self._sending.add(sending)
            sending.add_done_callback(self._sending.discard)
        answer: asyncio.Future[Rows] = asyncio.get_running_loop().create_future()
        asked.append((binds, answer))
        return await answer

    async def _send(self, q: Q[Any], asked: list[_Asked]) -> None:
        """Answers those who have asked when a connection is free."""
        try:
            async with self._places:
                if self._asked.get(q) is asked:
                    del self._asked[q]
                try:
                    answers = await self._fetch(q, [binds for binds, _ in asked])
                except InvalidRequest:
                    if len(asked) == 1:
                        raise
                    answers = None
            if answers is None:  # one of them sent what cannot be stored
                await asyncio.gather(*(self._send(q, [one]) for one in asked))
                return
            for (_, answer), rows in zip(asked, answers, strict=True):
                if not answer.done():
                    answer.set_result(rows)
        except Exception as error:  # noqa: BLE001 - handed to whoever awaits the rows
            for _, answer in asked:
                if not answer.done():
                    answer.set_exception(error)
        finally:
            for _, answer in asked:
                answer.cancel()

    async def _fetch(self, q: Q[Any], binds: Sequence[dict[str, Any]]) -> Sequence[Rows]:
        try:
            return await self._fetch_once(q, binds)
        except ConnectionLost:
            self._links.renew()
            return await self._fetch_once(q, binds)
        except NoConnectionLeft:
            return await self._fetch_patiently(q, binds)

    async def _fetch_patiently(self, q: Q[Any], binds: Sequence[dict[str, Any]]) -> Sequence[Rows]:
        """By a connection that is open already, once one is free, or by one that others gave up."""
        loop = asyncio.get_running_loop()
        until = loop.time() + CONNECT_WITHIN
        while True:
            await asyncio.sleep(FULL_PAUSE * random.uniform(0.5, 1.0))  # noqa: S311
            try:
                return await self._fetch_once(q, binds)
            except NoConnectionLeft:
                if loop.time() >= until:
                    raise

    async def _fetch_once(self, q: Q[Any], binds: Sequence[dict[str, Any]]) -> Sequence[Rows]:
        try:
            async with self._links.one() as link:
                return await fetch_each(link, q, binds)
        except Exception as error:
            if not is_drivers(error):
                raise
            raise in_our_words(error) from error

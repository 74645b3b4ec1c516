"""Reads that need no transaction, through a pool."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

import asyncpg
from sqlalchemy.engine import URL

from agent_runtime.store.faults import ConnectionLost
from agent_runtime.store.postgres.connecting import READING, arguments
from agent_runtime.store.postgres.faults import CONNECT_WITHIN, in_our_words, is_drivers, unreachable
from agent_runtime.store.statement import Q

R = TypeVar("R")

CONNECTIONS = 8
"""Reads that run at once; more wait."""


class PostgresReader:
    """A read whose connection broke is run once more on another."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    @classmethod
    async def open(cls, url: URL) -> PostgresReader:
        """Raises StoreUnavailable where no connection can be had."""
        try:
            pool = await asyncpg.create_pool(
                **arguments(url, READING), min_size=1, max_size=CONNECTIONS, reset=_nothing_to_reset
            )
        except Exception as error:
            if not is_drivers(error):
                raise
            raise unreachable(error, url) from error
        return cls(pool)

    async def all(self, q: Q[R], binds: dict[str, Any]) -> list[R]:
        compiled = q.compiled("postgresql")
        parameters = compiled.positional(binds)
        try:
            rows = await self._fetch(compiled.sql, parameters)
        except ConnectionLost:
            await self._pool.expire_connections()  # what broke one is likely to have broken the others
            rows = await self._fetch(compiled.sql, parameters)
        return [q.row(*row) for row in rows]

    async def close(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_WITHIN):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    async def _fetch(self, sql: str, parameters: list[Any]) -> Any:
        try:
            return await self._pool.fetch(sql, *parameters)
        except Exception as error:
            if not is_drivers(error):
                raise
            raise in_our_words(error) from error


async def _nothing_to_reset(connection: Any) -> None:
    """Reads leave nothing behind in a session; the driver's own reset costs a round trip each."""

"""Connections to PostgreSQL, each with the settings of its purpose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from sqlalchemy.engine import URL

from agent_runtime.errors import InvalidSetting
from agent_runtime.store.postgres.faults import CONNECT_WITHIN, is_drivers, unreachable
from agent_runtime.store.postgres.spelled import SETTING

OLDEST = 15
"""The oldest major version that is supported."""


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a connection is for. `answer_within`: seconds for a statement; past it the connection counts as lost."""

    name: str
    settings: Mapping[str, str] = field(default_factory=dict)
    answer_within: float = 15.0


WRITING = Purpose(
    "writer",
    {
        "idle_in_transaction_session_timeout": "10s",
        "plan_cache_mode": "force_generic_plan",
        "enable_seqscan": "off",
        "jit": "off",
        **SETTING,
    },
)
"""A process that is paused in a transaction lets go of its locks. Its statements go by keys and indexes, whatever their
binds: planned once a connection, also where a table is small as yet. Planning takes longer than most of them.
"""

READING = Purpose("reader")
LISTENING = Purpose("listener", {"synchronous_commit": "off"})
"""A lost announcement costs a poll, a flushed one costs the disk."""

MIGRATING = Purpose("migration", {"lock_timeout": "60s"}, answer_within=3600.0)


async def connect(url: URL, purpose: Purpose) -> Any:
    """An open asyncpg connection. Raises StoreUnavailable or InvalidSetting saying why there is none."""
    try:
        connection = await asyncpg.connect(**arguments(url, purpose))
    except Exception as error:
        if not is_drivers(error):
            raise
        raise unreachable(error, url) from error
    version = connection.get_server_version()
    if version.major < OLDEST:
        await connection.close()
        raise InvalidSetting(
            f"COUNTERSIGN_DATABASE_URL: the server is PostgreSQL {version.major}.{version.minor}; "
            f"Countersign needs {OLDEST} or newer"
        )
    return connection


async def disconnect(connection: Any) -> None:
    """Closes a connection, at once where the server does not answer."""
    try:
        await connection.close(timeout=CONNECT_WITHIN)
    except Exception as error:
        if not is_drivers(error):
            raise
        connection.terminate()


def arguments(url: URL, purpose: Purpose) -> dict[str, Any]:
    """What asyncpg's `connect` takes. A URL may say `ssl=…` (as SQLAlchemy has it) or `sslmode=…`."""
    query = dict(url.query)
    if "ssl" in query:
        query["sslmode"] = query.pop("ssl")
    return {
        "dsn": url.set(drivername="postgresql", query=query).render_as_string(hide_password=False),
        "timeout": CONNECT_WITHIN,
        "command_timeout": purpose.answer_within,
        "statement_cache_size": 512,
        "max_cached_statement_lifetime": 0,
        "server_settings": {"application_name": f"countersign {purpose.name}", **purpose.settings},
        "target_session_attrs": "read-write",  # never a standby, also to read: it lags behind
    }

"""asyncpg's errors in our words."""

from __future__ import annotations

import socket

import asyncpg
from sqlalchemy.engine import URL

from agent_runtime.errors import CountersignError, InvalidRequest, InvalidSetting, StoreUnavailable
from agent_runtime.store.faults import Collision, ConnectionLost, Contended

CONNECT_WITHIN = 5.0
"""Seconds for a server to accept a connection."""

_UNIQUE = "23505"
_CONTENDED = frozenset({"40001", "40P01", "55P03"})
"""Serialization failure, deadlock, lock timeout."""

_BEFORE_COMMIT = ("0A", "22", "23", "26", "40001", "40002", "40P01", "42", "54", "55", "P0", "53100")
"""Of what a message of inserts and COMMIT may fail with, what leaves nothing written, by how its state begins: values,
constraints, conflicts, statements, limits, locks, triggers, a full disk. Neither a COMMIT that has succeeded nor the
BEGIN behind it ends so.
"""

_GONE = frozenset({"25006", "25P03", "57P01", "57P02", "57P03", "57P05"})
"""Read-only (a standby now), a transaction or session that idled too long, shutdown, crash, still starting."""


_FULL = "53300"
"""Every connection that the server or the role may have is taken."""


_RAISE_IT = "raise max_connections or the role's limit, or run fewer processes"


class NoConnectionLeft(StoreUnavailable):
    """PostgreSQL has no connection left; raise max_connections or the role's limit, or run fewer processes."""


def is_drivers(error: Exception) -> bool:
    """Whether `error` comes from the driver or the network."""
    kinds = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
    return isinstance(error, kinds)


def in_our_words(error: Exception) -> CountersignError:
    """What an error on an open connection means for the work at hand."""
    state: str | None = getattr(error, "sqlstate", None)
    if state == _UNIQUE:
        return Collision(f"another write was first: {error}")
    if state in _CONTENDED:
        return Contended()
    if state == _FULL:
        return NoConnectionLeft()
    if isinstance(error.__cause__, UnicodeEncodeError):
        return InvalidRequest("text: it holds half of a surrogate pair, which is no character; send valid Unicode")
    if state is not None and state.startswith("22"):
        return InvalidRequest(f"text: PostgreSQL cannot store it ({error}); leave out the NUL character")
    if isinstance(error, OSError | asyncpg.InternalClientError) or state in _GONE or (state or "").startswith("08"):
        return ConnectionLost(f"{ConnectionLost().message} ({error or type(error).__name__})")
    if isinstance(error, asyncpg.InterfaceError) and not isinstance(error, ValueError):
        return ConnectionLost(f"{ConnectionLost().message} ({error})")
    return StoreUnavailable(f"the database refused the work: {error}")


def before_commit(error: BaseException | None) -> bool:
    """Whether the server has said with `error` that the transaction in whose last message it arose wrote nothing."""
    return str(getattr(error, "sqlstate", None)).startswith(_BEFORE_COMMIT)


def broken(error: Exception) -> bool:
    """Whether a connection on which `error` was raised is of no use any more."""
    return not is_drivers(error) or isinstance(in_our_words(error), ConnectionLost)


def unreachable(error: Exception, url: URL) -> CountersignError:
    """Why no connection could be had, and what to do; names the setting and never the password."""
    where = f"{url.host or 'the local server'}:{url.port or 5432}"
    said = f"COUNTERSIGN_DATABASE_URL: {where}"
    if isinstance(error, asyncpg.ClientConfigurationError):
        return InvalidSetting(f"COUNTERSIGN_DATABASE_URL: {error}")
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
        return StoreUnavailable(f"{said} refused the user {url.username!r} ({error}); check user and password")
    if isinstance(error, asyncpg.TooManyConnectionsError):
        return NoConnectionLeft(f"{said} has no connection left ({error}); {_RAISE_IT}")
    if isinstance(error, asyncpg.InvalidCatalogNameError):
        return StoreUnavailable(f"{said} has no database {url.database!r}; create it, or correct the name")
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        return StoreUnavailable(f"{said} is read-only (a standby); name the primary")
    if isinstance(error, socket.gaierror):
        return StoreUnavailable(f"{said}: the host is unknown; correct its name")
    if isinstance(error, TimeoutError):
        return StoreUnavailable(f"{said} did not answer within {CONNECT_WITHIN:g} s; is it the right host?")
    if isinstance(error, OSError):
        return StoreUnavailable(f"{said} cannot be reached ({error}); is PostgreSQL running there?")
    return StoreUnavailable(f"{said} refused the connection: {error}")

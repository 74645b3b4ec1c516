"""Sessions of people who signed in with a token in a browser. Only a hash of a session's secret is kept."""

from __future__ import annotations

import re
import secrets

from agent_runtime.core.duration import HOUR
from agent_runtime.core.principal import Actor, Via
from agent_runtime.operations.tokens import STREAM, hash_of
from agent_runtime.store.access import END_SESSION, FORGET_SESSIONS, INSERT_SESSION
from agent_runtime.store.events import record
from agent_runtime.store.tx import Tx

LIFETIME = 12 * HOUR
"""How long a session lasts at most; it ends earlier with its token."""

_SECRET = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


def new_secret() -> str:
    """What a browser holds: 256 random bits."""
    return secrets.token_urlsafe(32)


def is_session_secret(text: str) -> bool:
    """Whether `text` has the form of `new_secret`."""
    return _SECRET.fullmatch(text) is not None


def begin_session(tx: Tx, token_name: str, *, by: Actor) -> str:
    """Begins a session of the token called `token_name`, which the caller has seen; returns the session's secret."""
    secret = new_secret()
    tx.run(FORGET_SESSIONS, b_now=tx.now)
    tx.run(
        INSERT_SESSION,
        session_hash=hash_of(secret),
        token_name=token_name,
        created_at=tx.now,
        expires_at=tx.now + LIFETIME,
    )
    record(tx, "session.begun", stream=STREAM, by=by, via=Via.dashboard, data={"name": token_name})
    return secret


def end_session(tx: Tx, secret: str, *, by: Actor) -> None:
    """The session is over; nothing happens where it is so already."""
    ended = tx.run(END_SESSION, b_hash=hash_of(secret))
    if ended is not None:
        record(tx, "session.ended", stream=STREAM, by=by, via=Via.dashboard, data={"name": ended.token_name})

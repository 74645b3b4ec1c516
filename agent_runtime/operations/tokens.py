"""API tokens: created, listed, revoked. Only a hash of the secret is kept, so a token is shown once."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from agent_runtime.core.duration import DAY
from agent_runtime.core.principal import Actor, Via
from agent_runtime.errors import Conflict, InvalidRequest, NotFound
from agent_runtime.store.access import INSERT_TOKEN, REVOKE_TOKEN, TOKENS
from agent_runtime.store.events import record
from agent_runtime.store.tx import Tx

STREAM = "tokens"
"""The audit stream of everything that happens to tokens."""

_SECRET = re.compile(r"cs_[A-Za-z0-9_-]{43}", re.ASCII)
_LONGEST = 3650 * DAY
_NAME = re.compile(r"[\w.-]{1,64}", re.ASCII)
_PERSON = re.compile(r"slack:[TE][A-Z0-9]+:[UW][A-Z0-9]+", re.ASCII)


class Scope(StrEnum):
    """What a token may do; none of them implies another."""

    start = "start"
    read = "read"
    decide = "decide"
    admin = "admin"


@dataclass(frozen=True, slots=True)
class Token:
    """One token as it is listed; never its secret. Times in epoch microseconds."""

    name: str
    scopes: tuple[Scope, ...]
    principal: str
    created_by: str
    created_at: int
    expires_at: int | None
    revoked_at: int | None


def create_token(
    tx: Tx,
    name: str,
    scopes: Sequence[str],
    *,
    by: Actor,
    via: Via,
    stands_for: str = "",
    expires_in: int | None = None,
) -> str:
    """A token called `name`; returns the bearer token itself, which nothing can show again.

    Its principal is `api:NAME`, or the person that it stands for (`slack:TEAM:USER`), with their limits. `expires_in`
    is microseconds; None never ends. Raises InvalidRequest naming the field, Conflict where a token has or had that
    name (the audit trail names principals).
    """
    if not _NAME.fullmatch(name):
        raise InvalidRequest(f"name: {name!r} must be 1 to 64 letters, digits, _, . or -")
    if stands_for and not _PERSON.fullmatch(stands_for):
        raise InvalidRequest(f"for: {stands_for!r} is no Slack user; write slack:TEAM:USER with their ids, slack:T…:U…")
    if expires_in is not None and not 0 < expires_in <= _LONGEST:
        raise InvalidRequest("expires_in: must be more than zero and at most ten years")
    if any(token.name == name for token in list_tokens(tx)):
        raise Conflict(f"name: a token is or was called {name!r}; choose another name")
    secret = "cs_" + secrets.token_urlsafe(32)
    token = Token(
        name=name,
        scopes=_scopes(scopes),
        principal=stands_for or f"api:{name}",
        created_by=by.principal,
        created_at=tx.now,
        expires_at=None if expires_in is None else tx.now + expires_in,
        revoked_at=None,
    )
    tx.run(
        INSERT_TOKEN,
        name=token.name,
        token_hash=hash_of(secret),
        scopes=" ".join(token.scopes),
        principal=token.principal,
        created_by=token.created_by,
        created_at=token.created_at,
        expires_at=token.expires_at,
        revoked_at=None,
    )
    record(
        tx,
        "token.created",
        stream=STREAM,
        by=by,
        via=via,
        data={"name": name, "scopes": [*token.scopes], "principal": token.principal, "expires_at": token.expires_at},
    )
    return secret


def revoke_token(tx: Tx, name: str, *, by: Actor, via: Via) -> None:
    """The token is refused from now on. Raises NotFound where no unrevoked token has that name."""
    if tx.run(REVOKE_TOKEN, b_name=name, b_now=tx.now) is None:
        raise NotFound(f"no token that could be revoked is called {name!r}; see `countersign tokens list`")
    record(tx, "token.revoked", stream=STREAM, by=by, via=via, data={"name": name})


def list_tokens(tx: Tx) -> list[Token]:
    """Every token that there is or was, oldest first."""
    return [
        Token(
            row.name,
            parse_scopes(row.scopes),
            row.principal,
            row.created_by,
            row.created_at,
            row.expires_at,
            row.revoked_at,
        )
        for row in tx.all(TOKENS)
    ]


def hash_of(secret: str) -> str:
    """What is stored of a bearer token: with 256 random bits in it, one SHA-256 cannot be reversed or guessed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def is_secret(text: str) -> bool:
    """Whether `text` has the form of a bearer token."""
    return _SECRET.fullmatch(text) is not None


def parse_scopes(stored: str) -> tuple[Scope, ...]:
    """The scopes as a token's row holds them."""
    return tuple(Scope(word) for word in stored.split())


def _scopes(words: Sequence[str]) -> tuple[Scope, ...]:
    wrong = next((word for word in words if word not in set(Scope)), None)
    if wrong is not None or not words:
        given = f"{wrong!r} is unknown" if wrong is not None else "none is given"
        raise InvalidRequest(f"scopes: {given}; write one or more of {', '.join(Scope)}")
    return tuple(scope for scope in Scope if scope in set(words))

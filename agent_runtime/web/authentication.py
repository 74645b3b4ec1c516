"""Who is asking: a bearer token, a session begun with one, or the local operator while there is no token at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from aiohttp import web
from aiohttp.typedefs import Handler

from agent_runtime.core.principal import LOCAL_OPERATOR, Actor
from agent_runtime.errors import NotAuthenticated, NotAuthorized, StoreUnavailable
from agent_runtime.operations.sessions import is_session_secret
from agent_runtime.operations.tokens import Scope, hash_of, is_secret, parse_scopes
from agent_runtime.store.access import ANY_TOKEN, SESSION_BY_HASH, TOKEN_BY_HASH
from agent_runtime.store.database import Database
from agent_runtime.web.loopback import refusal

WEBHOOK = "/api/v1/webhooks/approval-response"
SIGN_IN = "/sign-in"
ASSETS = ("/static/reviews.css", "/static/reviews.js", "/static/morph.js")
PUBLIC_PATHS = frozenset({"/slack/events", WEBHOOK, "/healthz", SIGN_IN, *ASSETS})
"""Served to anybody: the first two check a signature of their own, signing in checks a token."""

TOLD_WITHIN = 2.5
"""Seconds in which the database says who asks."""

SESSION_COOKIE = "countersign_session"

_REMEDY = (
    "create a token with `countersign tokens create NAME --scope read` and send it as `Authorization: Bearer cs_…`"
)


class TokenNeeded(NotAuthenticated):
    """Nobody is known without a token here."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks, and what their credentials allow."""

    actor: Actor
    scopes: frozenset[Scope]
    token_name: str = ""
    session: bool = False
    """Known by a cookie, which a browser also sends where nobody meant to."""

    def require(self, scope: Scope) -> None:
        """Raises NotAuthorized where the credentials lack `scope`."""
        if scope not in self.scopes:
            raise NotAuthorized(f"this token lacks the scope {scope.value}", scope=scope.value)

    def require_in_good_standing(self) -> None:
        """Raises NotAuthorized where the person behind the token may begin nothing where they are known."""
        if self.actor.barred:
            raise NotAuthorized(f"nothing can be begun with this token: {self.actor.barred}")


People = Callable[[str], Awaitable[Actor | None]]
"""Who a principal is now, for those that a surface knows: all their names, or why they may decide nothing."""

DATABASE = web.AppKey("database", Database)
PEOPLE: web.AppKey[People] = web.AppKey("people")
IDENTITY = web.RequestKey("identity", Identity)

ANYBODY = Identity(Actor("anonymous"), frozenset())
_LOCAL = Identity(LOCAL_OPERATOR, frozenset(Scope))


@web.middleware
async def authentication(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Establishes the identity before anything else is looked at, so that a stranger learns nothing, not even a 404."""
    public = request.rel_url.raw_path in PUBLIC_PATHS
    request[IDENTITY] = ANYBODY if public else await identify(request)
    return await handler(request)


async def identify(request: web.Request) -> Identity:
    """The identity behind a request. Raises NotAuthenticated with the reason and the remedy; StoreUnavailable where the
    database does not answer, be it that it is silent: so that nobody waits for long to be told.
    """
    try:
        async with asyncio.timeout(TOLD_WITHIN):
            identity = await _identified(request)
    except TimeoutError:
        raise StoreUnavailable(f"The database has not answered within {TOLD_WITHIN:g} s") from None
    return await _as_known(request, identity)


async def _identified(request: web.Request) -> Identity:
    database = request.app[DATABASE]
    credentials = request.headers.getall("Authorization", [])
    if credentials:
        return await _bearer(database, credentials)
    session = await _session(database, request.cookies.get(SESSION_COOKIE, ""))
    if session is not None:
        return session
    if await database.one(ANY_TOKEN) is not None:
        raise TokenNeeded(f"a bearer token is needed; {_REMEDY}")
    reason = refusal(request)
    if reason:
        raise NotAuthenticated(f"without a token only this machine's own requests are served, and {reason}; {_REMEDY}")
    return _LOCAL


async def nobody_known(principal: str) -> Actor | None:
    """No surface knows anybody: a person's token stands for the person alone."""
    return None


async def _as_known(request: web.Request, identity: Identity) -> Identity:
    """A person's token begins and decides no more than the person may where they are known, and no longer."""
    if identity.actor.operator or not identity.scopes & {Scope.start, Scope.decide}:
        return identity
    known = await request.app[PEOPLE](identity.actor.principal)
    return identity if known is None else replace(identity, actor=known)


async def identity_of(database: Database, secret: str) -> Identity | None:
    """Whom a token's secret stands for; None where it is unknown, revoked or expired."""
    # Only the hash is compared, by a unique index: how long that takes tells nothing about the secret.
    token = await database.one(TOKEN_BY_HASH, b_hash=hash_of(secret)) if is_secret(secret) else None
    if token is None or (token.expires_at is not None and database.clock() >= token.expires_at):
        return None
    scopes = frozenset(parse_scopes(token.scopes))
    return Identity(_actor(token.principal, scopes), scopes, token.name)


async def _bearer(database: Database, credentials: list[str]) -> Identity:
    kind, _, secret = credentials[0].partition(" ")
    secret = secret.strip(" ")
    if len(credentials) != 1 or kind.lower() != "bearer" or not is_secret(secret):
        raise NotAuthenticated(f"Authorization: this is no bearer token of Countersign's; {_REMEDY}")
    identity = await identity_of(database, secret)
    if identity is None:
        raise NotAuthenticated(f"this token is unknown, revoked or expired; {_REMEDY}")
    return identity


async def _session(database: Database, secret: str) -> Identity | None:
    """Whom a session's cookie stands for: what its token may do now, as long as both last."""
    if not is_session_secret(secret):
        return None
    found = await database.one(SESSION_BY_HASH, b_hash=hash_of(secret))
    if found is None or database.clock() >= min(found.session_expires_at, found.expires_at or found.session_expires_at):
        return None
    scopes = frozenset(parse_scopes(found.scopes))
    return Identity(_actor(found.principal, scopes), scopes, found.name, session=True)


def _actor(principal: str, scopes: frozenset[Scope]) -> Actor:
    """A token made for a person is that person; any other with scope `decide` is a trusted operator."""
    if principal.startswith("slack:"):
        return Actor(principal, identities=frozenset({principal, principal.rsplit(":", 1)[1]}))
    return Actor(principal, identities=frozenset({principal}), operator=Scope.decide in scopes)

"""Who is asking: a bearer token, or the local operator while there is no token at all."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler

from agent_runtime.core.principal import LOCAL_OPERATOR, Actor
from agent_runtime.errors import NotAuthenticated, NotAuthorized
from agent_runtime.operations.tokens import Scope, hash_of, is_secret, parse_scopes
from agent_runtime.store.access import ANY_TOKEN, TOKEN_BY_HASH
from agent_runtime.store.database import Database
from agent_runtime.web.loopback import refusal

WEBHOOK = "/api/v1/webhooks/approval-response"
PUBLIC_PATHS = frozenset({"/slack/events", WEBHOOK, "/healthz"})
"""Served to anybody: the first two check a signature of their own."""

_REMEDY = (
    "create a token with `countersign tokens create NAME --scope read` and send it as `Authorization: Bearer cs_…`"
)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks, and what their credentials allow."""

    actor: Actor
    scopes: frozenset[Scope]

    def require(self, scope: Scope) -> None:
        """Raises NotAuthorized where the credentials lack `scope`."""
        if scope not in self.scopes:
            raise NotAuthorized(f"this token lacks the scope {scope.value}", scope=scope.value)


DATABASE = web.AppKey("database", Database)
IDENTITY = web.RequestKey("identity", Identity)

_ANYBODY = Identity(Actor("anonymous"), frozenset())
_LOCAL = Identity(LOCAL_OPERATOR, frozenset(Scope))


@web.middleware
async def authentication(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Establishes the identity before anything else is looked at, so that a stranger learns nothing, not even a 404."""
    public = request.rel_url.raw_path in PUBLIC_PATHS
    request[IDENTITY] = _ANYBODY if public else await identify(request)
    return await handler(request)


async def identify(request: web.Request) -> Identity:
    """The identity behind a request. Raises NotAuthenticated with the reason and the remedy."""
    database = request.app[DATABASE]
    credentials = request.headers.getall("Authorization", [])
    if credentials:
        return await _bearer(database, credentials)
    if await database.one(ANY_TOKEN) is not None:
        raise NotAuthenticated(f"a bearer token is needed; {_REMEDY}")
    reason = refusal(request)
    if reason:
        raise NotAuthenticated(f"without a token only this machine's own requests are served, and {reason}; {_REMEDY}")
    return _LOCAL


async def _bearer(database: Database, credentials: list[str]) -> Identity:
    kind, _, secret = credentials[0].partition(" ")
    secret = secret.strip(" ")
    if len(credentials) != 1 or kind.lower() != "bearer" or not is_secret(secret):
        raise NotAuthenticated(f"Authorization: this is no bearer token of Countersign's; {_REMEDY}")
    # Only the hash is compared, by a unique index: how long that takes tells nothing about the secret.
    token = await database.one(TOKEN_BY_HASH, b_hash=hash_of(secret))
    if token is None or (token.expires_at is not None and database.clock() >= token.expires_at):
        raise NotAuthenticated(f"this token is unknown, revoked or expired; {_REMEDY}")
    scopes = frozenset(parse_scopes(token.scopes))
    return Identity(_actor(token.principal, scopes), scopes)


def _actor(principal: str, scopes: frozenset[Scope]) -> Actor:
    """A token made for a person is that person; any other with scope `decide` is a trusted operator."""
    if principal.startswith("slack:"):
        return Actor(principal, identities=frozenset({principal, principal.rsplit(":", 1)[1]}))
    return Actor(principal, identities=frozenset({principal}), operator=Scope.decide in scopes)

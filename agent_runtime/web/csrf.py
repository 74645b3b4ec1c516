"""Requests that a browser makes must carry a token that only our own pages hold.

The token is signed with the secret of the browser's cookie (SameSite=Strict, HttpOnly) and bound to who was shown the
page, so that nothing has to be stored. A page of another site can neither read the one nor the other.
"""

from __future__ import annotations

import hashlib
from urllib.parse import urlsplit

from aiohttp import web
from itsdangerous import BadData, URLSafeTimedSerializer

from agent_runtime.core.duration import SECOND
from agent_runtime.errors import NotAuthorized
from agent_runtime.operations.sessions import LIFETIME, is_session_secret, new_secret
from agent_runtime.web.authentication import IDENTITY, SESSION_COOKIE
from agent_runtime.web.bodies import raw_body
from agent_runtime.web.forms import CSRF_FIELD, FORM, form_fields

HEADER = "X-CSRF-Token"
PUBLIC_URL = web.AppKey("public_url", str)
"""Where people reach this server, as they see it in the address bar; "" where that is its own address."""

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_SIGNS = ("Cookie", "Origin", "Sec-Fetch-Site")
_REMEDY = "open /reviews and decide there, or call from a program that sends no Cookie, Origin or Sec-Fetch-Site"


class ForgedRequest(NotAuthorized):
    """This request does not come from one of our own pages."""

    slug = "forged-request"


def from_browser(request: web.Request) -> bool:
    """Whether a page may have made this request, on its own or for another site."""
    return any(name in request.headers for name in _SIGNS)


async def require_token(request: web.Request) -> None:
    """Passes a request that changes something where it comes from our own page, shown to the same principal.

    The token is in the header `X-CSRF-Token`, or in a form's field `csrf_token`. Raises ForgedRequest.
    """
    _require_own_origin(request)
    secret = request.cookies.get(SESSION_COOKIE, "")
    given = request.headers.get(HEADER, "")
    if not given and request.content_type == FORM:
        given = form_fields(await raw_body(request)).get(CSRF_FIELD, "")
    if not is_session_secret(secret) or not given:
        raise ForgedRequest(f"a browser's request needs the CSRF token of our page; {_REMEDY}")
    try:
        shown_to = _serializer(secret).loads(given, max_age=LIFETIME // SECOND)
    except (BadData, UnicodeError):  # the latter for bytes that are no text
        shown_to = None
    if shown_to != request[IDENTITY].actor.principal:
        raise ForgedRequest("the page is too old or was shown to somebody else; reload it, then decide again")


def page_token(request: web.Request, secret: str) -> str:
    """The token for a page that is shown to whoever asks, whose browser holds `secret`."""
    return str(_serializer(secret).dumps(request[IDENTITY].actor.principal))


def browser_secret(request: web.Request) -> str:
    """The secret that this browser holds, or a new one, to be set as its cookie."""
    held = request.cookies.get(SESSION_COOKIE, "")
    return held if is_session_secret(held) else new_secret()


def set_cookie(request: web.Request, response: web.StreamResponse, secret: str) -> None:
    """Sets the browser's cookie: never read by scripts, never sent from another site's page."""
    response.set_cookie(
        SESSION_COOKIE,
        secret,
        path="/",
        max_age=LIFETIME // SECOND,
        httponly=True,
        samesite="Strict",
        secure="https" in {request.scheme, urlsplit(request.app[PUBLIC_URL]).scheme},
    )


def _require_own_origin(request: web.Request) -> None:
    own = {request.host.lower(), urlsplit(request.app[PUBLIC_URL]).netloc.lower()} - {""}
    origins = request.headers.getall("Origin", [])
    sites = request.headers.getall("Sec-Fetch-Site", [])
    if any(_place(origin) not in own for origin in origins) or not set(sites) <= {
        "same-origin",
        "none",
    }:
        raise ForgedRequest(f"it comes from another site's page; {_REMEDY}")


def _place(origin: str) -> str:
    """Host and port of an origin; "" where it is none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _serializer(secret: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(secret, salt="csrf", signer_kwargs={"digest_method": hashlib.sha256})

"""Signing in on the pages with a token, for a session in an HttpOnly cookie; and signing out."""

from __future__ import annotations

from aiohttp import web
from pydantic import Field

from agent_runtime.errors import NotAuthenticated
from agent_runtime.operations.sessions import begin_session, end_session
from agent_runtime.web.authentication import DATABASE, SESSION_COOKIE, SIGN_IN, Identity, identity_of
from agent_runtime.web.bodies import Body, Text
from agent_runtime.web.csrf import require_token, set_cookie
from agent_runtime.web.endpoint import Endpoint, nothing
from agent_runtime.web.forms import body_of_either
from agent_runtime.web.pages import page, wants_page

FIRST_PAGE = "/reviews"


class SignInBody(Body):
    """What a person signs in with."""

    token: Text = Field(description="a token of `countersign tokens create`", max_length=200)


async def shown(request: web.Request, identity: Identity, _: None) -> web.StreamResponse:
    return page(request, "sign_in.html", reason="")


async def signed_in(request: web.Request, identity: Identity, _: None) -> web.StreamResponse:
    """A token for a session; always with the page's own CSRF token, so that nobody is signed in as somebody else."""
    await require_token(request)
    database = request.app[DATABASE]
    body = await body_of_either(request, SignInBody)
    known = await identity_of(database, body.token.strip())
    if known is None:
        reason = "This token is unknown, revoked or expired."
        if not wants_page(request):
            raise NotAuthenticated(reason)
        return page(request, "sign_in.html", status=401, reason=reason)
    secret = await database.write(begin_session, known.token_name, by=known.actor)
    response = web.Response(status=303, headers={"Location": FIRST_PAGE})
    set_cookie(request, response, secret)
    return response


async def signed_out(request: web.Request, identity: Identity, _: None) -> web.StreamResponse:
    if identity.session:
        await request.app[DATABASE].write(end_session, request.cookies[SESSION_COOKIE], by=identity.actor)
    response = web.Response(status=303, headers={"Location": SIGN_IN})
    response.del_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="Strict")
    return response


ENDPOINTS = (
    Endpoint(
        method="GET",
        path=SIGN_IN,
        summary="The page on which a person signs in with a token",
        find=nothing,
        scope=None,
        answer=shown,
        answers={200: "text/html"},
    ),
    Endpoint(
        method="POST",
        path=SIGN_IN,
        summary="Begins a session of a token, in a cookie for the pages",
        find=nothing,
        scope=None,
        answer=signed_in,
        body=SignInBody,
        answers={303: ""},
        refusals=(401, 403, 413, 422),
        browser=True,
    ),
    Endpoint(
        method="POST",
        path="/sign-out",
        summary="Ends the session",
        find=nothing,
        scope=None,
        answer=signed_out,
        answers={303: ""},
        refusals=(403,),
        browser=True,
    ),
)

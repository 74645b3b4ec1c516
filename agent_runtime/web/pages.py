"""Pages: rendered from templates under a content security policy without exceptions, and refusals as pages."""

from __future__ import annotations

from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler
from jinja2 import Environment, PackageLoader, StrictUndefined

from agent_runtime.errors import CountersignError, NotAuthenticated
from agent_runtime.web.authentication import ANYBODY, IDENTITY, SIGN_IN, TokenNeeded
from agent_runtime.web.csrf import browser_secret, page_token, set_cookie

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {"Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin"}
"""With no referrer at all a browser would post our own forms with the origin `null`."""

_PAGES = ("/reviews", "/approve", "/pending", "/sign-")

_templates = Environment(
    loader=PackageLoader("agent_runtime.web"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.globals.update(sign_in=SIGN_IN, version=version("countersign"))


def wants_page(request: web.Request) -> bool:
    """Whether a person looks at this in a browser, and not a program."""
    return "text/html" in request.headers.get("Accept", "")


def page(request: web.Request, template: str, *, status: int = 200, **values: Any) -> web.Response:
    """A page for whoever asks, with the token that its forms carry; the browser gets a cookie where it has none."""
    identity = request[IDENTITY]
    secret = browser_secret(request)
    text = _templates.get_template(template).render(
        principal=identity.actor.principal,
        signed_in=identity.session,
        csrf_token=page_token(request, secret),
        **values,
    )
    response = web.Response(text=text, status=status, content_type="text/html", headers=_HEADERS)
    if not identity.session:
        set_cookie(request, response, secret)
    return response


@web.middleware
async def refusals_as_pages(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Tells a person on one of our pages what was refused, and asks a stranger to sign in."""
    try:
        return await handler(request)
    except web.HTTPNotFound as error:
        if not wants_page(request):
            raise
        reason = "There is nothing at this address."
        return page(request, "refused.html", status=error.status, title=error.reason, reason=reason)
    except CountersignError as error:
        if not wants_page(request) or not _is_a_page(request):
            raise
        if IDENTITY not in request:
            request[IDENTITY] = ANYBODY
        if isinstance(error, NotAuthenticated):
            reason = "" if isinstance(error, TokenNeeded) else error.message
            return page(request, "sign_in.html", status=error.status, reason=reason)
        title = HTTPStatus(error.status).phrase
        return page(request, "refused.html", status=error.status, title=title, reason=error.message)


def _is_a_page(request: web.Request) -> bool:
    """Whether a person may come here; they may also mistype a path."""
    path = request.rel_url.raw_path
    unknown = isinstance(request.match_info.http_exception, web.HTTPNotFound)
    return path == "/" or path.startswith(_PAGES) or unknown

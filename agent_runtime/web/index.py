"""The page at `/`: what there is, and what waits. It shows, and decides nothing."""

from __future__ import annotations

import base64
import hashlib

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from agent_runtime.core.display import shorten, visible
from agent_runtime.core.duration import rfc3339
from agent_runtime.operations.tokens import Scope
from agent_runtime.store.approvals import list_approvals
from agent_runtime.web.authentication import DATABASE, Identity
from agent_runtime.web.endpoint import Endpoint, nothing

SHOWN = 50
"""Waiting approvals on the page; the API lists the rest."""

_templates = Environment(loader=PackageLoader("agent_runtime.web"), autoescape=True, undefined=StrictUndefined)
_templates.filters["time"] = lambda at: (rfc3339(at) or "never")[:19].replace("T", " ")
_templates.filters["readable"] = lambda text: shorten(visible(text), 200)[0]
_style = _templates.get_template("page.css").render()
_STYLE_DIGEST = base64.b64encode(hashlib.sha256(_style.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_DIGEST}'; img-src data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_OLDEST_PENDING = list_approvals(pending=True, status=False, kind=False, after=False)


async def page(request: web.Request, identity: Identity, _: None) -> web.StreamResponse:
    waiting = await request.app[DATABASE].all(_OLDEST_PENDING, b_limit=SHOWN + 1)
    text = _templates.get_template("index.html").render(
        style=_style, waiting=waiting[:SHOWN], more=len(waiting) > SHOWN, principal=identity.actor.principal
    )
    return web.Response(text=text, content_type="text/html", headers={"Content-Security-Policy": _POLICY})


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/",
        summary="A page of what waits for a decision",
        find=nothing,
        scope=Scope.read,
        answer=page,
        answers={200: "text/html"},
        refusals=(403,),
    ),
)

"""The pages' own style and script, served to anybody: there is nothing secret in them."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import PurePosixPath

from aiohttp import web

from agent_runtime.web.authentication import ASSETS, Identity
from agent_runtime.web.endpoint import Endpoint, nothing

_TYPES = {".css": "text/css", ".js": "text/javascript"}


def _served(path: str) -> Callable[[web.Request, Identity, None], Awaitable[web.StreamResponse]]:
    name = PurePosixPath(path)
    text = files("agent_runtime.web").joinpath("static", name.name).read_text(encoding="utf-8")
    etag = hashlib.sha256(text.encode()).hexdigest()[:32]

    async def answer(request: web.Request, identity: Identity, _: None) -> web.StreamResponse:
        response = web.Response(
            text=text, content_type=_TYPES[name.suffix], charset="utf-8", headers={"Cache-Control": "no-cache"}
        )
        response.etag = etag
        if request.if_none_match and any(given.value in {etag, "*"} for given in request.if_none_match):
            return web.Response(status=304, headers={"ETag": response.headers["ETag"], "Cache-Control": "no-cache"})
        return response

    return answer


ENDPOINTS = tuple(
    Endpoint(
        method="GET",
        path=path,
        summary=f"A file of the pages: {PurePosixPath(path).name}",
        find=nothing,
        scope=None,
        answer=_served(path),
        answers={200: _TYPES[PurePosixPath(path).suffix], 304: ""},
    )
    for path in ASSETS
)

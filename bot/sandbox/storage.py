"""File bytes over HTTP: upload tickets, private URLs and the page's look at a file."""

from __future__ import annotations

from aiohttp import web

from bot.sandbox.control.guard import refusal
from bot.sandbox.server import SandboxServer
from bot.sandbox.workspace.files import File


def routes(server: SandboxServer) -> list[web.RouteDef]:
    async def upload(request: web.Request) -> web.Response:
        file = server.workspace.files.by_secret(request.match_info["secret"])
        if file is None or file.is_complete:
            return web.Response(status=404, text="no such upload")
        content = await _uploaded(request)
        if len(content) != file.size:
            return web.Response(status=400, text=f"{len(content)} bytes arrived, {file.size} were announced")
        file.content = content
        return web.Response(text=f"OK - {len(content)}")

    async def private(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {server.config.bot_token}":
            return web.Response(status=401, text="a bot token is needed")
        return _download(server.workspace.files.get(request.match_info["file"].partition("-")[2]))

    async def shown(request: web.Request) -> web.Response:
        if refusal(request) is not None:
            return web.Response(status=403, text="loopback only")
        return _download(server.workspace.files.get(request.match_info["file"]))

    return [
        web.post("/upload/v1/{secret}", upload),
        web.get("/files-pri/{file}/{name}", private),
        web.get("/sandbox/api/files/{file}", shown),
    ]


async def _uploaded(request: web.Request) -> bytes:
    """The bytes, sent as the body or as the only file of a form."""
    if request.content_type != "multipart/form-data":
        return await request.read()
    for part in (await request.post()).values():
        if isinstance(part, web.FileField):
            return part.file.read()
    return b""


def _download(file: File | None) -> web.Response:
    if file is None or file.content is None or not file.is_complete:
        return web.Response(status=404, text="no such file")
    # Never rendered: what an app uploads must not become a page of this origin.
    headers = {"Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff"}
    return web.Response(body=file.content, content_type="application/octet-stream", headers=headers)

"""Server-sent notices of what changes (html.spec.whatwg.org, "Server-sent events")."""

from __future__ import annotations

import json

from aiohttp import web

from bot.sandbox.server import SandboxServer

KEEP_ALIVE_SECONDS = 15.0


async def stream(server: SandboxServer, request: web.Request) -> web.StreamResponse:
    """Notices that concern `user` (all without one), each `{"id", "type", …}`.

    `type` is `hello`, `resync` (read everything again), `message`, `ephemeral`, `view`, `connection`,
    `workspace` or `server`.
    """
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    await response.prepare(request)
    user = request.query.get("user")
    last_id = request.headers.get("Last-Event-ID")
    try:
        await response.write(b"retry: 1000\n\n")
        async for notice in server.notices.listen(last_id, idle_seconds=KEEP_ALIVE_SECONDS):
            if notice is None:
                await response.write(b": keep-alive\n\n")
            elif notice.concerns(user):
                data = json.dumps({"id": notice.id, "type": notice.kind, **notice.data})
                await response.write(f"id: {notice.id}\nevent: {notice.kind}\ndata: {data}\n\n".encode())
    except ConnectionError:
        # The reader has gone; that is how a stream ends.
        return response
    return response

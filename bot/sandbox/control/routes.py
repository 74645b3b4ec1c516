"""Which control endpoint is answered by which function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from bot.sandbox.control import people, workspace
from bot.sandbox.control.guard import refusal
from bot.sandbox.control.stream import stream
from bot.sandbox.errors import ControlError
from bot.sandbox.server import SandboxServer

PREFIX = "/sandbox/api"

_Answer = Callable[[SandboxServer, web.Request], Awaitable[dict[str, Any] | web.StreamResponse]]

_GET: dict[str, _Answer] = {
    "/state": workspace.state,
    "/stream": stream,
    "/channels": workspace.channels,
    "/channels/{channel}/messages": workspace.messages,
    "/views": people.list_views,
    "/faults": workspace.faults,
    "/calls": workspace.calls,
}
_POST: dict[str, _Answer] = {
    "/messages": people.post_message,
    "/actions": people.act,
    "/views/{id}/submit": people.submit_view,
    "/views/{id}/close": people.close_view,
    "/commands": people.command,
    "/shortcuts": people.shortcut,
    "/home": people.home,
    "/scenarios/{id}": people.run_scenario,
    "/server": workspace.app_process,
    "/faults": workspace.set_faults,
    "/reset": workspace.reset,
    "/users/{id}": workspace.user,
    "/usergroups/{id}": workspace.user_group,
    "/channels/{channel}": workspace.channel,
    "/channels/{channel}/members": workspace.membership,
    "/request_url": workspace.request_url,
    "/deliveries": workspace.deliver,
}


def routes(server: SandboxServer) -> list[web.RouteDef]:
    return [
        *(web.get(PREFIX + path, _endpoint(server, answer), allow_head=False) for path, answer in _GET.items()),
        *(web.post(PREFIX + path, _endpoint(server, answer)) for path, answer in _POST.items()),
        web.route("*", PREFIX + "/{rest:.*}", _endpoint(server, _nothing_here)),
    ]


def _endpoint(server: SandboxServer, answer: _Answer) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def endpoint(request: web.Request) -> web.StreamResponse:
        try:
            why = refusal(request)
            if why is not None:
                raise ControlError(403, "forbidden", why)
            answered = await answer(server, request)
        except ControlError as problem:
            return web.json_response(problem.body(), status=problem.status)
        return answered if isinstance(answered, web.StreamResponse) else web.json_response(answered)

    return endpoint


async def _nothing_here(server: SandboxServer, request: web.Request) -> dict[str, Any]:
    raise ControlError(404, "not_found", f"there is no {request.method} {request.path}: see bot.sandbox.control")

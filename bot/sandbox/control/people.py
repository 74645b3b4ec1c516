"""Control endpoints for what people do: post, click, submit, command."""

from __future__ import annotations

import uuid
from typing import Any

from aiohttp import web

from bot.sandbox import posting
from bot.sandbox.control import bodies, shown
from bot.sandbox.control.bodies import read_body
from bot.sandbox.errors import ControlError
from bot.sandbox.interactions.actions import act_on_message, act_on_view
from bot.sandbox.interactions.commands import run_command
from bot.sandbox.interactions.homes import open_home
from bot.sandbox.interactions.payloads import acting_user, channel_seen_by
from bot.sandbox.interactions.shortcuts import use_shortcut
from bot.sandbox.interactions.submissions import close, submit
from bot.sandbox.server import SandboxServer
from bot.sandbox.workspace.messages import Message
from bot.sandbox.workspace.views import View


async def post_message(server: SandboxServer, request: web.Request) -> dict[str, Any]:
    body = await read_body(request, bodies.PostMessage)
    return _say(server, body.user, body.channel, body.text, body.thread_ts)


async def run_scenario(server: SandboxServer, request: web.Request) -> dict[str, Any]:
    wanted = request.match_info["id"]
    scenario = next((s for s in server.config.scenarios if s.id == wanted), None)
    if scenario is None:
        raise ControlError(404, "scenario_not_found", f"there is no scenario {wanted!r}: see /sandbox/api/state")
    return _say(server, scenario.user, scenario.channel, scenario.text, None)


async def act(server: SandboxServer, request: web.Request) -> dict[str, Any]:
    body = await read_body(request, bodies.Act)
    if body.view_id is not None:
        return await act_on_view(
            server,
            user=body.user,
            view=_view(server, body.view_id),
            values=body.values,
            action_id=body.action_id,
            block_id=body.block_id,
            confirm=body.confirm,
            chosen=body.chosen,
        )
    if body.channel is None or body.message_ts is None:
        raise ControlError(422, "invalid_request", "give channel and message_ts, or view_id")
    return await act_on_message(
        server,
        user=body.user,
        channel=body.channel,
        message_ts=body.message_ts,
        action_id=body.action_id,
        block_id=body.block_id,
        confirm=body.confirm,
        chosen=body.chosen,
    )


async def list_views(server: SandboxServer, request: web.Request) -> dict[str, Any]:
    user = acting_user(server, request.query.get("user", "")).id
    views = server.workspace.views.stack(user)
    home = server.workspace.views.home(user)
    if home is not None and user in server.workspace.homes_opened:
        views = [home, *views]
    return {"views": [shown.view(server, view) for view in views]}


async def submit_view(server: SandboxServer, request: web.Request) -> dict[str, Any]:
    body = await read_body(request, bodies.Submit)
    view = _view(server, request.match_info["id"])
    return await submit(server, user=body.user, view=view, values=body.values)


async def close_view(server: SandboxServer, request: web.Request) -> dict[str, Any]:
    body = await read_body(request, bodies.Close)
    return await close(server, user=body.user, view=_view(server, request.match_info["id"]), clear=body.clear)


async def command(server: SandboxServer, request: web.Request) -> dict[str, Any]:
    body = await read_body(request, bodies.Command)
    return await run_command(server, user=body.user, channel=body.channel, command=body.command, text=body.text)


async def shortcut(server: SandboxServer, request: web.Request) -> dict[str, Any]:
    body = await read_body(request, bodies.Shortcut)
    return await use_shortcut(
        server, user=body.user, callback_id=body.callback_id, channel=body.channel, message_ts=body.message_ts
    )


async def home(server: SandboxServer, request: web.Request) -> dict[str, Any]:
    body = await read_body(request, bodies.Home)
    return open_home(server, user=body.user)


def _say(server: SandboxServer, user: str, channel: str, text: str, thread_ts: str | None) -> dict[str, Any]:
    person = acting_user(server, user)
    conversation = channel_seen_by(server, person, channel)
    if server.is_archived(conversation):
        raise ControlError(409, "is_archived", f"#{conversation.name} is archived")
    if thread_ts is not None:
        parent = server.workspace.logs[conversation.id].posted(thread_ts)
        if parent is None:
            raise ControlError(404, "thread_not_found", f"there is no message {thread_ts} in {conversation.id}")
        thread_ts = parent.thread_ts or parent.ts
    message = Message(
        channel=conversation.id,
        ts=server.clock.next_ts(),
        user=person.id,
        text=server.workspace.as_typed(text),
        thread_ts=thread_ts,
        client_msg_id=str(uuid.uuid4()),
    )
    posting.post(server, message)
    return {
        "ok": True,
        "channel": conversation.id,
        "ts": message.ts,
        "thread_ts": thread_ts,
        "text": message.text,
    }


def _view(server: SandboxServer, view_id: str) -> View:
    view = server.workspace.views.get(view_id)
    if view is None:
        raise ControlError(404, "view_not_found", f"no view {view_id!r} is open: see /sandbox/api/views?user=")
    return view

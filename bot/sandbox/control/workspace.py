"""Control endpoints for the workspace itself: what is in it, and how it is changed or broken."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from bot.sandbox.control import bodies, shown
from bot.sandbox.control.bodies import read_body
from bot.sandbox.delivery.outgoing import Outgoing
from bot.sandbox.errors import ControlError
from bot.sandbox.faults import Faults
from bot.sandbox.interactions.outcome import outcome
from bot.sandbox.interactions.payloads import acting_user, channel_of, channel_seen_by
from bot.sandbox.membership import change_group, change_user, join, leave
from bot.sandbox.server import SandboxServer


async def state(server: SandboxServer, request: web.Request) -> dict[str, Any]:
    return shown.state(server)


async def channels(server: SandboxServer, request: web.Request) -> dict[str, Any]:
    """Public channels, private ones they are in, and their direct message with the app, which a person may
    always open. Without a user: all there are."""
    if "user" not in request.query:
        return {"channels": [shown.channel(server, c) for c in server.workspace.channels.values()]}
    user = acting_user(server, request.query["user"]).id
    server.workspace.open_dm(user)
    visible = [c for c in server.workspace.channels.values() if c.kind == "channel" or user in c.members]
    return {"channels": [shown.channel(server, c, user) for c in visible]}


async def messages(server: SandboxServer, request: web.Request) -> dict[str, Any]:
    user, channel_id = request.query.get("user"), request.match_info["channel"]
    if user is None:
        conversation = channel_of(server, channel_id)
    else:
        conversation = channel_seen_by(server, acting_user(server, user), channel_id)
    log = server.workspace.logs[conversation.id]
    return {"messages": [shown.message(server, m) for m in log if m.visible_to(user)]}


async def set_faults(server: SandboxServer, request: web.Request) -> dict[str, Any]:
    await server.set_faults(await read_body(request, Faults))
    return {"ok": True, "faults": server.faults.active()}


async def faults(server: SandboxServer, request: web.Request) -> dict[str, Any]:
    return {"faults": server.faults.active()}


async def reset(server: SandboxServer, request: web.Request) -> dict[str, Any]:
    server.reset()
    return {"ok": True}


async def app_process(server: SandboxServer, request: web.Request) -> dict[str, Any]:
    body = await read_body(request, bodies.AppProcess)
    server.control_app_process(body.action)
    return {"ok": True, "state": server.app_process}


async def user(server: SandboxServer, request: web.Request) -> dict[str, Any]:
    person = acting_user(server, request.match_info["id"])
    body = await read_body(request, bodies.UserChange)
    change_user(server, person, **body.model_dump(exclude_none=True))
    return {"ok": True}


async def user_group(server: SandboxServer, request: web.Request) -> dict[str, Any]:
    group = server.workspace.groups.get(request.match_info["id"])
    if group is None:
        raise ControlError(404, "user_group_not_found", "there is no such user group: see /sandbox/api/state")
    body = await read_body(request, bodies.GroupChange)
    change_group(server, group, [acting_user(server, member).id for member in body.users])
    return {"ok": True}


async def membership(server: SandboxServer, request: web.Request) -> dict[str, Any]:
    conversation = channel_of(server, request.match_info["channel"])
    body = await read_body(request, bodies.Membership)
    member = acting_user(server, body.user).id
    (join if body.present else leave)(server, conversation, member)
    return {"ok": True, "members": list(conversation.members)}


async def channel(server: SandboxServer, request: web.Request) -> dict[str, Any]:
    conversation = channel_of(server, request.match_info["channel"])
    body = await read_body(request, bodies.ChannelChange)
    conversation.is_archived = body.is_archived
    server.notices.publish("workspace", change="channel", channel=conversation.id)
    return {"ok": True}


async def request_url(server: SandboxServer, request: web.Request) -> dict[str, Any]:
    body = await read_body(request, bodies.RequestUrl)
    await server.use_request_url(body.url)
    return {"ok": True, "mode": "http" if body.url else "socket"}


async def deliver(server: SandboxServer, request: web.Request) -> dict[str, Any]:
    body = await read_body(request, bodies.Delivery)
    ack = await server.transport.deliver(Outgoing(body.type, body.payload))
    return outcome(ack, payload=ack.payload)


async def calls(server: SandboxServer, request: web.Request) -> dict[str, Any]:
    return {"calls": server.calls.records(request.query.get("method"))}

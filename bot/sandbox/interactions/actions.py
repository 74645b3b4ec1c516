"""A person uses an interactive element of a message or a view: `block_actions`."""

from __future__ import annotations

from typing import Any

from bot.sandbox.blocks.state import Values, find_element, held_value, option_of, state_values
from bot.sandbox.delivery.outgoing import Outgoing
from bot.sandbox.errors import ControlError
from bot.sandbox.interactions.outcome import outcome
from bot.sandbox.interactions.payloads import acting_user, channel_part, channel_seen_by, payload
from bot.sandbox.interactions.response_urls import Answerable
from bot.sandbox.modals import fill_in, shown_view
from bot.sandbox.server import SandboxServer
from bot.sandbox.workspace.messages import Message
from bot.sandbox.workspace.rendering import message_json
from bot.sandbox.workspace.views import View


async def act_on_message(
    server: SandboxServer,
    *,
    user: str,
    channel: str,
    message_ts: str,
    action_id: str,
    block_id: str | None = None,
    confirm: bool = False,
    chosen: Any = None,
) -> dict[str, Any]:
    """Clicks, chooses or types on a message's element.

    Args:
        confirm: whether the person confirms, where the element asks.
        chosen: the option or the value, where the element takes one.
    Raises:
        ControlError: 404 for what this user can't see, 409 where a dialog asks, 422 for an impossible choice.
    """
    person = acting_user(server, user)
    conversation = channel_seen_by(server, person, channel)
    message = server.workspace.logs[conversation.id].get(message_ts)
    if message is None or not message.visible_to(person.id):
        raise ControlError(404, "message_not_found", f"{user} sees no message {message_ts} in {conversation.id}")
    block, element = _element(message.blocks, action_id, block_id, f"message {message_ts}")
    _require_confirmation(element, confirm)
    action = _action(server, block, element, chosen)
    filled: dict[str, dict[str, Any]] = {}
    if element["type"] not in ("button", "overflow"):
        filled = {block["block_id"]: {element["action_id"]: held_value(element, chosen, action_id)}}
    body = payload(server, "block_actions", person) | {
        "container": _message_container(message),
        "channel": channel_part(conversation),
        "state": {"values": state_values(message.blocks, filled)},
        "response_url": server.response_url(Answerable(person.id, conversation.id, message.ts, message.thread_ts)),
        "actions": [action],
    }
    if message.ephemeral_to is None:
        # The payload of a click on an ephemeral message does not carry the message.
        body["message"] = message_json(server.workspace, message, base_url=server.base_url, with_metadata=True)
    return outcome(await server.transport.deliver(Outgoing("interactive", body)))


async def act_on_view(
    server: SandboxServer,
    *,
    user: str,
    view: View,
    values: Values,
    action_id: str,
    block_id: str | None = None,
    confirm: bool = False,
    chosen: Any = None,
) -> dict[str, Any]:
    """Clicks, chooses or types on an element of an open modal or Home.

    Args:
        values: what else was filled in so far, as `view.state.values`.
    Raises:
        ControlError: as `act_on_message`.
    """
    person = acting_user(server, user)
    if view.user != person.id:
        raise ControlError(404, "view_not_found", f"{user} does not have the view {view.id} open")
    block, element = _element(view.blocks, action_id, block_id, f"view {view.id}")
    _require_confirmation(element, confirm)
    fill_in(view, values)
    action = _action(server, block, element, chosen)
    if element["type"] not in ("button", "overflow"):
        view.values.setdefault(block["block_id"], {})[element["action_id"]] = held_value(element, chosen, action_id)
    if block["type"] == "input" and not block.get("dispatch_action"):
        # Filling in an input tells the app nothing before the view is submitted.
        return {"ok": True, "acked": None}
    body = payload(server, "block_actions", person) | {
        "container": {"type": "view", "view_id": view.id},
        "view": shown_view(server, view),
        "actions": [action],
    }
    return outcome(await server.transport.deliver(Outgoing("interactive", body)))


def _element(
    blocks: list[dict[str, Any]], action_id: str, block_id: str | None, where: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    found = find_element(blocks, action_id, block_id)
    if found is None:
        place = f" in block {block_id!r}" if block_id else ""
        raise ControlError(404, "action_not_found", f"{where} has no element with action_id {action_id!r}{place}")
    return found


def _require_confirmation(element: dict[str, Any], confirmed: bool) -> None:
    dialog = element.get("confirm")
    if dialog is not None and not confirmed:
        raise ControlError(
            409,
            "confirmation_required",
            "the element asks to confirm: send confirm: true to do so",
            confirm=dialog,
        )


def _action(server: SandboxServer, block: dict[str, Any], element: dict[str, Any], chosen: Any) -> dict[str, Any]:
    action: dict[str, Any] = {
        "type": element["type"],
        "action_id": element["action_id"],
        "block_id": block["block_id"],
        "action_ts": server.clock.next_ts(),
    }
    if element["type"] == "button":
        return action | {name: element[name] for name in ("text", "value", "style", "url") if name in element}
    if element["type"] == "overflow":
        return action | {"selected_option": option_of(element, chosen, element["action_id"])}
    return action | held_value(element, chosen, element["action_id"])


def _message_container(message: Message) -> dict[str, Any]:
    container: dict[str, Any] = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": message.channel,
        "is_ephemeral": message.ephemeral_to is not None,
    }
    if message.thread_ts is not None:
        container["thread_ts"] = message.thread_ts
    return container

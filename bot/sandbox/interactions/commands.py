"""A person types a slash command."""

from __future__ import annotations

from typing import Any

from bot.sandbox.delivery.outgoing import Outgoing
from bot.sandbox.errors import ControlError, SlackError
from bot.sandbox.interactions.answers import answer
from bot.sandbox.interactions.outcome import outcome
from bot.sandbox.interactions.payloads import acting_user, channel_part, channel_seen_by
from bot.sandbox.interactions.response_urls import Answerable
from bot.sandbox.server import SandboxServer


async def run_command(server: SandboxServer, *, user: str, channel: str, command: str, text: str) -> dict[str, Any]:
    """Sends a slash command; what the app acknowledges with is its answer, to this person alone by default.

    Raises:
        ControlError: 404 for an unknown user, channel or command.
    """
    person = acting_user(server, user)
    conversation = channel_seen_by(server, person, channel)
    known = server.config.slash_commands
    if not command.startswith("/") or (known is not None and command not in known):
        raise ControlError(404, "command_not_found", f"{command!r} is not a command of the app's")
    config = server.config
    where = Answerable(person.id, conversation.id)
    body = {
        "token": config.verification_token,
        "team_id": config.team_id,
        "team_domain": config.team_domain,
        "channel_id": conversation.id,
        "channel_name": channel_part(conversation)["name"],
        "user_id": person.id,
        "user_name": person.username,
        "command": command,
        "text": text,
        "api_app_id": config.app_id,
        "is_enterprise_install": "false",
        "response_url": server.response_url(where, "commands"),
        "trigger_id": server.triggers.issue(person.id),
    }
    if person.is_stranger:
        # Slack Connect: the sender's own workspace beside the one the command was sent in.
        body["user_team_id"] = person.team_id
    ack = await server.transport.deliver(Outgoing("slash_commands", body))
    if not ack.ok:
        failure = "operation_timeout" if ack.reason == "http_timeout" else "dispatch_failed"
        return outcome(ack, error=f"{command} failed with the error {failure!r}")
    said = ack.payload if isinstance(ack.payload, dict) else {"text": ack.payload}
    if not said.get("text") and not said.get("blocks"):
        return outcome(ack)
    try:
        answer(server, where, said)
    except SlackError as refusal:
        return outcome(ack, error=f"{command} failed with the error 'invalid_command_response'", problem=refusal.body())
    return outcome(ack)

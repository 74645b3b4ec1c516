"""A click or a submitted modal, parsed from Slack's payload (docs.slack.dev/reference/interaction-payloads)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent_runtime.core.principal import Actor
from agent_runtime.store.outbox import APPROVAL_CARD, APPROVAL_WARNING
from bot.listeners.context import Context
from bot.slack.directory import FOREIGN, Person
from bot.ui.actions import EXTEND, Shown, read_card_block_id, read_value

CONFIRM_BUDGET = 2.5
"""Seconds after which a click is answered with "not confirmed yet"; Slack's own limit is 3."""


@dataclass(frozen=True, slots=True)
class Interaction:
    """Who did what, where. `team` is the person's, `app_team` the one that the payload came from.

    `topic`: what the outbox shows at (channel, ts), a card or a warning; "" where it is neither. `key` names this very
    interaction, as Slack gives it no id; `until` is the loop's time by which it is answered.
    """

    user: str
    team: str
    app_team: str
    shown: Shown | None
    channel: str
    ts: str
    thread_ts: str
    trigger_id: str
    verb: str
    topic: str
    key: str
    until: float

    @property
    def answer_thread(self) -> str | None:
        """The thread in which an answer is seen beside the card."""
        return self.thread_ts or None


def read_click(body: Mapping[str, Any]) -> Interaction:
    """A `block_actions` payload. `shown` is None where the button carries nothing of ours."""
    action = body["actions"][0]
    container = body.get("container") or {}
    channel = str((body.get("channel") or {}).get("id") or container.get("channel_id") or "")
    ts = str(container.get("message_ts") or "")
    shown = read_value(action.get("value"))
    if shown is None and (approval := read_card_block_id(action.get("block_id"))) is not None:
        shown = Shown(approval)
    if shown is not None:
        shown = Shown(shown.approval_request_id, shown.digest, channel, ts)
    place = ts or container.get("view_id", "")
    team, user = _team(body), str(body["user"]["id"])
    return Interaction(
        user=user,
        team=team,
        app_team=_app_team(body),
        shown=shown,
        channel=channel,
        ts=ts,
        thread_ts=str(container.get("thread_ts") or ""),
        trigger_id=str(body.get("trigger_id") or ""),
        verb=str((action.get("selected_option") or {}).get("value") or ""),
        topic="" if not ts else APPROVAL_WARNING if action["action_id"] == EXTEND else APPROVAL_CARD,
        key=f"slack:{team}:{user}:{place}:{action['action_id']}:{action.get('action_ts', '')}",
        until=asyncio.get_running_loop().time() + CONFIRM_BUDGET,
    )


def read_submission(body: Mapping[str, Any]) -> Interaction:
    """A `view_submission` payload; where the card is stands in the view's private metadata."""
    view = body["view"]
    shown = read_value(view.get("private_metadata"))
    team, user = _team(body), str(body["user"]["id"])
    return Interaction(
        user=user,
        team=team,
        app_team=_app_team(body),
        shown=shown,
        channel=shown.channel if shown is not None else "",
        ts=shown.ts if shown is not None else "",
        thread_ts="",
        trigger_id=str(body.get("trigger_id") or ""),
        verb="",
        topic=APPROVAL_CARD if shown is not None and shown.ts else "",
        key=f"slack:{team}:{user}:{view.get('id', '')}:{view.get('callback_id', '')}:{view.get('hash', '')}",
        until=asyncio.get_running_loop().time() + CONFIRM_BUDGET,
    )


def read_shortcut(body: Mapping[str, Any]) -> Interaction:
    """A `message_action` payload: which approval the message shows stands in the ids of its blocks."""
    message = body.get("message") or {}
    channel, ts = str((body.get("channel") or {}).get("id") or ""), str(body.get("message_ts") or "")
    ids = (read_card_block_id(block.get("block_id")) for block in message.get("blocks") or ())
    approval = next((found for found in ids if found is not None), None)
    team, user = _team(body), str(body["user"]["id"])
    return Interaction(
        user=user,
        team=team,
        app_team=_app_team(body),
        shown=None if approval is None else Shown(approval, channel=channel, ts=ts),
        channel=channel,
        ts=ts,
        thread_ts=str(message.get("thread_ts") or ""),
        trigger_id=str(body.get("trigger_id") or ""),
        verb="",
        topic="",
        key=f"slack:{team}:{user}:{ts}:{body.get('callback_id', '')}:{body.get('action_ts', '')}",
        until=asyncio.get_running_loop().time() + CONFIRM_BUDGET,
    )


def typed(body: Mapping[str, Any], block_id: str) -> str:
    """What was typed into a modal's text input, without NUL characters; "" where it was left empty."""
    field = (body["view"]["state"]["values"].get(block_id) or {}).get("text") or {}
    return str(field.get("value") or "").replace("\0", "").strip()


async def person_behind(context: Context, interaction: Interaction) -> Person:
    """Who it is to reviewer lists; barred where person or payload are of another workspace."""
    identity = context.identity()
    if not identity.is_home(interaction.app_team):
        return Person(Actor(f"slack:{interaction.team}:{interaction.user}", barred=FOREIGN))
    return await context.directory.person(identity, interaction.user, interaction.team)


def _team(body: Mapping[str, Any]) -> str:
    """The person's own workspace, which in Slack Connect is not the payload's."""
    user = body["user"]
    return str(user.get("team_id") or (body.get("team") or {}).get("id") or "")


def _app_team(body: Mapping[str, Any]) -> str:
    """The workspace that the payload came from; on an organisation's level there is only that."""
    return str((body.get("team") or body.get("enterprise") or {}).get("id") or "")

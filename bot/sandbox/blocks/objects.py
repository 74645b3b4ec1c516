"""Composition objects: texts, confirm dialogs, options.

Source: docs.slack.dev/reference/block-kit/composition-objects.
"""

from __future__ import annotations

from bot.sandbox.blocks.spec import Array, Boolean, Object, Spec, String, Tagged, tagged


def plain(maximum: int) -> Spec:
    return Tagged({"plain_text": _plain(maximum)})


def text(maximum: int) -> Spec:
    """Either plain_text or mrkdwn."""
    return Tagged({"plain_text": _plain(maximum), "mrkdwn": _mrkdwn(maximum)})


def _plain(maximum: int) -> Spec:
    return tagged({"text": String(maximum), "emoji": Boolean()}, ["text"])


def _mrkdwn(maximum: int) -> Spec:
    return tagged({"text": String(maximum), "verbatim": Boolean()}, ["text"])


STYLE = String(one_of=("primary", "danger"))

CONFIRM = Object(
    {"title": plain(100), "text": text(300), "confirm": plain(30), "deny": plain(30), "style": STYLE},
    required=("title", "text", "confirm", "deny"),
)


def option(label: Spec) -> Spec:
    return Object(
        {"text": label, "value": String(150), "description": plain(75), "url": String(3000)},
        required=("text", "value"),
    )


OPTION = option(plain(75))
RICH_OPTION = option(text(75))
OPTION_GROUPS = Array(
    Object({"label": plain(75), "options": Array(OPTION, 100)}, required=("label", "options")), max=100
)

DISPATCH_CONFIG = Object(
    {"trigger_actions_on": Array(String(one_of=("on_enter_pressed", "on_character_entered")), max=2)}
)
SLACK_FILE = Object({"id": String(), "url": String()}, one_of=("id", "url"))

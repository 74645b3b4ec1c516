"""Blocks and their limits, by the surface they may stand on (docs.slack.dev/reference/block-kit/blocks)."""

from __future__ import annotations

from collections.abc import Mapping

from bot.sandbox.blocks.elements import IMAGE, IN_ACTIONS, IN_INPUT, IN_SECTION
from bot.sandbox.blocks.objects import SLACK_FILE, plain, text
from bot.sandbox.blocks.rich_text import RICH_TEXT_PARTS
from bot.sandbox.blocks.spec import Anything, Array, Boolean, Object, Spec, String, Tagged, tagged

_BLOCK: dict[str, Spec] = {"block_id": String(255)}
_URL = String(3000)
_CONTEXT_TEXT: dict[str, Spec] = {
    "plain_text": tagged({"text": String(3000), "emoji": Boolean()}, ["text"]),
    "mrkdwn": tagged({"text": String(3000), "verbatim": Boolean()}, ["text"]),
}
_RICH_TEXT = tagged({**_BLOCK, "elements": Array(RICH_TEXT_PARTS, min=0)}, ["elements"])
_CELL = Tagged({"raw_text": tagged({"text": String()}, ["text"]), "rich_text": _RICH_TEXT})

_EVERYWHERE: Mapping[str, Spec] = {
    "section": tagged(
        {
            **_BLOCK,
            "text": text(3000),
            "fields": Array(text(2000), max=10),
            "accessory": Tagged(IN_SECTION),
            "expand": Boolean(),
        },
        one_of=("text", "fields"),
    ),
    "header": tagged({**_BLOCK, "text": plain(150)}, ["text"]),
    "divider": tagged(_BLOCK),
    "context": tagged({**_BLOCK, "elements": Array(Tagged({"image": IMAGE, **_CONTEXT_TEXT}), max=10)}, ["elements"]),
    "actions": tagged({**_BLOCK, "elements": Array(Tagged(IN_ACTIONS), max=25)}, ["elements"]),
    "image": tagged(
        {
            **_BLOCK,
            "image_url": _URL,
            "slack_file": SLACK_FILE,
            "alt_text": String(2000),
            "title": plain(2000),
        },
        ["alt_text"],
        one_of=("image_url", "slack_file"),
    ),
    "input": tagged(
        {
            **_BLOCK,
            "label": plain(2000),
            "element": Tagged(IN_INPUT),
            "hint": plain(2000),
            "optional": Boolean(),
            "dispatch_action": Boolean(),
        },
        ["label", "element"],
    ),
    "rich_text": _RICH_TEXT,
    "video": tagged(
        {
            **_BLOCK,
            "title": plain(200),
            "video_url": _URL,
            "thumbnail_url": _URL,
            "alt_text": String(2000),
            "title_url": _URL,
            "author_name": String(50),
            "description": plain(200),
            "provider_icon_url": _URL,
            "provider_name": String(),
        },
        ["title", "video_url", "thumbnail_url", "alt_text"],
    ),
}
_IN_MESSAGES: Mapping[str, Spec] = {
    **_EVERYWHERE,
    "markdown": tagged({**_BLOCK, "text": String(12_000)}, ["text"]),
    "file": tagged(
        {**_BLOCK, "external_id": String(), "source": String(one_of=("remote",))}, ["external_id", "source"]
    ),
    "table": tagged({**_BLOCK, "rows": Array(Array(_CELL, max=20), max=100), "column_settings": Anything()}, ["rows"]),
}

MESSAGE_BLOCKS = Array(Tagged(_IN_MESSAGES), max=50, min=0)
_VIEW_BLOCKS = Array(Tagged(_EVERYWHERE), max=100, min=0)
_VIEW: dict[str, Spec] = {
    "type": String(one_of=("modal", "home")),
    "blocks": _VIEW_BLOCKS,
    "private_metadata": String(3000, min=0),
    "callback_id": String(255, min=0),
    "external_id": String(255, min=0),
}
MODAL = Object(
    {
        **_VIEW,
        "title": plain(24),
        "submit": plain(24),
        "close": plain(24),
        "clear_on_close": Boolean(),
        "notify_on_close": Boolean(),
        "submit_disabled": Boolean(),
    },
    required=("type", "title", "blocks"),
)
HOME = Object(_VIEW, required=("type", "blocks"))

"""The rich_text block (docs.slack.dev/reference/block-kit/blocks/rich-text-block)."""

from __future__ import annotations

from bot.sandbox.blocks.spec import Array, Boolean, Integer, Object, String, Tagged, tagged

_STYLE = Object(
    {
        name: Boolean()
        for name in (
            "bold",
            "italic",
            "strike",
            "code",
            "underline",
            "highlight",
            "client_highlight",
            "unlink",
        )
    }
)
_STYLED = {"style": _STYLE}
_INLINE = Tagged(
    {
        "text": tagged({**_STYLED, "text": String()}, ["text"]),
        "link": tagged({**_STYLED, "url": String(), "text": String(), "unsafe": Boolean()}, ["url"]),
        "user": tagged({**_STYLED, "user_id": String()}, ["user_id"]),
        "usergroup": tagged({**_STYLED, "usergroup_id": String()}, ["usergroup_id"]),
        "channel": tagged({**_STYLED, "channel_id": String()}, ["channel_id"]),
        "emoji": tagged({**_STYLED, "name": String(), "unicode": String(), "skin_tone": Integer()}, ["name"]),
        "broadcast": tagged({**_STYLED, "range": String(one_of=("here", "channel", "everyone"))}, ["range"]),
        "color": tagged({"value": String()}, ["value"]),
        "date": tagged(
            {**_STYLED, "timestamp": Integer(), "format": String(), "url": String(), "fallback": String()},
            ["timestamp", "format"],
        ),
    }
)
_INLINES = Array(_INLINE, min=0)
_BORDER = {"border": Integer(0, 1)}
_SECTION = tagged({"elements": _INLINES}, ["elements"])

RICH_TEXT_PARTS = Tagged(
    {
        "rich_text_section": _SECTION,
        "rich_text_list": tagged(
            {
                **_BORDER,
                "style": String(one_of=("bullet", "ordered")),
                "elements": Array(Tagged({"rich_text_section": _SECTION})),
                "indent": Integer(0, 8),
                "offset": Integer(min=0),
            },
            ["style", "elements"],
        ),
        "rich_text_preformatted": tagged({**_BORDER, "elements": _INLINES, "language": String()}, ["elements"]),
        "rich_text_quote": tagged({**_BORDER, "elements": _INLINES}, ["elements"]),
    }
)

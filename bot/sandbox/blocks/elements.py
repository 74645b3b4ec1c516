"""Block elements and their limits (docs.slack.dev/reference/block-kit/block-elements)."""

from __future__ import annotations

from collections.abc import Mapping

from bot.sandbox.blocks.objects import (
    CONFIRM,
    DISPATCH_CONFIG,
    OPTION,
    OPTION_GROUPS,
    RICH_OPTION,
    SLACK_FILE,
    STYLE,
    plain,
)
from bot.sandbox.blocks.spec import Anything, Array, Boolean, Integer, Spec, String, tagged

_ACTION: dict[str, Spec] = {"action_id": String(255)}
_CONFIRMED: dict[str, Spec] = {**_ACTION, "confirm": CONFIRM}
_CHOICE: dict[str, Spec] = {**_CONFIRMED, "focus_on_load": Boolean()}
_SELECT: dict[str, Spec] = {**_CHOICE, "placeholder": plain(150)}
_TYPED: dict[str, Spec] = {
    **_ACTION,
    "placeholder": plain(150),
    "focus_on_load": Boolean(),
    "dispatch_action_config": DISPATCH_CONFIG,
}
_IDS = Array(String(), min=0)
_MANY: dict[str, Spec] = {"max_selected_items": Integer(min=1)}
_STATIC: dict[str, Spec] = {"options": Array(OPTION, 100), "option_groups": OPTION_GROUPS}
_DYNAMIC: dict[str, Spec] = {"response_url_enabled": Boolean()}
_CONVERSATIONS: dict[str, Spec] = {"default_to_current_conversation": Boolean(), "filter": Anything()}
_URL = String(3000)

BUTTON = tagged(
    {
        **_CONFIRMED,
        "text": plain(75),
        "value": String(2000),
        "url": _URL,
        "style": STYLE,
        "accessibility_label": String(75),
    },
    required=["text"],
)
OVERFLOW = tagged({**_CONFIRMED, "options": Array(OPTION, max=5)}, required=["options"])
IMAGE = tagged(
    {"image_url": _URL, "slack_file": SLACK_FILE, "alt_text": String(2000)},
    required=["alt_text"],
    one_of=("image_url", "slack_file"),
)

SELECTS: Mapping[str, Spec] = {
    "static_select": tagged({**_SELECT, **_STATIC, "initial_option": OPTION}, one_of=("options", "option_groups")),
    "multi_static_select": tagged(
        {**_SELECT, **_STATIC, **_MANY, "initial_options": Array(OPTION, 100)},
        one_of=("options", "option_groups"),
    ),
    "external_select": tagged({**_SELECT, "initial_option": OPTION, "min_query_length": Integer(min=0)}),
    "multi_external_select": tagged(
        {**_SELECT, **_MANY, "initial_options": Array(OPTION, 100), "min_query_length": Integer(min=0)}
    ),
    "users_select": tagged({**_SELECT, "initial_user": String()}),
    "multi_users_select": tagged({**_SELECT, **_MANY, "initial_users": _IDS}),
    "conversations_select": tagged({**_SELECT, **_CONVERSATIONS, **_DYNAMIC, "initial_conversation": String()}),
    "multi_conversations_select": tagged({**_SELECT, **_CONVERSATIONS, **_MANY, "initial_conversations": _IDS}),
    "channels_select": tagged({**_SELECT, **_DYNAMIC, "initial_channel": String()}),
    "multi_channels_select": tagged({**_SELECT, **_MANY, "initial_channels": _IDS}),
}
CHOICES: Mapping[str, Spec] = {
    "checkboxes": tagged(
        {**_CHOICE, "options": Array(RICH_OPTION, 10), "initial_options": Array(RICH_OPTION, 10)},
        required=["options"],
    ),
    "radio_buttons": tagged(
        {**_CHOICE, "options": Array(RICH_OPTION, 10), "initial_option": RICH_OPTION}, required=["options"]
    ),
    "datepicker": tagged({**_SELECT, "initial_date": String()}),
    "timepicker": tagged({**_SELECT, "initial_time": String(), "timezone": String()}),
    "datetimepicker": tagged({**_CHOICE, "initial_date_time": Integer(min=0)}),
}
TYPED: Mapping[str, Spec] = {
    "plain_text_input": tagged(
        {
            **_TYPED,
            "initial_value": String(3000, min=0),
            "multiline": Boolean(),
            "min_length": Integer(0, 3000),
            "max_length": Integer(1, 3000),
        }
    ),
    "rich_text_input": tagged({**_TYPED, "initial_value": Anything()}),
    "email_text_input": tagged({**_TYPED, "initial_value": String()}),
    "url_text_input": tagged({**_TYPED, "initial_value": String()}),
    "number_input": tagged(
        {
            **_TYPED,
            "is_decimal_allowed": Boolean(),
            "initial_value": String(),
            "min_value": String(),
            "max_value": String(),
        },
        required=["is_decimal_allowed"],
    ),
    "file_input": tagged({**_ACTION, "filetypes": Array(String()), "max_files": Integer(1, 10)}),
}

SINGLE_SELECTS = {name: spec for name, spec in SELECTS.items() if not name.startswith("multi_")}
IN_ACTIONS: Mapping[str, Spec] = {"button": BUTTON, "overflow": OVERFLOW, **SINGLE_SELECTS, **CHOICES}
IN_SECTION: Mapping[str, Spec] = {
    "button": BUTTON,
    "overflow": OVERFLOW,
    "image": IMAGE,
    **SELECTS,
    **CHOICES,
}
IN_INPUT: Mapping[str, Spec] = {**SELECTS, **CHOICES, **TYPED}

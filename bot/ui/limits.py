"""Slack's limits on what is shown, each once (docs.slack.dev/reference/block-kit; sizes in characters)."""

from __future__ import annotations

from typing import Final

BLOCKS_IN_MESSAGE: Final = 50
BLOCKS_IN_VIEW: Final = 100
FIELDS: Final = 10
FIELD_TEXT: Final = 2000
SECTION_TEXT: Final = 3000
HEADER_TEXT: Final = 150
CONTEXT_ELEMENTS: Final = 10
BUTTON_TEXT: Final = 75
BUTTON_VALUE: Final = 2000
CONFIRM_TITLE: Final = 100
CONFIRM_TEXT: Final = 300
OPTION_TEXT: Final = 75
OVERFLOW_OPTIONS: Final = 5
INPUT_TEXT: Final = 3000
MODAL_TITLE: Final = 24
PRIVATE_METADATA: Final = 3000
MESSAGE_TEXT: Final = 4000
"""What chat.update takes; chat.postMessage takes more."""

MESSAGE_BLOCKS_SIZE: Final = 13_000
"""All blocks of a message as JSON; undocumented, past about 13,200 Slack answers msg_blocks_too_long."""

VIEW_SIZE: Final = 240_000
"""A view as JSON, in bytes; Slack's limit is 250 KB."""

FOLDED_LINES: Final = 12
FOLDED_CHARACTERS: Final = 700
"""What Slack may fold behind "Show more": a card whose arguments are longer does not offer approval by itself."""

"""What a message says: its text, blocks, attachments and metadata, checked as Slack checks them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from bot.sandbox.blocks.fill import with_ids
from bot.sandbox.blocks.validate import check_message_blocks
from bot.sandbox.errors import SlackError
from bot.sandbox.web_api.arguments import Arguments

TEXT_TRUNCATED_AT = 40_000
MAX_EDITED_TEXT = 4_000
MAX_MARKDOWN = 12_000
MAX_ATTACHMENTS = 100
# Undocumented: Slack says only that there is a limit (`metadata_too_large`).
MAX_METADATA_BYTES = 16 * 1024

# What Slack puts where blocks came without a text: a notification then says no more than this.
FALLBACK_TEXT = "This content can't be displayed."


@dataclass(frozen=True)
class Content:
    """What was given. None says that an argument was not there; an empty list was given to remove."""

    text: str | None
    blocks: list[dict[str, Any]] | None
    attachments: list[dict[str, Any]] | None
    metadata: dict[str, Any] | None
    was_truncated: bool = False

    @property
    def shown_text(self) -> str:
        if self.text:
            return self.text
        return FALLBACK_TEXT if self.blocks or self.attachments else ""


def read_content(args: Arguments, *, max_text: int | None = None) -> Content:
    """The content that a call gives.

    Args:
        max_text: characters of text beyond which it is refused (`msg_too_long`); None truncates at 40,000.
    Raises:
        SlackError: `no_text`, `msg_too_long`, `markdown_text_conflict`, and those of blocks and metadata.
    """
    text = args.text("text") if "text" in args else None
    blocks = _blocks(args)
    if args.text("markdown_text"):
        if text or blocks:
            raise SlackError("markdown_text_conflict")
        text = args.text("markdown_text")
        if len(text) > MAX_MARKDOWN:
            raise SlackError("msg_too_long")
        blocks = with_ids([{"type": "markdown", "text": text}])
    attachments = _attachments(args)
    if not text and not blocks and not attachments:
        raise SlackError("no_text")
    if text and max_text is not None and len(text) > max_text:
        raise SlackError("msg_too_long")
    was_truncated = text is not None and len(text) > TEXT_TRUNCATED_AT
    return Content(
        text[:TEXT_TRUNCATED_AT] if text is not None else None,
        blocks,
        attachments,
        read_metadata(args),
        was_truncated,
    )


def truncation_warning(content: Content) -> dict[str, Any]:
    if not content.was_truncated:
        return {}
    return {"warning": "message_truncated", "response_metadata": {"warnings": ["message_truncated"]}}


def _blocks(args: Arguments) -> list[dict[str, Any]] | None:
    given = args.json("blocks", error="invalid_blocks_format")
    return None if given is None else with_ids(check_message_blocks(given))


def _attachments(args: Arguments) -> list[dict[str, Any]] | None:
    """Legacy attachments are kept as they are; only blocks inside them are checked."""
    given = args.json("attachments", error="invalid_attachments")
    if given is None:
        return None
    if not isinstance(given, list) or not all(isinstance(attachment, dict) for attachment in given):
        raise SlackError("invalid_attachments")
    if len(given) > MAX_ATTACHMENTS:
        raise SlackError("too_many_attachments")
    for attachment in given:
        if attachment.get("blocks"):
            check_message_blocks(attachment["blocks"])
    return given


def read_metadata(args: Arguments) -> dict[str, Any] | None:
    """The message's metadata; {} removes it, None says that none was given.

    Raises:
        SlackError: `invalid_metadata_format`, `invalid_metadata_schema`, `metadata_too_large`.
    """
    given = args.json("metadata", error="invalid_metadata_format")
    if given is None or given == {}:
        return given  # type: ignore[no-any-return]
    if not isinstance(given, dict):
        raise SlackError("invalid_metadata_format")
    if not isinstance(given.get("event_type"), str) or not isinstance(given.get("event_payload"), dict):
        raise SlackError("invalid_metadata_schema")
    if len(json.dumps(given, ensure_ascii=False).encode()) > MAX_METADATA_BYTES:
        raise SlackError("metadata_too_large")
    return given

"""Builders of blocks. Markup is only ever written here; every text is within Slack's limit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot.ui import limits
from bot.ui.message import Block
from bot.ui.text import plain


def header(text: str) -> Block:
    """A headline, of untrusted text too."""
    return {"type": "header", "text": plain_text(text, limits.HEADER_TEXT)}


def section(mrkdwn: str) -> Block:
    """A paragraph of mrkdwn whose untrusted parts are escaped already; longer ones are cut at the limit."""
    return {"type": "section", "text": _mrkdwn(mrkdwn, limits.SECTION_TEXT), "expand": True}


def fields(pairs: Sequence[tuple[str, str]]) -> Block:
    """Label and value, in two columns; values are mrkdwn, escaped already."""
    shown = [_mrkdwn(f"*{label}*\n{value}", limits.FIELD_TEXT) for label, value in pairs[: limits.FIELDS]]
    return {"type": "section", "fields": shown}


def context(*mrkdwn: str) -> Block:
    """Small print, of mrkdwn that is escaped already."""
    elements = [_mrkdwn(text, limits.SECTION_TEXT) for text in mrkdwn[: limits.CONTEXT_ELEMENTS]]
    return {"type": "context", "elements": elements}


def preformatted(text: str) -> Block:
    """Text in a fixed-width frame, where nothing is markup; made visible by the caller."""
    return {
        "type": "rich_text",
        "elements": [{"type": "rich_text_preformatted", "elements": [{"type": "text", "text": text or " "}]}],
    }


def quoted(label: str, text: str) -> Block:
    """Somebody's words below a bold label, where nothing is markup; made visible by the caller."""
    return {
        "type": "rich_text",
        "elements": [
            {
                "type": "rich_text_section",
                "elements": [{"type": "text", "text": label, "style": {"bold": True}}],
            },
            {"type": "rich_text_quote", "elements": [{"type": "text", "text": text or " "}]},
        ],
    }


def said(text: str) -> Block:
    """A paragraph in which nothing is markup; made visible by the caller."""
    return {
        "type": "rich_text",
        "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": text or " "}]}],
    }


def divider() -> Block:
    return {"type": "divider"}


def actions(block_id: str, elements: Sequence[dict[str, Any]]) -> Block:
    return {"type": "actions", "block_id": block_id, "elements": list(elements)}


def button(
    action_id: str,
    text: str,
    value: str,
    *,
    style: str | None = None,
    confirm: dict[str, Any] | None = None,
    label: str | None = None,
) -> dict[str, Any]:
    """A button; `label` is what a screen reader says in place of its text."""
    shown: dict[str, Any] = {
        "type": "button",
        "action_id": action_id,
        "text": plain_text(text, limits.BUTTON_TEXT),
        "value": value,
    }
    if style is not None:
        shown["style"] = style
    if confirm is not None:
        shown["confirm"] = confirm
    if label is not None:
        shown["accessibility_label"] = plain(label, limits.BUTTON_TEXT)
    return shown


def overflow(action_id: str, options: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """A menu of (text, verb)."""
    return {
        "type": "overflow",
        "action_id": action_id,
        "options": [
            {"text": plain_text(text, limits.OPTION_TEXT), "value": verb}
            for text, verb in options[: limits.OVERFLOW_OPTIONS]
        ],
    }


def confirm(title: str, text: str, yes: str, *, style: str | None = None) -> dict[str, Any]:
    """A dialog that asks once more; `text` may be untrusted."""
    dialog: dict[str, Any] = {
        "title": plain_text(title, limits.CONFIRM_TITLE),
        "text": plain_text(text, limits.CONFIRM_TEXT),
        "confirm": plain_text(yes, 30),
        "deny": plain_text("Cancel", 30),
    }
    if style is not None:
        dialog["style"] = style
    return dialog


def text_input(block_id: str, label: str, *, hint: str = "", placeholder: str = "", optional: bool = False) -> Block:
    """A field of several lines; its action id is `text`."""
    element: dict[str, Any] = {
        "type": "plain_text_input",
        "action_id": "text",
        "multiline": True,
        "max_length": limits.INPUT_TEXT,
    }
    if placeholder:
        element["placeholder"] = plain_text(placeholder, 150)
    block: Block = {
        "type": "input",
        "block_id": block_id,
        "label": plain_text(label, limits.FIELD_TEXT),
        "element": element,
        "optional": optional,
    }
    if hint:
        block["hint"] = plain_text(hint, limits.FIELD_TEXT)
    return block


def modal(
    callback_id: str, title: str, blocks: list[Block], private_metadata: str, *, submit: str | None = None
) -> dict[str, Any]:
    """A modal; without `submit` it can only be closed."""
    view: dict[str, Any] = {
        "type": "modal",
        "callback_id": callback_id,
        "title": plain_text(title, limits.MODAL_TITLE),
        "close": plain_text("Cancel" if submit else "Close", limits.MODAL_TITLE),
        "private_metadata": private_metadata,
        "blocks": blocks,
    }
    if submit is not None:
        view["submit"] = plain_text(submit, limits.MODAL_TITLE)
    return view


def plain_text(text: str, limit: int) -> dict[str, Any]:
    """Text without markup or emoji codes."""
    return {"type": "plain_text", "text": plain(text, limit), "emoji": False}


def _mrkdwn(text: str, limit: int) -> dict[str, Any]:
    """`verbatim`: Slack makes no links of its own out of what looks like one."""
    return {"type": "mrkdwn", "text": text if len(text) <= limit else text[: limit - 1] + "…", "verbatim": True}

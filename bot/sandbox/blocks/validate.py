"""Whether Slack would take these blocks or this view, and in which words it would refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from bot.sandbox.blocks.layout import HOME, MESSAGE_BLOCKS, MODAL
from bot.sandbox.blocks.spec import Problem
from bot.sandbox.errors import SlackError

# Undocumented; measured by Slack's users between 13,200 and 13,300 characters of serialised blocks
# (slackapi/bolt-js#2509, #2867).
MAX_SERIALISED_BLOCKS = 13_200
MAX_VIEW_BYTES = 250 * 1024


def check_message_blocks(blocks: Any) -> list[dict[str, Any]]:
    """The blocks of a message, once they are known to be good.

    Raises:
        SlackError: `invalid_blocks_format`, `invalid_blocks` with each problem, or `msg_blocks_too_long`.
    """
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise SlackError("invalid_blocks_format")
    problems = block_problems(blocks)
    if problems:
        raise SlackError(
            "invalid_blocks",
            messages=[f"[ERROR] {problem}" for problem in problems],
            errors=[str(problem) for problem in problems],
        )
    if len(json.dumps(blocks, ensure_ascii=False, separators=(",", ":"))) > MAX_SERIALISED_BLOCKS:
        raise SlackError("msg_blocks_too_long")
    return blocks


def check_view(view: Any, *, allowed: tuple[str, ...]) -> dict[str, Any]:
    """A view, once it is known to be good.

    Args:
        allowed: the types that this method takes, `modal` or `home`.
    Raises:
        SlackError: `view_too_large`, or `invalid_arguments` with each problem.
    """
    if not isinstance(view, dict):
        raise SlackError("invalid_arguments", messages=["[ERROR] must be a valid view [json-pointer:/view]"])
    if len(json.dumps(view, ensure_ascii=False, separators=(",", ":")).encode()) > MAX_VIEW_BYTES:
        raise SlackError("view_too_large")
    problems = view_problems(view, allowed)
    if problems:
        raise SlackError("invalid_arguments", messages=[f"[ERROR] {problem}" for problem in problems])
    return view


def block_problems(blocks: Any) -> list[Problem]:
    problems: list[Problem] = []
    MESSAGE_BLOCKS.check(blocks, "/blocks", problems)
    return problems or list(_duplicates(blocks, "/blocks"))


def view_problems(view: dict[str, Any], allowed: tuple[str, ...] = ("modal", "home")) -> list[Problem]:
    problems: list[Problem] = []
    if view.get("type") not in allowed:
        return [Problem("/view/type", f"must be one of: {', '.join(allowed)}")]
    (MODAL if view["type"] == "modal" else HOME).check(view, "/view", problems)
    if problems:
        return problems
    has_input = any(block["type"] == "input" for block in view["blocks"])
    if view["type"] == "modal" and has_input and view.get("submit") is None:
        problems.append(Problem("/view", "must define `submit` to use an `input` block in modals"))
    return problems + list(_duplicates(view["blocks"], "/view/blocks"))


def _duplicates(blocks: list[dict[str, Any]], pointer: str) -> Iterator[Problem]:
    """A block_id is unique in a message or view; an action_id within its block."""
    seen: set[str] = set()
    for index, block in enumerate(blocks):
        block_id = block.get("block_id")
        if block_id is not None and block_id in seen:
            yield Problem(f"{pointer}/{index}/block_id", f"block_id already exists: {block_id}")
        seen.add(block_id or "")
        actions: set[str] = set()
        for place, element in elements_of(block):
            action_id = element.get("action_id")
            if action_id is not None and action_id in actions:
                yield Problem(f"{pointer}/{index}/{place}/action_id", f"action_id already exists: {action_id}")
            actions.add(action_id or "")


def elements_of(block: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The interactive elements of a block, each with where in the block it stands."""
    if block["type"] == "actions":
        for index, element in enumerate(block["elements"]):
            yield f"elements/{index}", element
    elif block["type"] == "section" and (block.get("accessory") or {}).get("type", "image") != "image":
        yield "accessory", block["accessory"]
    elif block["type"] == "input":
        yield "element", block["element"]

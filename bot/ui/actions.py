"""The ids of buttons and modals, and what they carry: the public contract between a card and its listeners."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from agent_runtime.core.approval import ApprovalRequest
from agent_runtime.core.ids import APPROVAL_REQUEST_ID

APPROVE = "approval.approve"
REJECT = "approval.reject"
REQUEST_CHANGES = "approval.request_changes"
DETAILS = "approval.details"
REVIEW = "approval.review"
EXTEND = "approval.extend"
HAPPENED = "in_doubt.happened"
NOT_HAPPENED = "in_doubt.not_happened"
STOP = "in_doubt.stop"
HOME_EARLIER = "home.earlier"
HOME_LATER = "home.later"

REJECT_SUBMIT = "approval.reject.submit"
REQUEST_CHANGES_SUBMIT = "approval.request_changes.submit"
REVIEW_SUBMIT = "approval.review.submit"
HAPPENED_SUBMIT = "in_doubt.happened.submit"
DETAILS_VIEW = "approval.details.view"

SHORTCUT = "approval.show"
COMMAND = "/approvals"

VERB_DETAILS = "details"
VERB_EXTEND = "extend"

_BLOCK = "approval:"


@dataclass(frozen=True, slots=True)
class Shown:
    """What a button or modal was shown for: the approval, the digest of what stood on the card, and where that is."""

    approval_request_id: str
    digest: str = ""
    channel: str = ""
    ts: str = ""


def button_value(approval: ApprovalRequest) -> str:
    """A button's value: the approval and the digest of what the card shows."""
    return as_json({"id": approval.approval_request_id, "digest": approval.digest})


def read_value(value: object) -> Shown | None:
    """What `button_value` or `view_value` wrote, or None for anything else."""
    try:
        given = json.loads(value) if isinstance(value, str) else None
    except ValueError:
        return None
    if not isinstance(given, dict) or not all(isinstance(item, str) for item in given.values()):
        return None
    approval_request_id = given.get("id", "")
    if not APPROVAL_REQUEST_ID.fullmatch(approval_request_id):
        return None
    return Shown(approval_request_id, given.get("digest", ""), given.get("channel", ""), given.get("ts", ""))


def view_value(shown: Shown) -> str:
    """A modal's private metadata."""
    return as_json({"id": shown.approval_request_id, "digest": shown.digest, "channel": shown.channel, "ts": shown.ts})


def card_block_id(approval_request_id: str) -> str:
    """The block_id of a card's buttons: an overflow option's value is too short for an id."""
    return _BLOCK + approval_request_id


def read_card_block_id(block_id: object) -> str | None:
    """The approval that `card_block_id` named, or None."""
    if not isinstance(block_id, str) or not block_id.startswith(_BLOCK):
        return None
    approval_request_id = block_id.removeprefix(_BLOCK)
    return approval_request_id if APPROVAL_REQUEST_ID.fullmatch(approval_request_id) else None


def as_json(value: Any) -> str:
    """JSON without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

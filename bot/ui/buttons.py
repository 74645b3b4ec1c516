"""The buttons of a pending approval: which there are, what they are called, what they ask before they act."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent_runtime.core.approval import ApprovalRequest, Kind
from agent_runtime.core.ladder import MAX_EXTENSIONS
from agent_runtime.core.wording import summary
from bot.ui import actions as ids
from bot.ui.blocks import button, confirm, overflow


def for_card(approval: ApprovalRequest, *, complete: bool) -> list[dict[str, Any]]:
    """The card's buttons; where not `complete`, or at high risk, approval is only in the review."""
    if approval.kind == Kind.in_doubt:
        return _in_doubt(approval)
    if not complete or approval.policy.risk == "high":
        return review_only(approval)
    return [_approve(approval), *_refuse(approval), menu(approval)]


def review_only(approval: ApprovalRequest) -> list[dict[str, Any]]:
    """No approval at a glance: Review shows everything, and approves."""
    if approval.kind == Kind.in_doubt:
        return _in_doubt(approval)
    return [review(approval), *_refuse(approval), menu(approval)]


def review(approval: ApprovalRequest) -> dict[str, Any]:
    """Opens the review."""
    return button(ids.REVIEW, "Review…", ids.button_value(approval), style="primary", label="Review all of it")


def menu(approval: ApprovalRequest) -> dict[str, Any]:
    """What else can be done."""
    options = [("Details", ids.VERB_DETAILS)]
    if can_extend(approval):
        options.append(("More time", ids.VERB_EXTEND))
    return overflow(ids.DETAILS, options)


def extend(approval: ApprovalRequest) -> dict[str, Any]:
    """Puts off the expiry."""
    return button(ids.EXTEND, "More time", ids.button_value(approval), label="Give it more time")


def can_extend(approval: ApprovalRequest) -> bool:
    """Whether there is a deadline that may be put off."""
    return approval.pending and approval.policy.expires_after is not None and approval.extensions < MAX_EXTENSIONS


def _approve(approval: ApprovalRequest) -> dict[str, Any]:
    needed = approval.policy.quorum
    goes_on = _GOES_ON.get(approval.kind, "it runs")
    ask = confirm(
        "Approve this?" if approval.kind == Kind.pause else "Approve this call?",
        f"{summary(approval, 200)} — {goes_on} {'at once' if needed == 1 else f'once {needed} people have approved'}.",
        "Approve",
    )
    return button(ids.APPROVE, "Approve", ids.button_value(approval), style="primary", confirm=ask, label="Approve")


_GOES_ON: Mapping[str, str] = {Kind.pause: "it goes on", Kind.external: "whoever asked may run it"}


def _refuse(approval: ApprovalRequest) -> list[dict[str, Any]]:
    value = ids.button_value(approval)
    return [
        button(ids.REJECT, "Reject…", value, style="danger", label="Reject, with a reason"),
        button(ids.REQUEST_CHANGES, "Request changes…", value, label="Request changes, saying which"),
    ]


def _in_doubt(approval: ApprovalRequest) -> list[dict[str, Any]]:
    value = ids.button_value(approval)
    if approval.position is None and approval.execution_id is not None:
        again = confirm("Try it again?", f"{summary(approval, 200)} is run again from where it stood.", "Try again")
        stop = confirm("Stop it?", "The execution ends as failed. Nothing more of it runs.", "Stop", style="danger")
        return [
            button(ids.NOT_HAPPENED, "Try again", value, style="primary", confirm=again),
            button(ids.STOP, "Stop", value, style="danger", confirm=stop),
            menu(approval),
        ]
    ask = confirm(
        "It did not happen?",
        f"{summary(approval, 200)} — a fresh approval is asked for, and then it runs.",
        "It did not happen",
    )
    ends = "The execution ends as failed. " if approval.execution_id is not None else ""
    stop = confirm("Stop it?", f"{ends}The call does not run again.", "Stop", style="danger")
    return [
        button(ids.HAPPENED, "It happened…", value, label="It happened, with its result"),
        button(ids.NOT_HAPPENED, "It did not happen", value, confirm=ask),
        button(ids.STOP, "Stop", value, style="danger", confirm=stop),
        menu(approval),
    ]

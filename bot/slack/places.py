"""Where a notice belongs in Slack: pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agent_runtime.core.approval import ApprovalRequest
from agent_runtime.core.ladder import Rung
from agent_runtime.core.policy import eligible_reviewers
from agent_runtime.delivery.notifier import Notice, Place, Receipt
from agent_runtime.store.outbox import (
    APPROVAL_CARD,
    APPROVAL_NOTE,
    APPROVAL_WARNING,
    EXECUTION_PROGRESS,
    EXECUTION_RESULT,
)
from bot.slack.origin import Origin, read_origin
from bot.ui.notes import OPEN_EVENTS

DIRECT_MESSAGES = 5
"""Reviewers who get a card as a direct message where no channel takes it."""

_USER = re.compile(r"[UW][A-Z0-9]{2,}")


def places(notice: Notice) -> list[Place]:
    """Where `notice` is to be shown now; empty where it is not to be shown (any more)."""
    if notice.topic == APPROVAL_CARD and notice.approval is not None:
        return _of_card(notice.approval.approval)
    if notice.topic == APPROVAL_NOTE and notice.approval is not None:
        return _of_note(notice.event, notice.approval.approval, notice.card)
    if notice.topic == APPROVAL_WARNING and notice.approval is not None:
        return _of_warnings(notice.approval.approval, notice.card)
    if notice.topic in {EXECUTION_PROGRESS, EXECUTION_RESULT} and notice.execution is not None:
        origin = read_origin(notice.execution.execution.origin)
        return [] if origin is None else [_thread(origin.channel, origin.thread_ts)]
    return []


def _of_card(approval: ApprovalRequest) -> list[Place]:
    """The reviewers' channel, or the thread that asked; from the escalation on its channel too.

    Where the channel takes no card it goes to the thread that asked, else to a reviewer.
    """
    policy, origin = approval.policy, read_origin(approval.origin)
    direct = _direct(approval)
    wanted = [_thread(policy.channel, "")] if policy.channel else []
    wanted += [] if origin is None else [_origin_thread(origin)]
    shown = [_with_instead(wanted[0], [*wanted[1:], *direct])] if wanted else direct
    if approval.widened and policy.escalate_channel and policy.escalate_channel != policy.channel:
        shown.append(_thread(policy.escalate_channel, ""))
    return shown


def _of_note(event: str, approval: ApprovalRequest, card: Sequence[Receipt]) -> list[Place]:
    """Below every card; the outcome also where it was asked for."""
    if event in OPEN_EVENTS and not approval.pending:
        return []
    threads = [_below(receipt) for receipt in card]
    origin = read_origin(approval.origin)
    tells_requester = event not in OPEN_EVENTS or not threads
    if origin is not None and tells_requester:
        asked = _origin_thread(origin)
        asked = Place(asked.key, asked.lane, {**asked.address, "for_requester": True})
        threads = [asked, *(thread for thread in threads if thread.key != asked.key)]
    return threads


def _of_warnings(approval: ApprovalRequest, card: Sequence[Receipt]) -> list[Place]:
    """Below every card, anew after each extension; those before it, and all of an ended approval, are over."""
    origin = read_origin(approval.origin)
    threads = [_below(receipt) for receipt in card] or ([] if origin is None else [_origin_thread(origin)])
    warned = bool(approval.rungs_done & Rung.warn)
    return [
        Place(
            f"{thread.key} #{extensions}",
            thread.lane,
            {**thread.address, "extensions": extensions},
            over=not (approval.pending and warned and extensions == approval.extensions),
        )
        for extensions in range(approval.extensions + 1)
        for thread in threads
    ]


def _below(receipt: Receipt) -> Place:
    """The thread of a card: its own, or the one it stands in."""
    channel, ts = str(receipt.receipt["channel"]), str(receipt.receipt["ts"])
    return _thread(channel, str(receipt.receipt.get("thread_ts") or ts))


def _direct(approval: ApprovalRequest) -> list[Place]:
    eligible = eligible_reviewers(approval.policy, bool(approval.widened))
    people = [name for name in eligible if _USER.fullmatch(name)]
    return [_thread(user, "") for user in people[:DIRECT_MESSAGES]]


def _with_instead(first: Place, others: Sequence[Place]) -> Place:
    return Place(first.key, first.lane, first.address, tuple(others))


def _origin_thread(origin: Origin) -> Place:
    return _thread(origin.channel, origin.thread_ts)


def _thread(channel: str, thread_ts: str) -> Place:
    """A thread of a channel, or with `thread_ts` "" the channel itself."""
    key = f"{channel}/{thread_ts}" if thread_ts else channel
    return Place(key, channel, {"channel": channel, "thread_ts": thread_ts})

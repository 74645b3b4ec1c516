"""Why something was not done, as the person reads it: the reason, then who may."""

from __future__ import annotations

from agent_runtime.core.approval import ApprovalRequest, ApprovalStatus, status_in_words
from agent_runtime.core.policy import eligible_reviewers
from agent_runtime.core.wording import state
from agent_runtime.errors import (
    AlreadyResolved,
    ApprovalExpired,
    CountersignError,
    LostInRestore,
    NotAuthorized,
    NotFound,
    Overloaded,
    StaleDigest,
    StoreUnavailable,
)
from bot.ui.blocks import section
from bot.ui.message import Message
from bot.ui.text import Workspace, clock, door, escape, moment, person, plain, reviewers

NOT_CONFIRMED = "Not confirmed yet; the card will update; clicking again is safe."

_REASON_LIMIT = 400


def refusal(
    error: CountersignError, approval: ApprovalRequest | None, workspace: Workspace, *, groups_known: bool = True
) -> Message:
    """The answer to a click that changed nothing."""
    words = _words(error, approval, workspace)
    if isinstance(error, NotAuthorized) and approval is not None:
        eligible = eligible_reviewers(approval.policy, bool(approval.widened))
        who = reviewers(eligible, workspace)
        words += f" It may be decided by: {who}." if who else ""
        if not groups_known and any(name.startswith(("@", "S")) for name in eligible):
            words += " Slack did not say in time which user groups you are in; try again in a moment."
    return message(words)


def refusal_in_form(error: CountersignError, approval: ApprovalRequest | None) -> str:
    """The same within a modal's field, where nothing is markup; one sentence, without names."""
    if isinstance(error, AlreadyResolved) and approval is not None and not approval.pending:
        when = f" at {clock(approval.resolved_at)}" if approval.resolved_at is not None else ""
        return f"This is already {status_in_words(approval.status)}{when}; nothing was changed."
    if isinstance(error, StoreUnavailable | Overloaded):
        return NOT_CONFIRMED
    return plain(_sentence(error.message), _REASON_LIMIT)


def message(mrkdwn: str) -> Message:
    """One sentence for one person."""
    return Message(mrkdwn, [section(mrkdwn)])


def _words(error: CountersignError, approval: ApprovalRequest | None, workspace: Workspace) -> str:
    if isinstance(error, StoreUnavailable | Overloaded):
        return f"⚠️ {NOT_CONFIRMED}"
    if isinstance(error, AlreadyResolved | ApprovalExpired) and approval is not None and not approval.pending:
        return _ended(approval, workspace)
    if isinstance(error, StaleDigest):
        return "⚠️ What this card shows is not what stands now. It is being redrawn: look again before you decide."
    if isinstance(error, LostInRestore):
        return f"⚠️ {escape(plain(_sentence(error.message), _REASON_LIMIT))}"
    if isinstance(error, NotFound):
        return "⚠️ This server does not know that approval; it may belong to another one."
    if isinstance(error, NotAuthorized):
        return f"⛔ You can't decide this: {escape(plain(error.message, _REASON_LIMIT))}."
    return f"⚠️ {escape(plain(_sentence(error.message), _REASON_LIMIT))}"


def _ended(approval: ApprovalRequest, workspace: Workspace) -> str:
    icon, _ = state(approval)
    when = f", {moment(approval.resolved_at)}" if approval.resolved_at is not None else ""
    if approval.status == ApprovalStatus.expired:
        return f"{icon} This has already expired{when}; nothing runs."
    via = door(str((approval.resolution or {}).get("via", "")))
    by = person(approval.decided_by, workspace)
    return f"{icon} Already {status_in_words(approval.status)} by {by} {via}{when}; nothing was changed."


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."

"""What is said below a card: a reminder, an escalation, the outcome, once each; a warning, until it is over."""

from __future__ import annotations

from agent_runtime.core.approval import ApprovalRequest
from agent_runtime.core.duration import in_words
from agent_runtime.core.policy import eligible_reviewers
from agent_runtime.core.redaction import redact_shown
from agent_runtime.core.wording import nothing_runs, state, summary
from agent_runtime.delivery.notifier import ApprovalView
from bot.ui import buttons
from bot.ui.actions import card_block_id
from bot.ui.blocks import actions, quoted, section
from bot.ui.message import Message
from bot.ui.text import Workspace, code, door, escape, moment, person, plain, reviewers, user_of

OPEN_EVENTS = frozenset({"reminded", "escalated"})
"""Events of the ladder; nothing is said any more once the approval has ended."""

REASON_LIMIT = 1500


def note(event: str, view: ApprovalView, workspace: Workspace, now: int, *, for_requester: bool) -> Message:
    """What `event` has to say; `for_requester`: beside the request itself, so that it mentions who asked."""
    approval = view.approval
    if event == "reminded":
        return _reminder(approval, workspace, now)
    if event == "escalated":
        return _escalation(approval, workspace)
    if event == "extended":
        return _line(approval, f"⏱️ *More time:* it now expires {_deadline(approval)}.")
    if event == "undeliverable":
        return _line(
            approval,
            "⚠️ *Not shown everywhere:* Slack did not take the card where it belongs; is that channel archived?",
        )
    return _outcome(approval, workspace, for_requester=for_requester)


def warning(view: ApprovalView, workspace: Workspace, now: int, extensions: int | None) -> Message:
    """That it expires soon, with a button for more time while that is so.

    `extensions`: how often it had been extended when this was first said; None where nobody knows. Once there is more
    time, or the approval has ended, this says so and asks for nothing.
    """
    approval = view.approval
    if not approval.pending:
        icon, word = state(approval)
        return _line(approval, f"{icon} *{word}.* It was about to expire.")
    if extensions != approval.extensions:
        return _line(approval, "⏱️ *More time was given.* It was about to expire.")
    who = reviewers(eligible_reviewers(approval.policy, bool(approval.widened)), workspace)
    left = in_words(max(0, (approval.expires_at or now) - now))
    then = " Then nothing runs." if nothing_runs(approval) else ""
    message = _line(approval, f"⚠️ *Expires soon:* {who} — in {left} ({_deadline(approval)}).{then}")
    if buttons.can_extend(approval):
        message.blocks.append(actions(card_block_id(approval.approval_request_id), [buttons.extend(approval)]))
    return message


def _reminder(approval: ApprovalRequest, workspace: Workspace, now: int) -> Message:
    who = reviewers(eligible_reviewers(approval.policy, bool(approval.widened)), workspace)
    waited = in_words(now - approval.created_at)
    left = f" It expires {_deadline(approval)}." if approval.expires_at is not None else ""
    return _line(approval, f"🔔 *Reminder:* {who} — this has waited for {waited}.{left}")


def _escalation(approval: ApprovalRequest, workspace: Workspace) -> Message:
    who = reviewers(approval.policy.escalate_to, workspace)
    may = f"{who} — you may decide this now too." if who else "nobody has decided yet."
    return _line(approval, f"📣 *Escalated:* {may}")


def _outcome(approval: ApprovalRequest, workspace: Workspace, *, for_requester: bool) -> Message:
    icon, word = state(approval)
    via = door(str((approval.resolution or {}).get("via", "")))
    by = f" by {person(approval.decided_by, workspace)} {via}".rstrip() if approval.status != "expired" else ""
    runs = "" if approval.status == "approved" else nothing_runs(approval)
    asked = user_of(approval.requested_by, workspace)
    # The result of an approved call mentions them anyway.
    mention = f"<@{asked}> " if for_requester and asked is not None and approval.status != "approved" else ""
    head = f"{mention}{icon} *{word}*{by}: {code(summary(approval, 120), 160)}.{runs}"
    blocks = [section(head)]
    if approval.feedback:
        blocks.append(quoted("Reason", plain(redact_shown(approval.feedback), REASON_LIMIT, multiline=True)))
    return Message(f"{mention}{word}: {escape(summary(approval, 160))}", blocks)


def _line(approval: ApprovalRequest, mrkdwn: str) -> Message:
    return Message(f"{mrkdwn} {escape(summary(approval, 120))}", [section(mrkdwn)])


def _deadline(approval: ApprovalRequest) -> str:
    return moment(approval.expires_at, seconds=True) if approval.expires_at is not None else "never"

"""The card of an approval: what would run, who decides and until when; after that who, when, why and the result.

What the runtime knows comes first; what the agent wrote comes last, labelled as its words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent_runtime.core.approval import ApprovalRequest, ApprovalStatus, Kind, Verdict, Vote, status_in_words
from agent_runtime.core.duration import HOUR, in_words
from agent_runtime.core.policy import eligible_reviewers
from agent_runtime.core.wording import (
    PREVIEW,
    headline,
    nothing_runs,
    preview,
    shown_arguments,
    state,
    summary,
    warnings,
    words_of_agent,
    words_title,
)
from agent_runtime.core.wording import context as approval_context
from agent_runtime.delivery.notifier import ApprovalView
from bot.ui import buttons
from bot.ui.actions import card_block_id
from bot.ui.blocks import actions, context, fields, header, preformatted, quoted, said, section
from bot.ui.limits import FOLDED_CHARACTERS, FOLDED_LINES
from bot.ui.message import Block, Blocks, Message
from bot.ui.outcome import outcome_blocks
from bot.ui.progress import held
from bot.ui.text import Workspace, code, door, escape, moment, person, plain, reviewers

WORDS_LIMIT = 600
RULES_SHOWN = 4
VOTES_SHOWN = 10

_WHAT: Mapping[str, str] = {Kind.pause: "Reasoner"}

_RULES: Mapping[str, str] = {"in_doubt": "a call in doubt", "attempts": "too many attempts", "restore": "a restore"}

NO_REVIEWERS = (
    "⚠️ *Nobody may decide this here:* no reviewers are set. Set `reviewers` on the tool's `Approval`, "
    "or `COUNTERSIGN_REVIEWERS`; `countersign doctor` checks them."
)


def card(view: ApprovalView, workspace: Workspace, now: int) -> Message:
    """The card as it stands; `now` (epoch microseconds) is when it is shown, for a clock that starts with that."""
    approval = view.approval
    blocks = _pending(view, workspace, now) if approval.pending else _ended(view, workspace)
    message = Message(_text(approval, workspace), blocks)
    return message if message.fits else minimal_card(view, workspace)


def minimal_card(view: ApprovalView, workspace: Workspace) -> Message:
    """What is always small enough to be shown: never is there no card."""
    approval = view.approval
    blocks = [header(headline(approval)), said(summary(approval, FOLDED_CHARACTERS))]
    if approval.pending:
        blocks.append(section("This is too much for one message; *Review* shows all of it."))
        blocks.append(actions(card_block_id(approval.approval_request_id), buttons.review_only(approval)))
    else:
        blocks.append(section(_decided(view, workspace)))
    return Message(_text(approval, workspace), blocks)


def fits_on_card(approval: ApprovalRequest) -> bool:
    """Whether a reader sees all arguments and what they would do, so that the card may offer approval itself."""
    would_do = preview(approval, FOLDED_LINES, FOLDED_CHARACTERS)
    seen = would_do is None or would_do.complete
    return seen and shown_arguments(approval, FOLDED_LINES, FOLDED_CHARACTERS).complete


def _pending(view: ApprovalView, workspace: Workspace, now: int) -> Blocks:
    approval = view.approval
    shown = shown_arguments(approval, FOLDED_LINES, FOLDED_CHARACTERS)
    complete = fits_on_card(approval)
    blocks = [header(headline(approval)), fields(card_facts(view, workspace, now))]
    blocks += _alerts(approval)
    blocks += _why(approval)
    blocks.append(preformatted(shown.text))
    if not complete:
        blocks.append(context("Cut here. *Review* shows all of it, and approves."))
    elif approval.policy.risk == "high":
        blocks.append(context("High risk: *Review* shows everything once more, and approves."))
    blocks += _words(approval)
    blocks.append(actions(card_block_id(approval.approval_request_id), buttons.for_card(approval, complete=complete)))
    blocks.append(_footer(approval))
    return blocks


def _ended(view: ApprovalView, workspace: Workspace) -> Blocks:
    """No buttons: it is over."""
    approval = view.approval
    shown = shown_arguments(approval, FOLDED_LINES, FOLDED_CHARACTERS)
    blocks = [header(headline(approval)), section(_decided(view, workspace))]
    if view.held_for and approval.status == ApprovalStatus.approved and approval.consumed_at is None:
        blocks.append(section(held(view.held_for)))
    if approval.feedback:
        blocks.append(quoted("Reason", plain(approval.feedback, WORDS_LIMIT, multiline=True)))
    if approval.run_arguments != approval.arguments:
        blocks.append(context("The approver edited the arguments; this is what may run:"))
    blocks.append(preformatted(shown.text))
    blocks += outcome_blocks(view)
    blocks.append(
        context(
            f"Requested by {person(approval.requested_by, workspace)}"
            + (f" · agent {code(approval.agent)}" if approval.agent else "")
            + (f" · {code(approval.tool_name)}" if approval.tool_name else "")
        )
    )
    blocks.append(_footer(approval))
    return blocks


def card_facts(view: ApprovalView, workspace: Workspace, now: int) -> list[tuple[str, str]]:
    """Who asked, what would run and under which policy, who may decide and until when: label and mrkdwn."""
    approval = view.approval
    policy = approval.policy
    approvals = sum(vote.verdict == Verdict.approved for vote in view.votes)
    eligible = eligible_reviewers(policy, bool(approval.widened))
    facts = [
        ("Requested by", person(approval.requested_by, workspace)),
        *([("Agent", code(approval.agent))] if approval.agent else []),
        *([(_WHAT.get(approval.kind, "Tool"), code(approval.tool_name))] if approval.tool_name else []),
        ("Risk", "High" if policy.risk == "high" else "Normal"),
        ("Policy", ", ".join(map(_rule, policy.rules[:RULES_SHOWN])) or "the agent asks"),
        ("Reviewers", reviewers(eligible, workspace) or "nobody"),
        ("Approvals", f"{approvals} of {policy.quorum}" + _voters(view.votes, workspace)),
        ("Expires", _expiry(approval, now)),
    ]
    if approval.widened:
        facts.append(("Escalated", "the escalation reviewers may decide too"))
    elif policy.escalate_after is not None and (policy.escalate_to or policy.escalate_channel):
        at = (approval.clock_started_at or now) + policy.escalate_after
        facts.append(("Escalates", moment(at, seconds=policy.escalate_after < HOUR)))
    return facts


def _rule(rule: str) -> str:
    """Why people are asked; mrkdwn."""
    kind, _, name = rule.partition(":")
    if kind == "tool":
        return "the tool asks for it"
    return f"checkpoint {code(name)}" if kind == "checkpoint" else _RULES.get(rule, code(rule))


def _expiry(approval: ApprovalRequest, now: int) -> str:
    """The deadline; before the clock runs, as it will be once this card is shown."""
    life = approval.policy.expires_after
    expires_at = approval.expires_at
    if expires_at is None and life is not None and approval.clock_started_at is None:
        expires_at = now + life
    if expires_at is None:
        return "Never by itself"
    extended = f"\nextended {approval.extensions}×" if approval.extensions else ""
    return moment(expires_at, seconds=life is not None and life < HOUR) + extended


def _voters(votes: Sequence[Vote], workspace: Workspace) -> str:
    named = [f"\n{status_in_words(vote.verdict)}: {person(vote.principal, workspace)}" for vote in votes[:VOTES_SHOWN]]
    return "".join(named)


def _alerts(approval: ApprovalRequest) -> Blocks:
    blocks: Blocks = [quoted("⚠️ Warning", plain(warning, 400)) for warning in warnings(approval)]
    if not approval.policy.reviewers and not approval.policy.escalate_to:
        blocks.append(section(NO_REVIEWERS))
    return blocks


def _why(approval: ApprovalRequest) -> Blocks:
    """What the runtime itself has to say: why it asks again, or what is in doubt."""
    why = str(approval_context(approval).get("why", ""))
    if approval.kind == Kind.in_doubt:
        doubt = (
            "The call was started, and nobody knows whether it took effect. It does not run again by itself: "
            "look where it would show, then say what happened."
            if approval.position is not None or approval.execution_id is None
            else "It is not tried again by itself: look at the server's log, then decide."
        )
        return [section(f"*In doubt.* {doubt}"), *([quoted("What is known", plain(why, WORDS_LIMIT))] if why else [])]
    return [quoted("Note", plain(why, WORDS_LIMIT))] if why else []


def _words(approval: ApprovalRequest) -> Blocks:
    words = words_of_agent(approval)
    shown = preview(approval, FOLDED_LINES, FOLDED_CHARACTERS)
    blocks: Blocks = [quoted(PREVIEW, shown.text)] if shown is not None else []
    return [*blocks, *([quoted(words_title(approval), plain(words, WORDS_LIMIT, multiline=True))] if words else [])]


def _decided(view: ApprovalView, workspace: Workspace) -> str:
    """Who, when and through which door; mrkdwn."""
    approval = view.approval
    resolution = approval.resolution or {}
    icon, word = state(approval)
    when = f" · {moment(approval.resolved_at)}" if approval.resolved_at is not None else ""
    if approval.status == ApprovalStatus.expired:
        return f"{icon} *{word}:* nobody decided in time.{nothing_runs(approval)}{when}"
    if approval.status == ApprovalStatus.cancelled and "outcome" not in resolution:
        return f"{icon} *{word}* by {person(approval.decided_by, workspace)}.{nothing_runs(approval)}{when}"
    via = door(str(resolution.get("via", "")))
    asserted = str(resolution.get("asserted_by", ""))
    named = f", who says to be {code(asserted)}" if asserted else ""
    others = [
        f"\nalso {status_in_words(vote.verdict)} by {person(vote.principal, workspace)}"
        for vote in view.votes[:VOTES_SHOWN]
        if vote.principal != approval.decided_by
    ]
    after = ""
    if approval.resolved_at is not None and not others:
        after = f" after {in_words(approval.resolved_at - approval.created_at)}"
    return f"{icon} *{word}* by {person(approval.decided_by, workspace)}{named} {via}{after}{when}" + "".join(others)


def _footer(approval: ApprovalRequest) -> Block:
    execution = f" · {code(approval.execution_id)}" if approval.execution_id else ""
    return context(f"{code(approval.approval_request_id, 200)}{execution}")


def _text(approval: ApprovalRequest, workspace: Workspace) -> str:
    """The notification: its first hundred characters say what would happen; then who asked or decided."""
    _, word = state(approval)
    said_by = (
        f"requested by {person(approval.requested_by, workspace)}"
        + (f", agent {code(approval.agent)}" if approval.agent else "")
        if approval.pending
        else f"by {person(approval.decided_by, workspace)}"
    )
    return f"{word}: {escape(summary(approval, 160))} — {said_by}"

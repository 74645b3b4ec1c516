"""An approval as the pages show it: what would run, who decides and until when; after that who, when, why and how.

Pure: rows in, values for the templates out. Every text in them is made visible and masked; the templates escape it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agent_runtime.core import wording
from agent_runtime.core.approval import ApprovalRequest, ApprovalStatus, Kind, Verdict, status_in_words
from agent_runtime.core.display import shorten, visible
from agent_runtime.core.duration import in_words, rfc3339
from agent_runtime.core.execution import StepStatus
from agent_runtime.core.journal import prompt_of
from agent_runtime.core.policy import eligible_reviewers, may_decide
from agent_runtime.core.principal import Actor, Via
from agent_runtime.core.redaction import redact_shown
from agent_runtime.core.shown import masked
from agent_runtime.delivery.notifier import ApprovalView
from agent_runtime.errors import NotAuthorized

FOLDED_LINES, FOLDED_CHARACTERS = 40, 4_000
"""What a list shows of arguments; longer ones are decided on a page of their own, which shows all."""

_WHOLE = 10_000_000
_WORDS = 2_000

COLOURS = {
    ApprovalStatus.pending: "amber",
    ApprovalStatus.approved: "green",
}
"""How a state is coloured, beside its word; what did not lead to a call is red."""

_ICONS = {
    ApprovalStatus.pending: "●",
    ApprovalStatus.approved: "✓",
    ApprovalStatus.rejected: "✕",
    ApprovalStatus.request_changes: "✎",
    ApprovalStatus.expired: "○",
    ApprovalStatus.cancelled: "–",
}
"""Signs that every text font holds, unlike the cards' emoji."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A time as a page shows it: RFC 3339 for programs, epoch milliseconds for the countdown, words for people."""

    iso: str
    milliseconds: int
    words: str


@dataclass(frozen=True, slots=True)
class Said:
    """Who said what: a vote, or the decision that ended it."""

    word: str
    by: str
    door: str
    at: Moment
    feedback: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """All that the pages show of one approval."""

    id: str
    version: int
    digest: str
    kind: str
    pending: bool
    colour: str
    icon: str
    word: str
    title: str
    summary: str
    """What is asked on one line, with its arguments where the title is the tool's name alone."""
    facts: Sequence[tuple[str, str]]
    asked: Moment
    expires: Moment | None
    expires_words: str
    high_risk: bool
    arguments: str
    complete: bool
    redacted: Sequence[str]
    preview: str
    preview_title: str
    warnings: Sequence[str]
    nobody: bool
    why: str
    words: str
    words_title: str
    prompt: str
    link: str
    execution_id: str
    votes: Sequence[Said]
    ended: Said | None
    outcome: str
    settles_call: bool
    answered: str
    """What whoever looks has answered already, where more people are needed; "" where nothing."""
    refusal: str
    """Why whoever looks may not decide; "" where they may."""


def card_of(view: ApprovalView, *, by: Actor, refusal: str, now: int, whole: bool = False) -> Card:
    """The card of an approval for `by`; `refusal` is why nothing may be decided at all, `now` epoch microseconds."""
    approval = view.approval
    _, word = wording.state(approval)
    limits = (_WHOLE, _WHOLE) if whole else (FOLDED_LINES, FOLDED_CHARACTERS)
    arguments = wording.shown_arguments(approval, *limits)
    preview = wording.preview(approval, *limits)
    given = wording.context(approval)
    return Card(
        id=approval.approval_request_id,
        version=approval.version,
        digest=approval.digest,
        kind=approval.kind,
        pending=approval.pending,
        colour=COLOURS.get(ApprovalStatus(approval.status), "red"),
        icon="?" if approval.kind == Kind.in_doubt and approval.pending else _ICONS[ApprovalStatus(approval.status)],
        word=word,
        title=_line(wording.subject(approval), 300),
        summary=wording.summary(approval, 240),
        facts=_facts(view),
        asked=moment(approval.created_at),
        expires=None if approval.expires_at is None else moment(approval.expires_at),
        expires_words=_expiry(approval, now),
        high_risk=approval.policy.risk == "high",
        arguments=arguments.text,
        complete=arguments.complete and (preview is None or preview.complete),
        redacted=[_line(path, 100) for path in approval.policy.redact],
        preview_title=wording.PREVIEW,
        preview=preview.text if preview is not None else "",
        warnings=[_line(warning, 400) for warning in wording.warnings(approval)],
        nobody=not approval.policy.reviewers and not approval.policy.escalate_to,
        why=_line(str(given.get("why", "")), _WORDS),
        words=shorten(visible(_words(approval), multiline=True), _WHOLE if whole else _WORDS)[0],
        words_title=wording.words_title(approval),
        prompt=_prompt(view, _WHOLE if whole else 400),
        link=_link(approval),
        execution_id=approval.execution_id or "",
        votes=_votes(view),
        ended=_ended(approval),
        outcome=_outcome(view),
        settles_call=approval.kind == Kind.in_doubt
        and (approval.position is not None or approval.execution_id is None),
        answered=next((status_in_words(vote.verdict) for vote in view.votes if vote.principal == by.principal), ""),
        refusal=refusal or _refusal(approval, by),
    )


def moment(at: int) -> Moment:
    """`at` (epoch microseconds) for a page."""
    iso = rfc3339(at) or ""
    return Moment(iso, at // 1000, f"{iso[:19].replace('T', ' ')} UTC")


def _line(text: str, limit: int) -> str:
    return shorten(visible(text), limit)[0]


def _words(approval: ApprovalRequest) -> str:
    """The asker's words; its link is shown apart."""
    words = wording.words_of_agent(approval)
    link = _link(approval)
    return "\n".join(line for line in words.split("\n") if not (link and line.endswith(link)))


def _link(approval: ApprovalRequest) -> str:
    """What can be followed and reads as it is; anything else stays among the words, written out."""
    url = approval.url
    return url if url.startswith(("https://", "http://")) and url.isprintable() else ""


def _facts(view: ApprovalView) -> list[tuple[str, str]]:
    approval, policy = view.approval, view.approval.policy
    approvals = sum(vote.verdict == Verdict.approved for vote in view.votes)
    eligible = eligible_reviewers(policy, bool(approval.widened))
    facts = [
        ("Requested by", _line(approval.requested_by, 120)),
        *([("Agent", _line(approval.agent, 120))] if approval.agent else []),
        *([(_WHAT.get(approval.kind, "Tool"), _line(approval.tool_name, 120))] if approval.tool_name else []),
        ("Risk", "High" if policy.risk == "high" else "Normal"),
        ("Policy", ", ".join(map(_rule, policy.rules)) or "the agent asks"),
        ("Reviewers", ", ".join(_line(name, 120) for name in eligible) or "nobody"),
        ("Approvals", f"{approvals} of {policy.quorum}"),
    ]
    if approval.widened:
        facts.append(("Escalated", "the escalation reviewers may decide too"))
    if policy.allowed_via is not None:
        facts.append(("Decided", ", ".join(wording.DOORS.get(via, via) for via in policy.allowed_via)))
    return facts


_WHAT: dict[str, str] = {Kind.pause: "Reasoner"}
_RULES = {"in_doubt": "a call in doubt", "attempts": "too many attempts", "restore": "a restore"}


def _rule(rule: str) -> str:
    kind, _, name = rule.partition(":")
    if kind == "tool":
        return "the tool asks for it"
    return f"checkpoint {_line(name, 100)}" if kind == "checkpoint" else _RULES.get(rule, _line(rule, 100))


def _expiry(approval: ApprovalRequest, now: int) -> str:
    life = approval.policy.expires_after
    if approval.expires_at is not None:
        left = approval.expires_at - now
        return f"in {in_words(left)}" if left > 0 else "now"
    return "never by itself" if life is None else f"{in_words(life)} after somebody is notified"


def _prompt(view: ApprovalView, limit: int) -> str:
    """What the execution was asked to do, in its starter's words."""
    if view.execution is None:
        return ""
    return shorten(visible(redact_shown(prompt_of(masked(json.loads(view.execution.input)))), multiline=True), limit)[0]


def _votes(view: ApprovalView) -> list[Said]:
    return [
        Said(
            status_in_words(vote.verdict),
            _line(vote.principal, 120) + (f" (says to be {_line(vote.asserted_by, 120)})" if vote.asserted_by else ""),
            wording.DOORS.get(vote.via, vote.via),
            moment(vote.created_at),
            shorten(visible(vote.feedback, multiline=True), _WORDS)[0],
        )
        for vote in view.votes
    ]


def _ended(approval: ApprovalRequest) -> Said | None:
    """Who, when, why and through which door; None while it is pending."""
    if approval.resolved_at is None:
        return None
    resolution = approval.resolution or {}
    asserted = str(resolution.get("asserted_by", ""))
    _, word = wording.state(approval)
    return Said(
        word,
        _line(approval.decided_by, 120) + (f" (says to be {_line(asserted, 120)})" if asserted else ""),
        wording.DOORS.get(str(resolution.get("via", "")), ""),
        moment(approval.resolved_at),
        shorten(visible(approval.feedback, multiline=True), _WORDS)[0],
    )


def _outcome(view: ApprovalView) -> str:
    """What became of the call that was asked about."""
    step, approval = view.step, view.approval
    if view.permit is not None:
        _, word, sentence = wording.PERMITS[view.permit.status]
        return f"{word}: {sentence}"
    if approval.pending or approval.kind != Kind.tool or step is None:
        return ""
    if approval.status != ApprovalStatus.approved:
        return "Nothing ran."
    if step.approval_request_id != approval.approval_request_id and step.status != StepStatus.in_doubt:
        return "Asked again since."
    return _CALL.get(StepStatus(step.status), "")


_CALL = {
    StepStatus.approved: "The call is about to run.",
    StepStatus.started: "The call runs.",
    StepStatus.succeeded: "The call ran.",
    StepStatus.failed: "The call failed.",
    StepStatus.in_doubt: "Whether the call ran is in doubt.",
}


def _refusal(approval: ApprovalRequest, by: Actor) -> str:
    try:
        may_decide(
            approval.policy,
            requested_by=approval.requested_by,
            by=by,
            via=Via.dashboard,
            widened=bool(approval.widened),
        )
    except NotAuthorized as error:
        return error.message
    return ""


def steps_of(journal: Sequence[Any]) -> str:
    """Readable JSON of what an execution has done, already masked."""
    return visible(json.dumps(journal, ensure_ascii=False, indent=2), multiline=True)

"""An approval as somebody at a terminal reads it before deciding. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from agent_runtime.core import wording
from agent_runtime.core.approval import ApprovalRequest, Kind, Vote, status_in_words
from agent_runtime.core.canonical import JsonValue
from agent_runtime.core.display import pretty, visible
from agent_runtime.core.duration import in_words
from agent_runtime.core.policy import eligible_reviewers
from agent_runtime.core.redaction import redact
from bot.ui.text import clock, door

RISKS = {"normal": "", "high": "HIGH: read all of it before deciding"}

_ALL = 10_000_000


def fields(approval: ApprovalRequest, votes: Sequence[Vote], now: int) -> Mapping[str, str]:
    """What is known about it, a name and a text each; `now` in epoch microseconds."""
    asked_by = f"{approval.requested_by}, {clock(approval.created_at)}"
    execution = f"{approval.execution_id} ({approval.agent})" if approval.execution_id else ""
    return {
        "approval": approval.approval_request_id,
        "kind": "" if approval.kind == Kind.tool else approval.kind,
        "tool": approval.tool_name if approval.kind == Kind.external else "",
        "execution": execution or approval.agent,
        "asked by": asked_by,
        "status": _status(approval),
        "expires": expiry(approval, now),
        "risk": RISKS.get(approval.policy.risk, approval.policy.risk),
        "may decide": _may_decide(approval, votes),
        "asked because": ", ".join(approval.policy.rules),
        "warnings": "\n".join(wording.warnings(approval)),
        "link": approval.url,
        "replaces": approval.supersedes or "",
        "digest": approval.digest,
    }


def blocks(approval: ApprovalRequest, votes: Sequence[Vote]) -> Mapping[str, str]:
    """What is longer than a line, title and lines each, safe to show; the agent's own words last."""
    edited = "edited_arguments" in (approval.resolution or {})
    said = wording.words_of_agent(approval)
    why = str(wording.context(approval).get("why", ""))
    shown = {
        "what it would do": "" if approval.preview is None else tree(redact(json.loads(approval.preview))),
        "arguments, as edited by the reviewer" if edited else "arguments": wording.all_arguments(approval),
        "why it is asked": visible(why, multiline=True),
        "decisions": "\n".join(_vote(vote) for vote in votes),
        wording.words_title(approval).lower(): visible(said, multiline=True),
    }
    return {title: lines for title, lines in shown.items() if lines}


def expiry(approval: ApprovalRequest, now: int) -> str:
    """When it ends by itself, in words."""
    if not approval.pending:
        return ""
    if approval.expires_at is not None:
        left = approval.expires_at - now
        when = f"in {in_words(left)}" if left > 0 else f"{in_words(-left)} ago; nothing runs"
        return f"{when} ({clock(approval.expires_at)})"
    if approval.policy.expires_after is not None:
        return f"{in_words(approval.policy.expires_after)} after it is first shown to somebody"
    return "never"


def tree(value: JsonValue) -> str:
    """A JSON value in full, as `core.display` draws arguments."""
    return pretty(value, limit_lines=_ALL, limit_chars=_ALL).text


def _status(approval: ApprovalRequest) -> str:
    if approval.pending:
        settle = "; `countersign approvals settle` answers it" if approval.kind == Kind.in_doubt else ""
        return f"pending{settle}"
    resolution = approval.resolution or {}
    outcome = str(resolution.get("outcome", "")).replace("_", " ")
    parts = [
        f"settled: {outcome}" if outcome else status_in_words(approval.status),
        f"by {approval.decided_by}" if approval.decided_by else "",
        door(str(resolution.get("via", ""))),
        clock(approval.resolved_at) if approval.resolved_at is not None else "",
    ]
    said = f"\n“{approval.feedback}”" if approval.feedback else ""
    return ", ".join(part for part in parts if part) + said


def _may_decide(approval: ApprovalRequest, votes: Sequence[Vote]) -> str:
    if not approval.pending:
        return ""
    policy = approval.policy
    eligible = ", ".join(eligible_reviewers(policy, bool(approval.widened)))
    if not eligible:
        return "no reviewers are set: only operators (this command line, API tokens that decide)"
    if policy.quorum > 1:
        given = sum(vote.verdict == "approved" for vote in votes)
        eligible += f"; {given} of {policy.quorum} approvals given"
    excluded = "" if policy.allow_self_approval else "; not who asked"
    return f"{eligible}{excluded}"


def _vote(vote: Vote) -> str:
    asserted = f" (says to be {vote.asserted_by})" if vote.asserted_by else ""
    said = f": “{vote.feedback}”" if vote.feedback else ""
    who = f"{status_in_words(vote.verdict)} by {vote.principal}{asserted} {door(vote.via)}"
    return visible(f"{who}, {clock(vote.created_at)}{said}", multiline=True)

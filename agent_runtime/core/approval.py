"""Approval requests: what they hold, and the pure decision about a decision."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from agent_runtime.core.canonical import InvalidJson, call_digest, canonical, parse_json
from agent_runtime.core.duration import rfc3339
from agent_runtime.core.policy import Policy, may_decide
from agent_runtime.core.principal import Actor, Via
from agent_runtime.errors import AlreadyResolved, ApprovalExpired, Conflict, InvalidRequest, StaleDigest


class ApprovalStatus(StrEnum):
    pending = "pending"
    approved = "approved"
    rejected = "rejected"
    request_changes = "request_changes"
    expired = "expired"
    cancelled = "cancelled"


class Kind(StrEnum):
    """What is asked: a gated tool call, a reasoner's pause, an outside agent's question, or the fate of a lost call."""

    tool = "tool"
    pause = "pause"
    external = "external"
    in_doubt = "in_doubt"


class Verdict(StrEnum):
    """What one person answers."""

    approved = "approved"
    rejected = "rejected"
    request_changes = "request_changes"


_VERDICTS = {"approve": Verdict.approved, "reject": Verdict.rejected} | {verdict.value: verdict for verdict in Verdict}


def parse_verdict(word: object) -> Verdict:
    """`approved`, `rejected` or `request_changes` (also `approve`, `reject`); anything else raises InvalidRequest."""
    if isinstance(word, str) and (verdict := _VERDICTS.get(word)) is not None:
        return verdict
    raise InvalidRequest(f"decision: {word!r} is unknown; send approved, rejected or request_changes")


class Outcome(StrEnum):
    """How an in-doubt call is settled: it happened, it did not (ask anew, then run), or the execution stops."""

    happened = "happened"
    not_happened = "not_happened"
    stop = "stop"


@dataclass(frozen=True, slots=True)
class Decision:
    """One person's answer. `edited_arguments` is a canonical JSON object as text, or None; `digest` is the card's."""

    verdict: Verdict
    feedback: str = ""
    edited_arguments: str | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Vote:
    """A recorded decision, as its row holds it."""

    principal: str
    via: str
    verdict: str
    feedback: str
    edited_arguments: str | None
    asserted_by: str
    created_at: int


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """One row of `approvals`; the field order is the column order. Times in epoch microseconds."""

    approval_request_id: str
    kind: str
    status: str
    execution_id: str | None
    position: int | None
    conversation_id: str | None
    agent: str
    agent_version: str
    tool_name: str
    tool_version: str
    arguments: str
    preview: str | None
    digest: str
    title: str
    context: str | None
    url: str
    callback_url: str
    requested_by: str
    policy: Policy
    origin: str | None
    supersedes: str | None
    created_at: int
    clock_started_at: int | None
    expires_at: int | None
    next_due_at: int | None
    rungs_done: int
    widened: int
    extensions: int
    version: int
    resolved_at: int | None
    resolution: Mapping[str, Any] | None
    valid_until: int | None
    consumed_at: int | None

    @property
    def pending(self) -> bool:
        return self.status == ApprovalStatus.pending

    @property
    def feedback(self) -> str:
        return str((self.resolution or {}).get("feedback", ""))

    @property
    def decided_by(self) -> str:
        """The principal that ended it; "" while it is pending."""
        return str((self.resolution or {}).get("by", ""))

    @property
    def run_arguments(self) -> str:
        """The canonical arguments that may run: the approver's edited ones where there are any."""
        edited = (self.resolution or {}).get("edited_arguments")
        return self.arguments if edited is None else str(edited)

    def as_json(self, votes: Sequence[Vote] = ()) -> dict[str, Any]:
        """The public shape (CONTRACT: a pending approval, in Python and in JSON); arguments unmasked."""
        return {
            "approval_request_id": self.approval_request_id,
            "execution_id": self.execution_id,
            "kind": self.kind,
            "tool_name": self.tool_name,
            "arguments": json.loads(self.arguments),
            "title": self.title,
            "status": self.status,
            "agent": self.agent,
            "risk": self.policy.risk,
            "created_at": rfc3339(self.created_at),
            "expires_at": rfc3339(self.expires_at),
            "requested_by": self.requested_by,
            "reviewers": list(self.policy.reviewers),
            "quorum": self.policy.quorum,
            "rules": list(self.policy.rules),
            "decisions": [
                {
                    "decision": vote.verdict,
                    "by": vote.principal,
                    "via": vote.via,
                    "feedback": vote.feedback,
                    "at": rfc3339(vote.created_at),
                }
                for vote in votes
            ],
            "url": self.url,
            "digest": self.digest,
            "decided_by": self.decided_by or None,
            "feedback": self.feedback,
            "resolved_at": rfc3339(self.resolved_at),
            "resolution": dict(self.resolution) if self.resolution else None,
        }


@dataclass(frozen=True, slots=True)
class Ended:
    """The approval ends with this decision."""

    status: ApprovalStatus
    resolution: Mapping[str, Any] = field(default_factory=dict)
    valid_until: int | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """The decision counts, and more are needed."""

    approvals: int
    quorum: int


@dataclass(frozen=True, slots=True)
class Repeated:
    """The same principal has said the same before; nothing changes."""


Transition = Ended | Counted | Repeated


def decide(
    approval: ApprovalRequest, votes: Sequence[Vote], decision: Decision, by: Actor, via: Via, now: int
) -> Transition:
    """What `decision` does to `approval`, given the votes recorded so far; `now` in epoch microseconds.

    Refusals, in the order 403, 422, 409: NotAuthorized, InvalidRequest, AlreadyResolved, ApprovalExpired, StaleDigest.
    An operator's decision ends the approval at once; a reviewer's approval counts towards the quorum; one rejection
    or request for changes ends it.
    """
    may_decide(approval.policy, requested_by=approval.requested_by, by=by, via=via, widened=bool(approval.widened))
    _check_decision(approval, decision)
    if any(_same(vote, decision, by) for vote in votes):
        return Repeated()
    if not approval.pending:
        raise already_resolved(approval)
    if approval.expires_at is not None and now >= approval.expires_at:
        raise ApprovalExpired(f"this approval expired at {rfc3339(approval.expires_at)}; nothing runs")
    if decision.digest is not None and decision.digest != approval.digest:
        raise StaleDigest()
    mine = next((vote for vote in votes if vote.principal == by.principal), None)
    if mine is not None:
        raise AlreadyResolved(f"you have answered already: {_WORDS[mine.verdict]}", by=by.principal)
    if decision.verdict is Verdict.approved and not by.operator:
        approvals = 1 + sum(vote.verdict == Verdict.approved for vote in votes)
        if approvals < approval.policy.quorum:
            return Counted(approvals, approval.policy.quorum)
    return Ended(
        ApprovalStatus(decision.verdict.value),
        _resolution(approval, decision, by, via),
        now + approval.policy.valid_for if decision.verdict is Verdict.approved else None,
    )


def _check_decision(approval: ApprovalRequest, decision: Decision) -> None:
    if approval.kind == Kind.in_doubt:
        raise InvalidRequest(
            "decision: an approval of kind in_doubt is settled (happened, not_happened, stop), not decided"
        )
    if decision.edited_arguments is None:
        return
    if decision.verdict is not Verdict.approved:
        raise InvalidRequest("edited_arguments: only an approval may carry edited arguments")
    if not approval.policy.allow_edits:
        raise InvalidRequest("edited_arguments: this approval does not allow edits; request changes instead")
    if approval.policy.quorum > 1:
        raise InvalidRequest(
            "edited_arguments: with a quorum everybody decides on the same arguments; request changes instead"
        )
    _edited_object(decision.edited_arguments)


def _edited_object(text: str) -> dict[str, Any]:
    try:
        edited = parse_json(text.encode())
    except InvalidJson as error:
        raise InvalidRequest(f"edited_arguments: {error.message}") from error
    if not isinstance(edited, dict) or canonical(edited) != text:
        raise InvalidRequest("edited_arguments: must be a JSON object in its canonical form (RFC 8785)")
    return edited


def _same(vote: Vote, decision: Decision, by: Actor) -> bool:
    return (vote.principal, vote.verdict, vote.feedback, vote.edited_arguments) == (
        by.principal,
        decision.verdict,
        decision.feedback,
        decision.edited_arguments,
    )


def _resolution(approval: ApprovalRequest, decision: Decision, by: Actor, via: Via) -> dict[str, Any]:
    resolution: dict[str, Any] = {"by": by.principal, "via": via.value, "feedback": decision.feedback}
    if by.asserted_by:
        resolution["asserted_by"] = by.asserted_by
    if decision.edited_arguments is not None:
        edited = _edited_object(decision.edited_arguments)
        preview = None if approval.preview is None else json.loads(approval.preview)
        resolution["edited_arguments"] = decision.edited_arguments
        resolution["edited_digest"] = call_digest(approval.tool_name, approval.tool_version, edited, preview)
    return resolution


_WORDS: Mapping[str, str] = {
    "approved": "approved",
    "rejected": "rejected",
    "request_changes": "changes requested",
    "expired": "expired",
    "cancelled": "cancelled",
}


def status_in_words(status: str) -> str:
    """A status as a sentence part: "approved", "changes requested", …"""
    return _WORDS.get(status, status)


def already_resolved(approval: ApprovalRequest) -> Conflict:
    """The refusal for an approval that has ended, naming how, who and when."""
    if approval.status == ApprovalStatus.expired:
        return ApprovalExpired(f"this approval expired at {rfc3339(approval.resolved_at)}; nothing runs")
    who = f" by {approval.decided_by}" if approval.decided_by else ""
    how = "changes were already requested" if approval.status == "request_changes" else f"already {approval.status}"
    return AlreadyResolved(
        f"{how}{who} at {rfc3339(approval.resolved_at)}",
        status=approval.status,
        by=approval.decided_by,
        at=rfc3339(approval.resolved_at),
    )

"""Approval requests: what they hold, and how their state is put into words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from agent_runtime.core.canonical import parsed
from agent_runtime.core.duration import rfc3339
from agent_runtime.core.policy import Policy
from agent_runtime.core.text import check_words
from agent_runtime.errors import AlreadyResolved, ApprovalExpired, Conflict, InvalidRequest


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

    def __post_init__(self) -> None:
        check_words(self.feedback, "feedback")


class Vote(NamedTuple):
    """A recorded decision, as its row holds it."""

    principal: str
    via: str
    verdict: str
    feedback: str
    edited_arguments: str | None
    asserted_by: str
    created_at: int


class ApprovalRequest(NamedTuple):
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
    request_digest: str | None = None
    """That of everything an outside agent asked, so that the same request can be told from another one."""

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
        return arguments_to_run(self.arguments, self.resolution)

    def as_json(self, votes: Sequence[Vote] = ()) -> dict[str, Any]:
        """The public shape, the same in Python and in JSON; arguments unmasked."""
        return {
            "approval_request_id": self.approval_request_id,
            "execution_id": self.execution_id,
            "kind": self.kind,
            "tool_name": self.tool_name,
            "arguments": parsed(self.arguments),
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


def arguments_to_run(arguments: str, resolution: Mapping[str, Any] | None) -> str:
    """What may run of an approval with these arguments, ended so: the approver's edited ones where there are any."""
    edited = (resolution or {}).get("edited_arguments")
    return arguments if edited is None else str(edited)


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

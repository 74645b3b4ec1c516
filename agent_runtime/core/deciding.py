"""The pure decision about a decision: what it does to an approval, or why it does nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent_runtime.core.approval import (
    ApprovalRequest,
    ApprovalStatus,
    Decision,
    Kind,
    Verdict,
    Vote,
    already_resolved,
    status_in_words,
)
from agent_runtime.core.canonical import InvalidJson, call_digest, canonical, parse_json
from agent_runtime.core.duration import rfc3339
from agent_runtime.core.policy import may_decide
from agent_runtime.core.principal import Actor, Via
from agent_runtime.errors import AlreadyResolved, ApprovalExpired, InvalidRequest, StaleDigest


@dataclass(frozen=True, slots=True)
class Ended:
    """The approval ends with this decision."""

    status: ApprovalStatus
    resolution: Mapping[str, Any] = field(default_factory=dict)
    valid_until: int | None = None
    approvals: int | None = None
    """Votes that approved, this one included, where somebody decided."""


@dataclass(frozen=True, slots=True)
class Counted:
    """The decision counts, and more are needed."""

    approvals: int
    quorum: int


@dataclass(frozen=True, slots=True)
class Repeated:
    """The same principal has said the same before; nothing changes."""


Transition = Ended | Counted | Repeated


Fits = Callable[[ApprovalRequest, Mapping[str, Any]], None]
"""Raises InvalidRequest where edited arguments are none that the approval's call could take."""


def decide(
    approval: ApprovalRequest,
    votes: Sequence[Vote],
    decision: Decision,
    by: Actor,
    via: Via,
    now: int,
    fits: Fits | None = None,
) -> Transition:
    """What `decision` does to `approval`, given the votes recorded so far; `now` in epoch microseconds.

    Refusals, in the order 403, 422, 409: NotAuthorized, InvalidRequest, AlreadyResolved, ApprovalExpired, StaleDigest.
    An operator's decision ends the approval at once; a reviewer's approval counts towards the quorum; one rejection
    or request for changes ends it.
    """
    may_decide(approval.policy, requested_by=approval.requested_by, by=by, via=via, widened=bool(approval.widened))
    _check_decision(approval, decision, fits)
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
        raise AlreadyResolved(f"you have answered already: {status_in_words(mine.verdict)}", by=by.principal)
    approved = decision.verdict is Verdict.approved
    approvals = approved + sum(vote.verdict == Verdict.approved for vote in votes)
    if approved and not by.operator and approvals < approval.policy.quorum:
        return Counted(approvals, approval.policy.quorum)
    return Ended(
        ApprovalStatus(decision.verdict.value),
        _resolution(approval, decision, by, via),
        now + approval.policy.valid_for if approved else None,
        approvals,
    )


def _check_decision(approval: ApprovalRequest, decision: Decision, fits: Fits | None) -> None:
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
    edited = _edited_object(decision.edited_arguments)
    if fits is not None:
        fits(approval, edited)


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

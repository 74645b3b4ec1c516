"""The only way an approval begins: an execution pauses at a call, a call is in doubt, or an outsider asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent_runtime.core import ladder
from agent_runtime.core.approval import ApprovalRequest, ApprovalStatus, Kind
from agent_runtime.core.canonical import canonical, text_digest
from agent_runtime.core.duration import rfc3339
from agent_runtime.core.execution import Execution, Step, StepStatus
from agent_runtime.core.ids import approval_request_id
from agent_runtime.core.policy import Policy
from agent_runtime.core.principal import SYSTEM, Actor, Via
from agent_runtime.core.shown import masked
from agent_runtime.errors import LostClaim
from agent_runtime.operations.announce import announce, news_of_request
from agent_runtime.store.approvals import INSERT_APPROVAL, TOUCH_APPROVAL
from agent_runtime.store.events import record
from agent_runtime.store.executions import GET_EXECUTION
from agent_runtime.store.outbox import APPROVAL_CARD, EXECUTION_PROGRESS, enqueue
from agent_runtime.store.rows import binds_of
from agent_runtime.store.steps import HOLD_STEP
from agent_runtime.store.tx import Tx

RECORDED = 16_384
"""Characters of arguments that an event holds at most."""


@dataclass(frozen=True, slots=True)
class Question:
    """What people are asked. `arguments` is canonical JSON text; `context` is what the agent itself says about it."""

    kind: Kind
    policy: Policy
    tool_name: str
    arguments: str
    tool_version: str = "1"
    title: str = ""
    context: Mapping[str, Any] | None = None
    position: int | None = None
    supersedes: str | None = None
    url: str = ""
    approval_request_id: str | None = None
    """The caller's own id, checked by the caller; minted where None."""
    preview: Mapping[str, Any] | None = None
    callback_url: str = ""
    request_digest: str | None = None


@dataclass(frozen=True, slots=True)
class Asker:
    """On whose behalf people are asked: an execution, or an outsider (no `execution_id`) through the door `via`."""

    requested_by: str
    by: Actor = SYSTEM
    via: Via | str = ""
    execution_id: str | None = None
    conversation_id: str | None = None
    agent: str = ""
    agent_version: str = ""
    origin: str | None = None


def request(tx: Tx, execution: Execution, question: Question, *, arguments: Mapping[str, Any]) -> ApprovalRequest:
    """Asks for a decision on behalf of `execution`, whose row the caller holds and whose open approvals it counts.

    `arguments` are `question.arguments` parsed. The expiry clock starts now where nobody is notified, else at the first
    delivery.
    """
    asker = Asker(
        requested_by=execution.requested_by,
        execution_id=execution.execution_id,
        conversation_id=execution.conversation_id,
        agent=execution.agent,
        agent_version=execution.agent_version,
        origin=_origin(tx, execution),
    )
    return begin(tx, asker, question, arguments=arguments)


def begin(tx: Tx, asker: Asker, question: Question, *, arguments: Mapping[str, Any]) -> ApprovalRequest:
    """Writes the approval with its event and what is to be shown; for `request` and the asking of outsiders."""
    policy, terms = question.policy, question.policy.as_json()
    preview = None if question.preview is None else canonical(dict(question.preview))
    clock_started_at, expires_at = (None, None) if policy.notified else ladder.started(policy, tx.now, tx.now)
    due = ladder.next_due(policy, tx.now, clock_started_at, expires_at, 0)
    approval = ApprovalRequest(
        approval_request_id=question.approval_request_id or approval_request_id(tx.now),
        kind=question.kind.value,
        status=ApprovalStatus.pending.value,
        execution_id=asker.execution_id,
        position=question.position,
        conversation_id=asker.conversation_id,
        agent=asker.agent,
        agent_version=asker.agent_version,
        tool_name=question.tool_name,
        tool_version=question.tool_version,
        arguments=question.arguments,
        preview=preview,
        digest=text_digest(question.tool_name, question.tool_version, question.arguments, preview),
        title=question.title or f"Approval needed: {question.tool_name}",
        context=canonical(dict(question.context)) if question.context else None,
        url=question.url,
        callback_url=question.callback_url,
        requested_by=asker.requested_by,
        policy=policy,
        origin=asker.origin,
        supersedes=question.supersedes,
        created_at=tx.now,
        clock_started_at=clock_started_at,
        expires_at=expires_at,
        next_due_at=due.at if due else None,
        rungs_done=0,
        widened=0,
        extensions=0,
        version=1,
        resolved_at=None,
        resolution=None,
        valid_until=None,
        consumed_at=None,
        request_digest=question.request_digest,
    )
    tx.run(INSERT_APPROVAL, **{**binds_of(approval), "policy": canonical(terms), "resolution": None})
    record(
        tx,
        "approval.requested",
        execution_id=asker.execution_id,
        approval_request_id=approval.approval_request_id,
        by=asker.by,
        via=asker.via,
        data={
            "kind": approval.kind,
            "tool_name": approval.tool_name,
            "tool_version": approval.tool_version,
            "digest": approval.digest,
            "requested_by": approval.requested_by,
            "agent": approval.agent,
            "agent_version": approval.agent_version,
            "position": approval.position,
            "expires_at": rfc3339(approval.expires_at),
            "policy": terms,
            **_arguments(approval, arguments),
            **({"supersedes": question.supersedes} if question.supersedes else {}),
            **({"asserted_by": asker.by.asserted_by} if asker.by.asserted_by else {}),
        },
    )
    if policy.notified:
        enqueue(tx, APPROVAL_CARD, approval.approval_request_id)
    if question.supersedes is not None:
        _show_superseded(tx, question.supersedes)
    announce(tx, approval, news_of_request(approval))
    tx.wake("approvals")
    return approval


def _show_superseded(tx: Tx, approval_request_id: str) -> None:
    """The card of the question before says that a newer one stands for the call."""
    before = tx.run(TOUCH_APPROVAL, b_id=approval_request_id)
    if before is not None and before.policy.notified:
        enqueue(tx, APPROVAL_CARD, approval_request_id)


def _arguments(approval: ApprovalRequest, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as the audit trail holds them: masked, and none that are too long; the digest covers them all."""
    if len(approval.arguments) > RECORDED:
        return {"arguments_omitted": len(approval.arguments)}
    return {"arguments": masked(dict(arguments), approval.policy.redact)}


def _origin(tx: Tx, execution: Execution) -> str | None:
    """Where it was asked for; one that another execution called was asked for where that was."""
    while execution.origin is None and execution.parent_execution_id is not None:
        parent = tx.one(GET_EXECUTION, b_id=execution.parent_execution_id)
        if parent is None:
            break
        execution = parent
    return execution.origin


def hold(tx: Tx, execution: Execution, position: int, status: StepStatus, approval: ApprovalRequest) -> Step:
    """The step at `position` waits for `approval`, whose arguments, version and digest are now its own.

    Raises LostClaim where the step has ended.
    """
    held = tx.run(
        HOLD_STEP,
        b_id=execution.execution_id,
        b_position=position,
        b_status=status.value,
        b_approval=approval.approval_request_id,
        b_arguments=approval.arguments,
        b_digest=approval.digest,
        b_tool_version=approval.tool_version,
    )
    if held is None:
        raise LostClaim(f"{execution.execution_id}: step {position} has ended")
    if execution.origin:
        enqueue(tx, EXECUTION_PROGRESS, execution.execution_id)
    return held

"""An outside agent uses its approval, once: it claims a permit, runs the call itself, and says what became of it."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any

from agent_runtime.core.approval import ApprovalRequest, ApprovalStatus, Kind, status_in_words
from agent_runtime.core.canonical import canonical
from agent_runtime.core.duration import rfc3339
from agent_runtime.core.permit import (
    DEFAULT_LIFE,
    Permit,
    PermitStatus,
    digest_to_run,
    hash_of,
    permit_of,
)
from agent_runtime.core.policy import never_ending
from agent_runtime.core.principal import SYSTEM, Actor, Via
from agent_runtime.errors import Conflict, InvalidRequest, NotAuthorized, StaleDigest
from agent_runtime.operations.request import Asker, Question, begin
from agent_runtime.operations.resolve import load
from agent_runtime.operations.stop import require_running
from agent_runtime.store.approvals import CONSUME_APPROVAL, GET_APPROVAL_FOR_UPDATE, TOUCH_APPROVAL
from agent_runtime.store.events import record
from agent_runtime.store.outbox import APPROVAL_CARD, enqueue
from agent_runtime.store.permits import END_PERMIT, GET_PERMIT, INSERT_PERMIT, LAPSED_PERMITS
from agent_runtime.store.rows import binds_of
from agent_runtime.store.tx import Tx, own_rows


@dataclass(frozen=True, slots=True)
class Claimed:
    """The permit itself, its row, and what may run with it: the true arguments, edits applied."""

    secret: str
    permit: Permit
    arguments: dict[str, Any]


@own_rows
def claim_approval(
    tx: Tx,
    approval_request_id: str,
    *,
    digest: str,
    attempt_key: str,
    life: int = DEFAULT_LIFE,
    by: Actor,
    via: Via,
) -> Claimed:
    """Gives the one permit of an approved request of kind external; the same key gets the same permit again.

    `digest` is that of what the agent is about to run, `life` the permit's, in microseconds. Raises NotFound,
    NotAuthorized, InvalidRequest, Stopped where the stop switch covers the tool, and Conflict: not approved, another
    digest, claimed with another key, approved for too long, or the permit has ended (it ran, or is in doubt).
    """
    approval = load(tx, approval_request_id)
    check_consumer(approval, by)
    if approval.status != ApprovalStatus.approved:
        raise Conflict(
            f"this approval is {status_in_words(approval.status)}; only one that is approved can be claimed",
            status=approval.status,
        )
    if digest != digest_to_run(approval):
        raise StaleDigest("digest: what you are about to run is not what was approved; ask afresh for that")
    permit = tx.one(GET_PERMIT, b_id=approval_request_id)
    if permit is None:
        return _grant(tx, approval, attempt_key, life, by=by, via=via)
    secret = permit.secret(attempt_key)
    if secret is None:
        raise Conflict(
            f"attempt_key: another one claimed this approval at {rfc3339(permit.claimed_at)}; it is used once, so ask "
            "afresh to run it again",
            at=rfc3339(permit.claimed_at),
        )
    _require_held(tx, permit)
    return Claimed(secret, permit, json.loads(approval.run_arguments))


def _grant(tx: Tx, approval: ApprovalRequest, attempt_key: str, life: int, *, by: Actor, via: Via) -> Claimed:
    if approval.valid_until is not None and tx.now >= approval.valid_until:
        raise Conflict(f"this approval could be used until {rfc3339(approval.valid_until)}; ask afresh")
    require_running(tx, agent=approval.agent, tool=approval.tool_name)
    if tx.run(CONSUME_APPROVAL, b_id=approval.approval_request_id, b_now=tx.now) is None:
        raise Conflict("this approval was used before; ask afresh")
    salt = secrets.token_hex(16)
    secret = permit_of(approval.approval_request_id, attempt_key, salt)
    permit = Permit(
        approval_request_id=approval.approval_request_id,
        permit_hash=hash_of(secret),
        salt=salt,
        principal=by.principal,
        digest=digest_to_run(approval),
        status=PermitStatus.claimed.value,
        claimed_at=tx.now,
        expires_at=tx.now + life,
    )
    tx.run(INSERT_PERMIT, **binds_of(permit))
    said = {"digest": permit.digest, "expires_at": rfc3339(permit.expires_at)}
    _announce(tx, approval, "approval.claimed", said, by=by, via=via)
    return Claimed(secret, permit, json.loads(approval.run_arguments))


@own_rows
def report_result(
    tx: Tx,
    approval_request_id: str,
    *,
    permit: str,
    status: PermitStatus,
    result: Any = None,
    by: Actor,
    via: Via,
) -> Permit:
    """Records what became of a claimed call: `succeeded` or `failed` with its result, or `in_doubt`.

    The same report again changes nothing. Raises NotFound, NotAuthorized (also for a permit that is not this one's),
    InvalidRequest, and Conflict where another report, the permit's end or a person was first.
    """
    approval = load(tx, approval_request_id)
    check_consumer(approval, by)
    held = tx.one(GET_PERMIT, b_id=approval_request_id)
    if held is None:
        raise Conflict("this approval was not claimed; claim it before you run the call")
    if not held.is_for(permit):
        raise NotAuthorized("permit: is not the one that was given for this approval")
    kept = canonical(result, name="result") if result is not None else None
    if (held.status, held.result) == (status, kept) and held.fresh_id is None:
        return held
    _require_held(tx, held)
    if status is PermitStatus.in_doubt:
        return _put_in_doubt(tx, approval, "whoever ran it says that the outcome is unknown", kept, by=by, via=via)
    ended = tx.run(
        END_PERMIT, b_id=approval_request_id, b_status=status.value, b_now=tx.now, b_result=kept, b_in_doubt=None
    )
    assert ended is not None
    _announce(tx, approval, f"approval.{'ran' if status is PermitStatus.succeeded else 'failed'}", {}, by=by, via=via)
    return ended


def lapse_permits(tx: Tx, limit: int) -> int:
    """Puts in doubt what was claimed and never reported, its permit having ended; how many that were, at most."""
    lapsed = tx.all(LAPSED_PERMITS, b_now=tx.now, b_limit=limit)
    for row in lapsed:
        approval = tx.one(GET_APPROVAL_FOR_UPDATE, b_id=row.approval_request_id)
        held = tx.one(GET_PERMIT, b_id=row.approval_request_id)
        if approval is not None and held is not None and held.status == PermitStatus.claimed:
            why = f"whoever claimed it reported nothing until its permit ended at {rfc3339(held.expires_at)}"
            _put_in_doubt(tx, approval, why, None, by=SYSTEM, via=Via.expiry)
    return len(lapsed)


def _put_in_doubt(tx: Tx, approval: ApprovalRequest, why: str, result: str | None, *, by: Actor, via: Via) -> Permit:
    """People are asked what became of the call; the caller holds the approval's row."""
    subject = approval.tool_name or approval.title
    question = Question(
        kind=Kind.in_doubt,
        policy=never_ending(approval.policy),
        tool_name=approval.tool_name,
        tool_version=approval.tool_version,
        arguments=approval.run_arguments,
        title=f"In doubt: did {subject} happen?",
        context={"why": why},
        supersedes=approval.approval_request_id,
        url=approval.url,
        callback_url=approval.callback_url,
    )
    doubt = begin(tx, Asker(approval.requested_by), question, arguments=json.loads(approval.run_arguments))
    ended = tx.run(
        END_PERMIT,
        b_id=approval.approval_request_id,
        b_status=PermitStatus.in_doubt.value,
        b_now=tx.now,
        b_result=result,
        b_in_doubt=doubt.approval_request_id,
    )
    assert ended is not None
    said = {"reason": why, "in_doubt": doubt.approval_request_id}
    _announce(tx, approval, "approval.in_doubt", said, by=by, via=via)
    return ended


def check_consumer(approval: ApprovalRequest, by: Actor) -> None:
    """Passes where `by` may use this approval. Raises NotAuthorized, InvalidRequest for one that no outsider asked."""
    if by.principal != approval.requested_by and not by.operator:
        raise NotAuthorized("only who asked for this approval may use it")
    if approval.kind != Kind.external:
        raise InvalidRequest(f"an approval of kind {approval.kind} is used by the runtime itself; none can claim it")


def _announce(tx: Tx, approval: ApprovalRequest, type: str, data: dict[str, Any], *, by: Actor, via: Via) -> None:
    record(tx, type, approval_request_id=approval.approval_request_id, by=by, via=via, data=data)
    tx.run(TOUCH_APPROVAL, b_id=approval.approval_request_id)
    if approval.policy.notified:
        enqueue(tx, APPROVAL_CARD, approval.approval_request_id)
    tx.wake(f"approval:{approval.approval_request_id}")


def _require_held(tx: Tx, held: Permit) -> None:
    """Raises Conflict where the permit has ended: what it was for is over, or in doubt."""
    if held.status != PermitStatus.claimed:
        raise Conflict(_ended(held), status=held.status, in_doubt=held.in_doubt_id, fresh=held.fresh_id)
    if tx.now >= held.expires_at:
        raise Conflict(
            f"the permit ended at {rfc3339(held.expires_at)} and the call is in doubt; a person settles what became "
            "of it",
            status=PermitStatus.in_doubt.value,
        )


def _ended(held: Permit) -> str:
    if held.status == PermitStatus.in_doubt:
        return f"the call is in doubt ({held.in_doubt_id}); a person settles what became of it"
    return f"it was reported as {held.status.replace('_', ' ')} at {rfc3339(held.ended_at)}"

"""Who runs an execution: claims with a lease and a fence, given back, taken over, or parked when they lead nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agent_runtime.core.approval import Kind
from agent_runtime.core.execution import LEASE, LEASE_FRESH, MAX_ATTEMPTS, Execution, ExecutionStatus, Step
from agent_runtime.core.policy import Defaults, merge, never_ending
from agent_runtime.errors import LostClaim
from agent_runtime.operations.request import Question, request
from agent_runtime.store.agents import FORGET_WORKER, GONE_WORKERS
from agent_runtime.store.approvals import OF_EXECUTION, TOUCH_APPROVAL
from agent_runtime.store.events import code_version, record
from agent_runtime.store.executions import (
    EXTEND_LEASES,
    HAND_OVER,
    HELD,
    HOLD_BACK,
    KEEP_WORKER,
    LAPSED,
    LOCK_EXECUTION,
    OF_WORKER,
    PARK,
    PROGRESS,
    PROGRESS_LEASED,
    RELEASE_ONE,
    RELEASE_PARKED,
    RELEASE_UNLOCKED,
    REQUEUE,
)
from agent_runtime.store.outbox import APPROVAL_CARD, EXECUTION_PROGRESS, enqueue
from agent_runtime.store.statement import Q
from agent_runtime.store.steps import JOURNAL
from agent_runtime.store.tx import Tx, Write, own_rows

GONE = 4 * LEASE
"""Silence after which a worker counts as gone: it outlives an outage of the database that is shorter than that."""

SWEPT = 100
"""Rows that one sweep takes at most; the next one takes the rest."""


@dataclass(frozen=True, slots=True)
class Claim:
    """An execution that this worker runs; `execution.fence` guards every write.

    With its journal, unless it is a reasoner's: that may be long, and is read where no coroutine is parked here.
    """

    execution: Execution
    journal: Sequence[Step]


def claim(tx: Tx, claimable: Q[Execution], worker_id: str, limit: int, defaults: Defaults) -> list[Claim]:
    """Claims up to `limit` queued executions (`claimable` from store.executions.claim_queued), oldest first.

    One that was claimed MAX_ATTEMPTS times without progress is not run again: people are asked about it. Where there
    may be more, that is announced.
    """
    claims: list[Execution] = []
    claimed = tx.run_all(claimable, b_worker=worker_id, b_limit=limit, b_now=tx.now, b_lease=tx.now + LEASE)
    if len(claimed) == limit:
        tx.wake("queued")
    for execution in sorted(claimed, key=lambda one: (one.run_after, one.execution_id)):  # RETURNING has no order
        if execution.attempts > MAX_ATTEMPTS:
            _park_in_doubt(tx, execution, defaults)
            continue
        record(
            tx,
            "execution.claimed",
            execution_id=execution.execution_id,
            data={
                "worker_id": worker_id,
                "fence": execution.fence,
                "attempt": execution.attempts,
                "code_version": code_version(),
            },
        )
        if execution.origin and execution.fence == 1:  # it waits for a worker no more
            enqueue(tx, EXECUTION_PROGRESS, execution.execution_id)
        claims.append(execution)
    resumed = [one.execution_id for one in claims if one.fence > 1 and one.reasoner is None]
    journals = dict(zip(resumed, tx.each(JOURNAL, [{"b_id": one} for one in resumed]), strict=True))
    return [Claim(execution, journals.get(execution.execution_id, ())) for execution in claims]


def heartbeat(tx: Tx, worker_id: str) -> dict[str, tuple[int, int]]:
    """Extends this worker's leases; returns {execution_id: (fence, signals)} of what it still holds."""
    tx.run_all(EXTEND_LEASES, b_worker=worker_id, b_lease=tx.now + LEASE)
    return {row.execution_id: (row.fence, row.signals) for row in tx.all(HELD, b_worker=worker_id)}


def progress(tx: Tx, execution: Execution, *, opened: int = 0) -> int:
    """Guards a write under this claim and counts `opened` new approvals; returns the signals seen so far.

    Raises LostClaim where another worker holds the execution, or it has ended.
    """
    row = tx.run(PROGRESS, b_id=execution.execution_id, b_fence=execution.fence, b_opened=opened)
    signals: int = held(execution, row).signals
    return signals


def guard(execution: Execution) -> Write:
    """The same to be sent together with what it guards; its row goes to `held`."""
    return PROGRESS, {"b_id": execution.execution_id, "b_fence": execution.fence, "b_opened": 0}


def guard_leased(tx: Tx, execution: Execution) -> Write:
    """That of a call's start, which has the whole lease to begin its effect in, or all but LEASE_FRESH of it."""
    lease = tx.now + LEASE
    if execution.lease_until is not None and execution.lease_until >= lease - LEASE_FRESH:
        return guard(execution)
    return PROGRESS_LEASED, {"b_id": execution.execution_id, "b_fence": execution.fence, "b_lease": lease}


def held(execution: Execution, row: Any) -> Any:
    """The row of a guard. Raises LostClaim where it did not land."""
    if row is None:
        raise LostClaim(f"{execution.execution_id}: another worker holds it, or it has ended")
    return row


def hold_claim(tx: Tx, execution: Execution) -> Execution:
    """Guards a write under this claim that is no progress, such as another attempt at a call; returns the row as it is.

    Raises LostClaim.
    """
    row = tx.one(LOCK_EXECUTION, b_id=execution.execution_id)
    mine = row is not None and (row.status, row.fence) == (ExecutionStatus.running, execution.fence)
    locked: Execution = held(execution, row if mine else None)
    return locked


def hold_leased(tx: Tx, execution: Execution) -> None:
    """The same where an effect follows, for which the whole lease is needed. Raises LostClaim."""
    hold_claim(tx, execution)
    tx.run(KEEP_WORKER, b_id=execution.execution_id, b_lease=tx.now + LEASE)


@own_rows
def park(tx: Tx, execution: Execution, seen_signals: int, *, keep: str | None = None) -> str:
    """Gives up the claim to wait for people; "queued" where a resolution came that the worker had not seen.

    `keep` names the worker that holds a coroutine of it in memory and so may claim it first. Raises LostClaim.
    """
    status = rest(tx, execution, seen_signals, keep=keep)
    tell_rest(tx, execution, status)
    return status


def rest(tx: Tx, execution: Execution, seen_signals: int, *, keep: str | None = None, opened: int = 0) -> str:
    """What `park` does to the execution: the guard of whatever is written beside it, and so the first that is written.

    `opened` counts new approvals that the same transaction asks for. Raises LostClaim.
    """
    row = tx.run(
        PARK,
        b_id=execution.execution_id,
        b_fence=execution.fence,
        b_seen=seen_signals,
        b_opened=opened,
        b_keep=keep,
        b_lease=tx.now + LEASE,
    )
    return str(held(execution, row).status)


def tell_rest(tx: Tx, execution: Execution, status: str) -> None:
    """What `park` says of it: the event, and the wake-ups."""
    record(tx, f"execution.{status}", execution_id=execution.execution_id)
    if status == ExecutionStatus.queued:
        tx.wake("queued")
    else:
        tx.wake(f"execution:{execution.execution_id}")
        tx.wake(f"rest:{execution.execution_id}")


@own_rows
def retry_later(tx: Tx, execution: Execution, *, delay: int, reason: str) -> None:
    """Gives up the claim after a passing fault; the execution is claimed again in `delay` microseconds."""
    if tx.run(REQUEUE, b_id=execution.execution_id, b_fence=execution.fence, b_run_after=tx.now + delay):
        record(tx, "execution.postponed", execution_id=execution.execution_id, data={"reason": reason})


@own_rows
def hand_over(tx: Tx, execution: Execution) -> None:
    """Gives up the claim at a graceful shutdown; whoever comes next goes on."""
    if tx.run(HAND_OVER, b_id=execution.execution_id, b_fence=execution.fence):
        record(tx, "execution.queued", execution_id=execution.execution_id, data={"reason": "shutdown"})
        tx.wake("queued")


@own_rows
def hold_back(tx: Tx, execution: Execution, *, scope: str) -> None:
    """Gives up the claim as `scope` is stopped; it goes on when that is resumed."""
    held_for = scope if scope.startswith("tool:") else None
    if not tx.run(HOLD_BACK, b_id=execution.execution_id, b_fence=execution.fence, b_held=held_for):
        return
    record(tx, "execution.held", execution_id=execution.execution_id, data={"scope": scope})
    for approval in tx.all(OF_EXECUTION, b_execution=execution.execution_id):
        if approval.status == "approved" and approval.consumed_at is None and approval.policy.notified:
            tx.run(TOUCH_APPROVAL, b_id=approval.approval_request_id)
            enqueue(tx, APPROVAL_CARD, approval.approval_request_id)
    if execution.origin:
        enqueue(tx, EXECUTION_PROGRESS, execution.execution_id)
    tx.wake("queued")


def take_over_lapsed(tx: Tx) -> int:
    """Queues executions whose lease ran out; returns how many."""
    return sum(_take_over(tx, execution) for execution in tx.all(LAPSED, b_now=tx.now, b_limit=SWEPT))


def take_over_from(tx: Tx, worker_id: str) -> int:
    """Queues the executions of a worker that is known to be dead, before their leases run out; returns how many.

    Its parked coroutines died with it: any worker may replay them.
    """
    release_parked(tx, worker_id)
    return sum(_take_over(tx, execution) for execution in tx.all(OF_WORKER, b_worker=worker_id))


def release_parked(tx: Tx, worker_id: str) -> int:
    """Lets any worker claim what this one had parked; returns how many."""
    released = len(tx.run_all(RELEASE_PARKED, b_worker=worker_id))
    if released:
        tx.wake("queued")
    return released


def release_from_the_gone(tx: Tx) -> int:
    """Lets any worker claim what those had parked that are GONE, and forgets them.

    Returns how many there were. One that comes back says so with its next heartbeat.
    """
    gone = tx.all(GONE_WORKERS, b_since=tx.now - GONE, b_limit=SWEPT)
    for worker in gone:
        if tx.run_all(RELEASE_UNLOCKED, b_worker=worker.worker_id):
            tx.wake("queued")
        tx.run(FORGET_WORKER, b_worker=worker.worker_id)
    return len(gone)


def release_one(tx: Tx, execution: Execution, worker_id: str) -> None:
    """Lets any worker claim one parked execution, whose coroutine this one has dropped."""
    if tx.run(RELEASE_ONE, b_id=execution.execution_id, b_fence=execution.fence, b_worker=worker_id):
        tx.wake("queued")


def _take_over(tx: Tx, execution: Execution) -> bool:
    if not tx.run(REQUEUE, b_id=execution.execution_id, b_fence=execution.fence, b_run_after=tx.now):
        return False
    record(
        tx,
        "execution.taken_over",
        execution_id=execution.execution_id,
        data={"worker_id": execution.worker_id or "", "fence": execution.fence},
    )
    tx.wake("queued")
    return True


def _park_in_doubt(tx: Tx, execution: Execution, defaults: Defaults) -> None:
    """A poison execution: people decide whether it is tried again or stopped."""
    signals = progress(tx, execution, opened=1)
    question = Question(
        kind=Kind.in_doubt,
        policy=never_ending(merge([], defaults, rules=("attempts",))),
        tool_name=execution.agent,
        arguments="{}",
        title=f"{execution.agent} failed {MAX_ATTEMPTS} times without progress",
        context={"why": f"claimed {MAX_ATTEMPTS} times; each time its process died or its services failed"},
    )
    request(tx, execution, question, arguments={})
    park(tx, execution, signals)

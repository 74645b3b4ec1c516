"""Executions and the steps of their journal, as their rows hold them: tuples, as dozens are read for each decision."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from agent_runtime.core.duration import SECOND

LEASE = 15 * SECOND
"""How long a claim lives without a heartbeat."""

LEASE_FRESH = SECOND
"""A claim that is no older than this counts as whole: its lease is not made longer for an effect that begins now."""

MAX_ATTEMPTS = 10
"""Claims without progress after which an execution is parked and asked about."""


class ExecutionStatus(StrEnum):
    queued = "queued"
    running = "running"
    waiting = "waiting"
    succeeded = "succeeded"
    failed = "failed"
    cancelled = "cancelled"


TERMINAL = frozenset({ExecutionStatus.succeeded, ExecutionStatus.failed, ExecutionStatus.cancelled})


class StepKind(StrEnum):
    model = "model"
    tool = "tool"
    pause = "pause"
    note = "note"
    call = "call"


class StepStatus(StrEnum):
    """`proposed` (may run), `gated` (waits for its approval), `approved`, `started`, `in_doubt`, and how it ended."""

    proposed = "proposed"
    gated = "gated"
    approved = "approved"
    started = "started"
    in_doubt = "in_doubt"
    succeeded = "succeeded"
    failed = "failed"
    refused = "refused"


OPEN_STEPS = frozenset(
    {StepStatus.proposed, StepStatus.gated, StepStatus.approved, StepStatus.started, StepStatus.in_doubt}
)


class Execution(NamedTuple):
    """One row of `executions`; the field order is the column order. Times in epoch microseconds."""

    execution_id: str
    agent: str
    agent_version: str
    reasoner: str | None
    status: str
    input: str
    requested_by: str
    via: str
    idempotency_key: str | None
    input_digest: str
    conversation_id: str | None
    parent_execution_id: str | None
    parent_position: int | None
    origin: str | None
    open_approvals: int
    signals: int
    fence: int
    worker_id: str | None
    lease_until: int | None
    attempts: int
    run_after: int
    result: str | None
    error: str | None
    finish_reason: str | None
    version: int
    created_at: int
    started_at: int | None
    ended_at: int | None
    held_for: str | None = None
    """Why nobody may claim it: the stop switch of a tool (`tool:NAME`), or a restore."""

    @property
    def terminal(self) -> bool:
        return self.status in TERMINAL


class Step(NamedTuple):
    """One row of `steps`. `arguments` and `result` are canonical JSON text; `turn` counts model replies from 0."""

    execution_id: str
    position: int
    turn: int
    kind: str
    name: str
    call_id: str
    status: str
    effect: str
    arguments: str
    digest: str
    tool_version: str
    idempotency_key: str
    approval_request_id: str | None
    result: str | None
    attempt: int
    fence: int
    created_at: int
    started_at: int | None
    ended_at: int | None

    @property
    def open(self) -> bool:
        return self.status in OPEN_STEPS

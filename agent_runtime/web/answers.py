"""What clients get: the shapes of CONTRACT's JSON, also the source of the OpenAPI document."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """A closed JSON object: a field that is not declared here is a bug, not an extension."""

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="strings")


class DecisionAnswer(Answer):
    """One person's recorded decision."""

    decision: str
    by: str
    via: str
    feedback: str
    at: str


class PermitAnswer(Answer):
    """How an outside agent uses its approval; never the permit itself."""

    status: str = Field(description="claimed, succeeded, failed, in_doubt, not_happened or stopped")
    claimed_at: str
    expires_at: str
    ended_at: str | None
    result: Any = Field(description="what it reported; secrets masked")
    in_doubt: str | None = Field(description="the approval in which people are asked what became of it")
    fresh: str | None = Field(description="the approval that was asked for anew, as it did not happen")


class ClaimAnswer(Answer):
    """The right to run what was approved, once."""

    permit: str = Field(description="send it with the result; it is shown to who knows the attempt key alone")
    expires_at: str = Field(description="by then the result is due; after it the call is in doubt")
    arguments: dict[str, Any] = Field(description="what may run: the true arguments, the approver's edits applied")


class ApprovalAnswer(Answer):
    """An approval request. Secrets in its arguments are masked; `digest` is that of the true ones."""

    approval_request_id: str
    execution_id: str | None
    kind: str
    status: str
    title: str
    agent: str
    tool_name: str
    arguments: Any
    preview: Any = Field(description="what the call would do, as it was when people were asked")
    context: Any = Field(description="what the agent or the runtime says about it")
    asserted: dict[str, Any] | None = Field(
        description="what an outside agent says of its request (requested_by, title); recorded, and checked by nobody"
    )
    risk: str
    requested_by: str
    reviewers: list[str]
    quorum: int
    rules: list[str] = Field(description="the gates that asked for it")
    decisions: list[DecisionAnswer]
    url: str
    digest: str
    created_at: str
    expires_at: str | None
    resolved_at: str | None
    valid_until: str | None = Field(description="until when what was approved may begin")
    decided_by: str | None
    feedback: str
    resolution: dict[str, Any] | None
    permit: PermitAnswer | None = Field(None, description="how an outside agent uses it; null until it is claimed")


class DecidedAnswer(ApprovalAnswer):
    """The approval after a decision; `already_processed` where the same decision was made before."""

    already_processed: bool


class StepAnswer(Answer):
    """One durable thing that an execution did. Secrets in its arguments and result are masked."""

    position: int
    turn: int
    kind: str
    name: str
    call_id: str
    status: str
    arguments: Any
    result: Any = Field(description="what was recorded: a model's message, a call's value or error, …")
    approval_request_id: str | None
    attempt: int
    created_at: str
    started_at: str | None
    ended_at: str | None


class ExecutionAnswer(Answer):
    """An execution as lists show it."""

    execution_id: str
    agent: str
    agent_version: str
    reasoner: str | None
    status: str
    is_running: bool
    is_waiting: bool
    is_complete: bool
    result: Any = Field(description="what it returned; null until it has succeeded")
    error: dict[str, Any] | None
    finish_reason: str | None
    held_for: str | None = Field(
        None, description="why nobody moves it: all, agent:NAME or tool:NAME (the stop switch), or restore"
    )
    pending_approvals: list[ApprovalAnswer] = Field(
        description="what it waits for, in the order of the calls; those of executions it called behind them"
    )
    requested_by: str
    via: str
    conversation_id: str | None
    parent_execution_id: str | None
    created_at: str
    started_at: str | None
    ended_at: str | None


class ExecutionWithSteps(ExecutionAnswer):
    """An execution with what it was given and has done. Secrets in them are masked."""

    input: dict[str, Any] = Field(description="the prompt or input that it began with")
    approvals: list[ApprovalAnswer] = Field(description="all that it asked, those of executions it called included")
    steps: list[StepAnswer]


class StartedAnswer(ExecutionWithSteps):
    """An execution that was started; `no_worker` while no live worker serves its agent."""

    no_worker: bool


class EventAnswer(Answer):
    """One event of the audit trail: what happened, when, who did it, through which door, and why."""

    event_id: int
    seq: int
    type: str
    at: str
    by: str
    via: str
    why: str
    execution_id: str | None
    approval_request_id: str | None
    data: dict[str, Any]


class ExecutionPage(Answer):
    """A page of executions."""

    items: list[ExecutionAnswer]
    next_cursor: str | None


class ApprovalPage(Answer):
    """A page of approvals."""

    items: list[ApprovalAnswer]
    next_cursor: str | None


class EventPage(Answer):
    """A page of events, oldest first."""

    items: list[EventAnswer]
    next_cursor: str | None


class SwitchAnswer(Answer):
    """One stop switch: `all`, `agent:NAME` or `tool:NAME`."""

    scope: str
    stopped: bool
    by: str
    via: str
    reason: str
    stopped_at: str


class SwitchList(Answer):
    """Everything that is stopped."""

    items: list[SwitchAnswer]


class HealthAnswer(Answer):
    """The process serves requests."""

    status: str


class ReadyAnswer(Answer):
    """Whether work gets done here, and what was looked at."""

    ready: bool
    checks: dict[str, Any]


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="urn:countersign:problem: and what it is")
    title: str
    status: int
    detail: str = Field(description="what is wrong here, and the remedy")
    instance: str
    errors: list[dict[str, str]] = Field([], description="for each field that cannot be used: field and message")

"""Rows as the store would hold them, for tests that need no store; name the fields that matter."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from agent_runtime.core.approval import ApprovalRequest, Vote
from agent_runtime.core.canonical import call_digest, canonical
from agent_runtime.core.duration import HOUR
from agent_runtime.core.execution import Execution, Step
from agent_runtime.core.policy import Policy
from agent_runtime.core.principal import Actor

NOW = 1_790_000_000_000_000
"""A moment in epoch microseconds."""

REVIEWERS = ("U1", "U2", "U3")
REQUESTER = "slack:T1:U9"


def reviewer(user: str, **fields: Any) -> Actor:
    """The Slack user `user` of workspace T1."""
    return replace(Actor(f"slack:T1:{user}", frozenset({user})), **fields)


def an_approval(**fields: Any) -> ApprovalRequest:
    """A pending approval of refund(order="ORD-8821") for the reviewers U1, U2, U3, an hour before it expires."""
    arguments = fields.pop("arguments", '{"order":"ORD-8821"}')
    policy = fields.pop("policy", Policy(reviewers=REVIEWERS))
    values: dict[str, Any] = {
        "approval_request_id": "apr_1",
        "kind": "tool",
        "status": "pending",
        "execution_id": "exe_1",
        "position": 1,
        "conversation_id": None,
        "agent": "refund_agent",
        "agent_version": "v1",
        "tool_name": "refund",
        "tool_version": "1",
        "arguments": arguments,
        "preview": None,
        "digest": call_digest("refund", "1", json.loads(arguments), None),
        "title": "Approval needed: refund",
        "context": None,
        "url": "",
        "callback_url": "",
        "requested_by": REQUESTER,
        "policy": policy,
        "origin": None,
        "supersedes": None,
        "created_at": NOW,
        "clock_started_at": NOW,
        "expires_at": NOW + HOUR,
        "next_due_at": NOW + HOUR,
        "rungs_done": 0,
        "widened": 0,
        "extensions": 0,
        "version": 1,
        "resolved_at": None,
        "resolution": None,
        "valid_until": None,
        "consumed_at": None,
    }
    return ApprovalRequest(**{**values, **fields})


def a_vote(user: str, verdict: str = "approved", **fields: Any) -> Vote:
    """What Slack user `user` answered."""
    values = {
        "principal": f"slack:T1:{user}",
        "via": "slack",
        "verdict": verdict,
        "feedback": "",
        "edited_arguments": None,
        "asserted_by": "",
        "created_at": NOW,
    }
    return Vote(**{**values, **fields})


def an_execution(**fields: Any) -> Execution:
    """A running execution of refund_agent with the prompt "Refund ORD-8821"."""
    values: dict[str, Any] = {
        "execution_id": "exe_1",
        "agent": "refund_agent",
        "agent_version": "v1",
        "reasoner": None,
        "status": "running",
        "input": '{"prompt":"Refund ORD-8821"}',
        "requested_by": REQUESTER,
        "via": "slack",
        "idempotency_key": None,
        "input_digest": "",
        "conversation_id": None,
        "parent_execution_id": None,
        "parent_position": None,
        "origin": None,
        "open_approvals": 0,
        "signals": 0,
        "fence": 1,
        "worker_id": "worker",
        "lease_until": NOW,
        "attempts": 1,
        "run_after": NOW,
        "result": None,
        "error": None,
        "finish_reason": None,
        "version": 1,
        "created_at": NOW,
        "started_at": NOW,
        "ended_at": None,
    }
    return Execution(**{**values, **fields})


def a_step(position: int, kind: str, **fields: Any) -> Step:
    """A step that has succeeded; `result` may be any JSON value."""
    result = fields.pop("result", None)
    values: dict[str, Any] = {
        "execution_id": "exe_1",
        "position": position,
        "turn": 0,
        "kind": kind,
        "name": kind,
        "call_id": "",
        "status": "succeeded",
        "effect": "idempotent",
        "arguments": "{}",
        "digest": "",
        "tool_version": "1",
        "idempotency_key": f"exe_1:{position}",
        "approval_request_id": None,
        "result": result if result is None else canonical(result),
        "attempt": 0,
        "fence": 1,
        "created_at": NOW,
        "started_at": None,
        "ended_at": None,
    }
    return Step(**{**values, **fields})

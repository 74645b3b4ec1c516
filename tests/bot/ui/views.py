"""Approvals and executions as cards may have to show them, the ugly ones too."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from agent_runtime.core.approval import ApprovalRequest, ApprovalStatus, Kind, Verdict, Vote
from agent_runtime.core.canonical import canonical
from agent_runtime.core.duration import HOUR
from agent_runtime.core.execution import Execution, ExecutionStatus, Step, StepKind, StepStatus
from agent_runtime.core.policy import Policy
from agent_runtime.core.principal import Via
from agent_runtime.delivery.notifier import ApprovalView, ExecutionView
from bot.ui.text import Workspace

NOW = 1_795_000_000_000_000
WORKSPACE = Workspace("T0HOME", "U0BOT", {"dba": "S0DBA"})

NASTY = [
    "<!channel>",
    "<!here|look>",
    "<@U0VICTIM>",
    "<https://evil.example|Approved by the board>",
    "*bold* _it_ ~no~ `code` ```block```",
    "&lt;!channel&gt;",
    "\u202egnirts desrever",
    "zero\u200bwidth",
    "\n" * 50 + "off the screen",
    " " * 500,
    "раypal",
    "א ב 123 ג",
    "😀" * 50,
    "a" * 5000,
    "\\u{202e}",
    "\x00\x07",
    ":white_check_mark: Approved",
    "{date_short}",
    "",
]

text = st.one_of(
    st.sampled_from(NASTY),
    st.text(st.characters(codec="utf-8"), max_size=200),
    st.builds("".join, st.lists(st.sampled_from(NASTY), max_size=4)),
)
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53) + 1, 2**53 - 1), text),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(text, inner, max_size=4)),
    max_leaves=12,
)
arguments = st.dictionaries(text, json_values, max_size=12)
reviewers = st.lists(
    st.sampled_from(
        [
            "U0REVIEWER",
            "S0GROUP",
            "@dba",
            "@unknown",
            "api:ci",
            "someone@example.com",
            "<!here>`*@\u200b.&",
            "&" * 99 + "@a.b",
        ]
    ),
    max_size=30,
).map(tuple)
principals = st.sampled_from(
    ["slack:T0HOME:U0ALEX", "slack:T0OTHER:U0ALEX", "api:ci", "webhook:approval-response", "local:operator", "system"]
)
policies = st.builds(
    Policy,
    reviewers=reviewers,
    escalate_to=reviewers,
    quorum=st.integers(1, 20),
    expires_after=st.one_of(st.none(), st.integers(1, 10**12)),
    risk=st.sampled_from(["normal", "high"]),
    redact=st.sampled_from([(), ("a", "**.b"), ("*",)]),
    rules=st.lists(text, max_size=4).map(tuple),
    channel=st.sampled_from(["", "C0APPROVALS"]),
)
votes = st.builds(
    Vote,
    principal=principals,
    via=st.sampled_from(list(Via)).map(str),
    verdict=st.sampled_from(list(Verdict)).map(str),
    feedback=text,
    edited_arguments=st.none(),
    asserted_by=text,
    created_at=st.just(NOW),
)


def approval(**fields: Any) -> ApprovalRequest:
    """A pending approval of a refund, or what `fields` make of it."""
    given: dict[str, Any] = {
        "approval_request_id": "apr_1",
        "kind": "tool",
        "status": "pending",
        "execution_id": "exe_1",
        "position": 1,
        "conversation_id": None,
        "agent": "refund_agent",
        "agent_version": "v1",
        "tool_name": "process_refund",
        "tool_version": "1",
        "arguments": canonical({"order_id": "ORD-8821", "amount": 29.99}),
        "preview": None,
        "digest": "sha256:" + "0" * 64,
        "title": f"Approval needed: {fields.get('tool_name', 'process_refund')}",
        "context": None,
        "url": "",
        "callback_url": "",
        "requested_by": "slack:T0HOME:U0ALEX",
        "policy": Policy(reviewers=("U0REVIEWER",), expires_after=HOUR),
        "origin": None,
        "supersedes": None,
        "created_at": NOW - HOUR // 2,
        "clock_started_at": NOW - HOUR // 2,
        "expires_at": NOW + HOUR // 2,
        "next_due_at": None,
        "rungs_done": 0,
        "widened": 0,
        "extensions": 0,
        "version": 1,
        "resolved_at": None,
        "resolution": None,
        "valid_until": None,
        "consumed_at": None,
    }
    given |= fields
    return ApprovalRequest(**given)


def ended(status: str, by: str = "slack:T0HOME:U0REVIEWER", via: str = "slack", **fields: Any) -> ApprovalRequest:
    """An approval that has ended."""
    resolution = {"by": by, "via": via, "feedback": fields.pop("feedback", "")} | fields.pop("resolution", {})
    return approval(status=status, resolution=resolution, resolved_at=NOW, **fields)


def step(status: str, result: Any = None, **fields: Any) -> Step:
    """The gated call's step."""
    given: dict[str, Any] = {
        "execution_id": "exe_1",
        "position": 1,
        "turn": 0,
        "kind": StepKind.tool.value,
        "name": "process_refund",
        "call_id": "call_1",
        "status": status,
        "effect": "unsafe",
        "arguments": "{}",
        "digest": "",
        "tool_version": "1",
        "idempotency_key": "",
        "approval_request_id": "apr_1",
        "result": None if result is None else json.dumps(result),
        "attempt": 1,
        "fence": 1,
        "created_at": NOW,
        "started_at": NOW,
        "ended_at": NOW,
    }
    return Step(**(given | fields))


def execution(status: str = "running", **fields: Any) -> Execution:
    """An execution that somebody of the workspace asked for."""
    given: dict[str, Any] = {
        "execution_id": "exe_1",
        "agent": "refund_agent",
        "agent_version": "v1",
        "reasoner": None,
        "status": status,
        "input": "{}",
        "requested_by": "slack:T0HOME:U0ALEX",
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
        "worker_id": None,
        "lease_until": None,
        "attempts": 0,
        "run_after": NOW,
        "result": None,
        "error": None,
        "finish_reason": None,
        "version": 1,
        "created_at": NOW,
        "started_at": None,
        "ended_at": None,
    }
    return Execution(**(given | fields))


@st.composite
def approval_views(draw: st.DrawFn, pending: bool | None = None) -> ApprovalView:
    """Any approval at any point of its life."""
    status = draw(st.sampled_from(list(ApprovalStatus)))
    if pending is not None:
        status = (
            ApprovalStatus.pending if pending else draw(st.sampled_from([s for s in ApprovalStatus if s != "pending"]))
        )
    kind = draw(st.sampled_from(list(Kind)))
    shown = canonical(draw(arguments))
    resolution = None
    if status != ApprovalStatus.pending:
        resolution = {"by": draw(principals), "via": draw(st.sampled_from(list(Via))).value, "feedback": draw(text)}
        if draw(st.booleans()):
            resolution["asserted_by"] = draw(text)
        if kind == Kind.in_doubt:
            resolution["outcome"] = draw(st.sampled_from(["happened", "not_happened", "stop"]))
        elif draw(st.booleans()):
            resolution["edited_arguments"] = canonical(draw(arguments))
    given = approval(
        approval_request_id=draw(st.sampled_from(["apr_1", "a" * 200])),
        kind=kind.value,
        status=status.value,
        position=draw(st.sampled_from([None, 1])),
        agent=draw(text),
        tool_name=draw(text),
        title=draw(text),
        arguments=shown,
        context=draw(
            st.one_of(st.none(), st.fixed_dictionaries({}, optional={"words": text, "why": text}).map(canonical))
        ),
        requested_by=draw(principals),
        policy=draw(policies),
        expires_at=draw(st.sampled_from([None, NOW, NOW + HOUR])),
        clock_started_at=draw(st.sampled_from([None, NOW])),
        widened=draw(st.integers(0, 1)),
        extensions=draw(st.integers(0, 4)),
        resolved_at=None if status == ApprovalStatus.pending else NOW,
        resolution=resolution,
    )
    of_step = draw(st.one_of(st.none(), st.sampled_from(list(StepStatus))))
    result = draw(st.one_of(st.none(), json_values.map(lambda v: {"value": v}), text.map(lambda e: {"error": e})))
    return ApprovalView(
        given,
        draw(st.lists(votes, max_size=20)),
        None if of_step is None else step(of_step.value, result, approval_request_id=given.approval_request_id),
        None,
    )


@st.composite
def execution_views(draw: st.DrawFn) -> ExecutionView:
    """Any execution."""
    given = execution(
        draw(st.sampled_from(list(ExecutionStatus))).value,
        agent=draw(text),
        requested_by=draw(principals),
        result=draw(st.one_of(st.none(), json_values.map(lambda value: canonical({"result": value})))),
        error=draw(st.one_of(st.none(), text.map(lambda message: canonical({"type": "Error", "message": message})))),
    )
    journal = [
        step(draw(st.sampled_from(list(StepStatus))).value, position=position, name=draw(text))
        for position in range(draw(st.integers(0, 25)))
    ]
    return ExecutionView(given, journal, [approval(policy=draw(policies))])

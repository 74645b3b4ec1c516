"""An execution as somebody at a terminal reads it. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from agent_runtime.core.duration import SECOND, in_words
from agent_runtime.core.execution import Execution
from agent_runtime.core.redaction import redact_shown
from agent_runtime.core.switches import in_words as in_words_of
from agent_runtime.web.answers import ExecutionWithSteps, StepAnswer
from bot.cli.approval_text import tree
from bot.ui.text import clock


def fields(execution: Execution, held_for: str | None = None) -> Mapping[str, str]:
    """What is known about it, a name and a text each; `held_for` is why nobody moves it now."""
    agent = f"{execution.agent}.{execution.reasoner}" if execution.reasoner else execution.agent
    return {
        "execution": execution.execution_id,
        "agent": f"{agent} (version {execution.agent_version[:12]})",
        "status": _status(execution),
        "held": _held(held_for),
        "asked by": f"{execution.requested_by}, {execution.via}",
        "created": clock(execution.created_at, seconds=True),
        "started": clock(execution.started_at, seconds=True) if execution.started_at else "",
        "ended": clock(execution.ended_at, seconds=True) if execution.ended_at else "",
        "conversation": execution.conversation_id or "",
        "called by": execution.parent_execution_id or "",
    }


def blocks(answer: ExecutionWithSteps) -> Mapping[str, str]:
    """What it was given and what it returned, safe to show."""
    asked = {name: value for name, value in answer.input.items() if name != "history"}
    return {"input": tree(asked)} | ({} if answer.result is None else {"result": tree(answer.result)})


def steps(answer: ExecutionWithSteps) -> list[list[str]]:
    """The journal, a row a step."""
    return [[str(step.position), step.kind, step.name, _step_status(step), _took(step)] for step in answer.steps]


def approvals(answer: ExecutionWithSteps) -> list[list[str]]:
    """What it asked, a row an approval."""
    return [
        [one.approval_request_id, one.tool_name or one.title or one.kind, one.status, one.decided_by or ""]
        for one in answer.approvals
    ]


def _status(execution: Execution) -> str:
    how = f" ({execution.finish_reason})" if execution.finish_reason else ""
    error = json.loads(execution.error) if execution.error else {}
    why = redact_shown(str(error.get("message", "")))
    return f"{execution.status}{how}" + (f"\n{error.get('type', 'Error')}: {why}" if error else "")


def _held(held_for: str | None) -> str:
    if not held_for:
        return ""
    if held_for == "restore":
        return "the database was restored: people say how it goes on (see its approvals)"
    return f"{in_words_of(held_for)} is stopped; `countersign resume` lets it go on"


def _step_status(step: StepAnswer) -> str:
    error = step.result.get("error") if isinstance(step.result, dict) else None
    return f"{step.status}: {error}" if error else step.status


def _took(step: StepAnswer) -> str:
    if step.started_at is None or step.ended_at is None:
        return ""
    span = datetime.fromisoformat(step.ended_at) - datetime.fromisoformat(step.started_at)
    return in_words(round(span.total_seconds() * SECOND)) if span.total_seconds() >= 1 else "under 1 s"

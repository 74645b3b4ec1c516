"""What an agent knew when it asked: the context of an approval, masked, in the shape of the view `pending_reviews`."""

from __future__ import annotations

import json
from typing import Any

from agent_runtime.core.approval import ApprovalRequest
from agent_runtime.core.execution import StepKind
from agent_runtime.core.shown import approval_shown, asserted, masked
from agent_runtime.store.approvals import OF_EXECUTION
from agent_runtime.store.database import Database
from agent_runtime.store.executions import GET_EXECUTION
from agent_runtime.store.steps import JOURNAL
from agent_runtime.web.masking import Paths, shown_arguments, shown_result


async def agent_context(database: Database, approval: ApprovalRequest) -> Any:
    """What an outside agent sent with its request, or the state of the execution up to what it asks about."""
    if approval.execution_id is None:
        context = asserted(approval).get("context", {})
        inner = context.get("agent_context") if isinstance(context, dict) else None
        return masked(context if inner is None else inner)
    execution = await database.one(GET_EXECUTION, b_id=approval.execution_id)
    shown = approval_shown(approval, ())
    return {
        "agent": approval.agent,
        "agent_version": approval.agent_version,
        "execution_id": approval.execution_id,
        "requested_by": approval.requested_by,
        "tool_name": approval.tool_name,
        "arguments": shown["arguments"],
        "context": shown["context"],
        "input": None if execution is None else masked(json.loads(execution.input)),
        "steps": await _steps(database, approval),
    }


async def _steps(database: Database, approval: ApprovalRequest) -> list[dict[str, Any]]:
    journal = await database.all(JOURNAL, b_id=approval.execution_id)
    redacted: dict[str | None, Paths] = {
        asked.approval_request_id: asked.policy.redact
        for asked in await database.all(OF_EXECUTION, b_execution=approval.execution_id)
    }
    paths: dict[str, Paths] = {}
    for step in journal:
        # A model may use an id twice; then both calls are masked by the paths of both.
        paths[step.call_id] = (*paths.get(step.call_id, ()), *redacted.get(step.approval_request_id, ()))
    return [
        {
            "position": step.position,
            "kind": step.kind,
            "name": step.name,
            "status": step.status,
            "arguments": shown_arguments(step, paths.get(step.call_id, ())) if step.kind == StepKind.tool else {},
            "result": shown_result(step, paths),
        }
        for step in journal
        if approval.position is None or step.position < approval.position
    ]


def timestamp(approval: ApprovalRequest) -> str | None:
    """When an outside agent says that it asked, where it says so."""
    context = asserted(approval).get("context")
    given = context.get("timestamp") if isinstance(context, dict) else None
    return None if given is None else str(given)

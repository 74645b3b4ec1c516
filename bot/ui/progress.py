"""The one progress message of an execution, kept up to date, and the result that ends it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from agent_runtime.core.approval import ApprovalRequest, status_in_words
from agent_runtime.core.execution import Execution, ExecutionStatus, Step, StepKind, StepStatus
from agent_runtime.core.redaction import redact_shown
from agent_runtime.delivery.notifier import ExecutionView
from bot.ui.blocks import context, quoted, section
from bot.ui.limits import SECTION_TEXT
from bot.ui.message import Blocks, Message
from bot.ui.text import Workspace, code, escape, person, plain, user_of

STEPS_SHOWN = 15
ANSWER_LIMIT = 6000
NOTIFICATION_LIMIT = 200

STATUS: Mapping[str, tuple[str, str]] = {
    ExecutionStatus.queued: ("🕐", "Queued"),
    ExecutionStatus.running: ("▶️", "Working"),
    ExecutionStatus.waiting: ("⏳", "Waiting for approval"),
    ExecutionStatus.succeeded: ("✅", "Done"),
    ExecutionStatus.failed: ("❌", "Failed"),
    ExecutionStatus.cancelled: ("🚫", "Cancelled"),
}
_STEPS: Mapping[str, tuple[str, str]] = {
    StepStatus.proposed: ("▶️", "running"),
    StepStatus.gated: ("⏳", "waits for approval"),
    StepStatus.approved: ("✅", "approved, about to run"),
    StepStatus.started: ("▶️", "running"),
    StepStatus.in_doubt: ("❓", "in doubt: a person must say what happened"),
    StepStatus.succeeded: ("✅", "done"),
    StepStatus.failed: ("❌", "failed"),
    StepStatus.refused: ("⛔", "did not run"),
}


def progress(view: ExecutionView, workspace: Workspace, places: Mapping[str, str]) -> Message:
    """How far an execution is; `places` says in which channel each pending approval waits."""
    execution = view.execution
    icon, word = _status(view)
    head = f"{icon} *{word}* · agent {code(execution.agent)}"
    if view.unserved:
        head += "\n⚠️ No worker serves this agent now; it begins once one does (`countersign serve --agents …`)."
    blocks: Blocks = [section(head)]
    if view.held_for:
        blocks.append(section(held(view.held_for)))
    lines = _lines(view, places)
    if lines:
        blocks.append(section("\n".join(lines)))
    if execution.status in {ExecutionStatus.failed, ExecutionStatus.cancelled}:
        blocks.append(quoted("Reason", plain(error_of(execution), 600)))
    asked = person(execution.requested_by, workspace)
    blocks.append(context(f"Requested by {asked} · {code(execution.execution_id)}"))
    return Message(f"{word}: agent {code(execution.agent)}", blocks)


def result(execution: Execution, workspace: Workspace) -> Message:
    """How an execution ended, for whoever asked; the agent's answer stands as its own words."""
    icon, word = STATUS[ExecutionStatus(execution.status)]
    asked = user_of(execution.requested_by, workspace)
    mention = f"<@{asked}> " if asked is not None else ""
    head = f"{mention}{icon} *{word}* · agent {code(execution.agent)}"
    if execution.status == ExecutionStatus.succeeded:
        answer = answer_of(execution)
        body = [quoted(f"{plain(execution.agent, 80)} answers", plain(answer, ANSWER_LIMIT, multiline=True))]
        short = plain(answer, NOTIFICATION_LIMIT)
    else:
        short = plain(error_of(execution), NOTIFICATION_LIMIT)
        body = [quoted("Reason", plain(error_of(execution), 1500))]
    return Message(f"{mention}{word}: {escape(short)}", [section(head), *body])


def held(held_for: str) -> str:
    """Why nobody moves a run now; mrkdwn."""
    if held_for == "restore":
        return "⏸️ *Held:* the database was restored, and a person has to say how this goes on."
    kind, _, name = held_for.partition(":")
    what = f"the {kind} {code(name)}" if name else "everything"
    return f"⏸️ *Stopped:* an operator has stopped {what}; this waits until they resume it."


def answer_of(execution: Execution) -> str:
    """What the agent answered, as text; untrusted, secrets masked."""
    value = json.loads(execution.result or "{}").get("result", "")
    return redact_shown(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2))


def error_of(execution: Execution) -> str:
    """Why an execution failed or was cancelled; untrusted, secrets masked."""
    error = json.loads(execution.error or "{}")
    return redact_shown(str(error.get("message", "")) or "no reason was recorded")


def _status(view: ExecutionView) -> tuple[str, str]:
    """A running execution may wait for people with some of its calls: then that is what it says."""
    status = ExecutionStatus(view.execution.status)
    waits = any(approval.pending for approval in view.approvals)
    if waits and status in {ExecutionStatus.running, ExecutionStatus.queued}:
        return STATUS[ExecutionStatus.waiting]
    return STATUS[status]


def _lines(view: ExecutionView, places: Mapping[str, str]) -> list[str]:
    """A line for each call, the latest that fit; what is left out is counted."""
    calls = [step for step in view.journal if step.kind in {StepKind.tool, StepKind.call, StepKind.pause}]
    lines: list[str] = []
    room = SECTION_TEXT - 50
    for step in reversed(calls[-STEPS_SHOWN:]):
        line = _line(step, view.approvals, places)
        room -= len(line) + 1
        if room < 0:
            break
        lines.insert(0, line)
    hidden = len(calls) - len(lines)
    return [f"… {hidden} earlier call{'s' if hidden > 1 else ''}", *lines] if hidden else lines


def _line(step: Step, approvals: Sequence[ApprovalRequest], places: Mapping[str, str]) -> str:
    icon, word = _STEPS[StepStatus(step.status)]
    approval = next((a for a in approvals if a.approval_request_id == step.approval_request_id), None)
    if approval is not None and approval.pending and (channel := places.get(approval.approval_request_id)):
        word = f"{word} in <#{channel}>"
    if approval is not None and step.status == StepStatus.refused:
        word = f"{word}: {status_in_words(approval.status)}"
    return f"{icon} {code(step.name)} — {word}"

"""What an agent does next, as a pure function of its journal; and the messages that its model sees."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from agent_runtime.core.approval import ApprovalRequest, status_in_words
from agent_runtime.core.canonical import canonical
from agent_runtime.core.execution import Execution, Step, StepKind, StepStatus

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class AskModel:
    """The model's turn; `turn` counts its replies from 0."""

    turn: int


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls of one turn: `ready` may run now, `interrupted` were started by a claim that is gone, `held` wait for
    people.
    """

    ready: tuple[Step, ...]
    interrupted: tuple[Step, ...]
    held: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Finish:
    """The agent is done; `text` is the model's last word."""

    text: str
    finish_reason: str = "STOP"


@dataclass(frozen=True, slots=True)
class Fail:
    """A gate with `stop` ended the execution; `error` is {type, message}."""

    error: dict[str, str] = field(default_factory=dict)


def next_action(journal: Sequence[Step]) -> AskModel | Calls | Finish | Fail:
    """The next action after `journal` (in order of position)."""
    replies = [step for step in journal if step.kind == StepKind.model]
    if not replies:
        return AskModel(0)
    last = replies[-1]
    calls = [step for step in journal if step.kind == StepKind.tool and step.turn == last.turn]
    if not calls and journal[-1].kind == StepKind.note:
        return AskModel(last.turn + 1)
    if not calls:
        message = reply_message(last)
        return Finish(str(message.get("content") or message.get("refusal") or ""))
    stopped = next((error for step in calls if (error := _stop(step))), None)
    if stopped:
        return Fail(stopped)
    unfinished = [step for step in calls if step.open]
    if not unfinished:
        return AskModel(last.turn + 1)
    return Calls(
        ready=tuple(s for s in unfinished if s.status in {StepStatus.proposed, StepStatus.approved}),
        interrupted=tuple(s for s in unfinished if s.status == StepStatus.started),
        held=tuple(s for s in unfinished if s.status in {StepStatus.gated, StepStatus.in_doubt}),
    )


def reply_message(step: Step) -> Message:
    """The assistant message that a model step recorded."""
    message: Message = json.loads(step.result or "{}")["message"]
    return message


def messages(instructions: str, execution: Execution, journal: Sequence[Step]) -> list[Message]:
    """The conversation as the chat API takes it: instructions, earlier turns, the prompt, then the journal."""
    given = json.loads(execution.input)
    start: list[Message] = [{"role": "system", "content": instructions}] if instructions else []
    start += given.get("history", [])
    start.append({"role": "user", "content": prompt_of(given)})
    for step in journal:
        if step.kind == StepKind.model:
            start.append(reply_message(step))
        elif step.kind == StepKind.tool:
            start.append({"role": "tool", "tool_call_id": step.call_id, "content": tool_content(step)})
        elif step.kind == StepKind.note:
            start.append({"role": "user", "content": json.loads(step.result or "{}")["content"]})
    return start


def prompt_of(given: dict[str, Any]) -> str:
    """The user's message: the prompt as it is, or the input as JSON."""
    if "prompt" in given:
        return str(given["prompt"])
    return canonical(given.get("input", {}))


def tool_content(step: Step) -> str:
    """The tool message that the model gets for a step that ended: its value, its error, or what people said."""
    result = json.loads(step.result or "{}")
    if "refusal" in result:
        said = f': "{result["feedback"]}"' if result["feedback"] else ""
        extra = "" if result["refusal"] == "changes requested" else " The call did not run."
        if result["refusal"] == "changes requested":
            extra = " The call did not run; propose it again with the changes, or explain."
        return (
            f"{result['refusal']} by the reviewer{said}.{extra}"
            if result["by"]
            else f"{result['refusal']}{said}.{extra}"
        )
    if "error" in result:
        return f"error: {result['error']}"
    value = result.get("value")
    text = value if isinstance(value, str) else canonical(value)
    if "ran_with" in result:
        return canonical(
            {
                "result": value,
                "note": "the approver edited the arguments; this is what ran",
                "arguments": result["ran_with"],
            }
        )
    return text


def refusal(approval: ApprovalRequest, status: str) -> dict[str, Any]:
    """The recorded result of a call that people refused, or that nobody approved in time."""
    policy = approval.policy
    stop = (
        policy.on_reject if status == "rejected" else policy.on_expiry if status == "expired" else "continue"
    ) == "stop"
    resolution = approval.resolution or {}
    recorded: dict[str, Any] = {
        "refusal": status_in_words(status),
        "feedback": resolution.get("feedback", ""),
        "by": resolution.get("by", "") if status != "expired" else "",
    }
    if stop:
        recorded["stop"] = stop_error(status, str(recorded["feedback"]), approval.tool_name)
    return recorded


def stop_error(status: str, feedback: str, tool_name: str) -> dict[str, str]:
    """The error of an execution that a gate with `stop` ended."""
    if status == "expired":
        return {"type": "TimeoutError", "message": f"nobody decided on {tool_name} in time"}
    return {"type": "CollaborationError", "message": f"rejected: {feedback}" if feedback else "rejected"}


def _stop(step: Step) -> dict[str, str] | None:
    if step.status != StepStatus.refused:
        return None
    error: dict[str, str] | None = json.loads(step.result or "{}").get("stop")
    return error

"""What an agent does next, as a pure function of its journal; and the messages that its model sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent_runtime.core.approval import ApprovalRequest, ApprovalStatus, status_in_words
from agent_runtime.core.canonical import canonical, digest, parsed
from agent_runtime.core.execution import Execution, Step, StepKind, StepStatus

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class AskModel:
    """The model's turn; `turn` counts its replies from 0."""

    turn: int


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls of one turn: `ready` may run, `interrupted` were started by a lost claim, `held` wait for people."""

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
    """A gate with `stop` ended the execution, and no call of it is left whose outcome is open; {type, message}."""

    error: Mapping[str, str]

    @property
    def finish_reason(self) -> str:
        return "TIMEOUT" if self.error["type"] == "TimeoutError" else "REJECTED"


def next_action(journal: Sequence[Step]) -> AskModel | Calls | Finish | Fail:
    """The next action after `journal` (in order of position)."""
    last = _last_reply(journal)
    if last is None:
        return AskModel(0)
    calls = [step for step in journal[last + 1 :] if step.kind == StepKind.tool]
    if not calls:
        if journal[-1].kind == StepKind.note:
            return AskModel(journal[last].turn + 1)
        return last_word(parsed(journal[last].result or "{}"))
    ready = _in(calls, StepStatus.proposed, StepStatus.approved)
    interrupted = _in(calls, StepStatus.started)
    held = _in(calls, StepStatus.gated, StepStatus.in_doubt)
    stopped = next((error for step in calls if (error := _stop(step))), None)
    if stopped and not interrupted and not _in(held, StepStatus.in_doubt):
        return Fail(stopped)
    if not (ready or interrupted or held):
        return AskModel(journal[last].turn + 1)
    return Calls(() if stopped else ready, interrupted, held)


def _last_reply(journal: Sequence[Step]) -> int | None:
    """Where the model's last reply is; the calls that it proposes are behind it."""
    for position in range(len(journal) - 1, -1, -1):
        if journal[position].kind == StepKind.model:
            return position
    return None


def last_word(reply: Mapping[str, Any]) -> Finish:
    """What a reply of the model's without calls ends with."""
    message = reply["message"]
    reason = _CUT_SHORT.get(str(reply.get("finish_reason")), "STOP")
    return Finish(str(message.get("content") or message.get("refusal") or ""), reason)


_CUT_SHORT = {"length": "LENGTH", "content_filter": "CONTENT_FILTER"}


def _in(steps: Sequence[Step], *statuses: StepStatus) -> tuple[Step, ...]:
    return tuple([step for step in steps if step.status in statuses])


def answer(ended: ApprovalRequest) -> dict[str, Any]:
    """The recorded result of a pause: the fields of an ApprovalResult."""
    return {
        "decision": "error" if ended.status == ApprovalStatus.cancelled else ended.status,
        "feedback": ended.feedback,
        "approval_request_id": ended.approval_request_id,
        "execution_id": ended.execution_id or "",
        "decided_by": ended.decided_by,
    }


def _stop(step: Step) -> Mapping[str, str] | None:
    """The error with which a refused call ends its execution; None where the model is told instead."""
    if step.status != StepStatus.refused:
        return None
    error: Mapping[str, str] | None = parsed(step.result or "{}").get("stop")
    return error


def reply_message(step: Step) -> Message:
    """The assistant message that a model step recorded."""
    message: Message = parsed(step.result or "{}")["message"]
    return message


def messages(instructions: str, execution: Execution, journal: Sequence[Step]) -> list[Message]:
    """The conversation as the chat API takes it: instructions, earlier turns, the prompt, then the journal."""
    given = parsed(execution.input)
    start: list[Message] = [{"role": "system", "content": instructions}] if instructions else []
    start += given.get("history", [])
    start.append({"role": "user", "content": prompt_of(given)})
    for step in journal:
        if step.kind == StepKind.model:
            start.append(reply_message(step))
        elif step.kind == StepKind.tool:
            start.append({"role": "tool", "tool_call_id": step.call_id, "content": tool_content(step)})
        elif step.kind == StepKind.note:
            start.append({"role": "user", "content": parsed(step.result or "{}")["content"]})
    return start


def prompt_of(given: Mapping[str, Any]) -> str:
    """The user's message: the prompt as it is, or the input as JSON."""
    if given.get("prompt") is not None:
        return str(given["prompt"])
    return canonical(given.get("input", {}))


def tool_content(step: Step) -> str:
    """The tool message that the model gets for a step that ended: its value, its error, or what people said."""
    result = parsed(step.result or "{}")
    if "refusal" in result:
        return _refused(result)
    if "error" in result:
        return f"error: {result['error']}"
    value = cut_value(result)
    if "ran_with" in result:
        note = "the approver edited the arguments; this is what ran"
        return canonical({"result": value, "note": note, "arguments": result["ran_with"]})
    return value if isinstance(value, str) else canonical(value)


def bounded(value: Any, limit: int, text: str | None = None) -> dict[str, Any]:
    """The recorded result of a call that returned `value` (JSON), `limit` characters of it at most.

    Of a longer one the beginning of its text is kept, with the size and the digest of all of it. `text` is its
    canonical text, where that is at hand.
    """
    text = value if isinstance(value, str) else text or canonical(value)
    if len(text) <= limit:
        return {"value": value}
    return {"value": text[:limit], "truncated": {"characters": len(text), "digest": digest(value)}}


def cut_value(result: Mapping[str, Any]) -> Any:
    """The value in a recorded result; of one that was too long the beginning, and a line that says so."""
    cut = result.get("truncated")
    if cut is None:
        return result.get("value")
    kept = str(result["value"])
    return f"{kept}\n[truncated: the first {len(kept):,} of {cut['characters']:,} characters; {cut['digest']}]"


def _refused(result: Mapping[str, Any]) -> str:
    """The word for what people did, and theirs verbatim."""
    by = " by the reviewer" if result["by"] else ""
    said = f': "{result["feedback"]}"' if result["feedback"] else ""
    then = "; propose it again with the changes, or explain" if result["refusal"] == "changes requested" else ""
    return f"{result['refusal']}{by}{said}. The call did not run{then}."


def refusal(ended: ApprovalRequest) -> dict[str, Any]:
    """The recorded result of a call that people refused, or that nobody approved in time."""
    expired = ended.status == ApprovalStatus.expired
    recorded: dict[str, Any] = {
        "refusal": status_in_words(ended.status),
        "feedback": ended.feedback,
        "by": "" if expired else ended.decided_by,
    }
    if expired and ended.policy.on_expiry == "stop":
        recorded["stop"] = {"type": "TimeoutError", "message": f"nobody decided on {ended.tool_name} in time"}
    if ended.status == ApprovalStatus.rejected and ended.policy.on_reject == "stop":
        why = f": {ended.feedback}" if ended.feedback else ""
        recorded["stop"] = {"type": "CollaborationError", "message": f"rejected{why}"}
    return recorded

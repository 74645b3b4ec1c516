"""Runs without model, database or server: what happens is what the test says, and free tools really run."""

from __future__ import annotations

import inspect
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agent_runtime.agent import Agent
from agent_runtime.core.approval import ApprovalStatus
from agent_runtime.core.canonical import canonical
from agent_runtime.core.execution import ExecutionStatus
from agent_runtime.errors import InvalidRequest
from agent_runtime.sdk.events import AgentEvent, EventType
from agent_runtime.sdk.loops import background
from agent_runtime.sdk.results import AgentResult
from agent_runtime.tools import IDEMPOTENCY_KEY, Tool, json_value

MOCK = "mock"


class MockEvent:
    """Makes the events of a scripted run."""

    @staticmethod
    def thinking(content: str) -> AgentEvent:
        """The model's words beside its calls."""
        return AgentEvent(EventType.THINKING, content)

    @staticmethod
    def tool_call(name: str, args: Mapping[str, Any] | None = None) -> AgentEvent:
        """The model proposes a call."""
        return AgentEvent(EventType.TOOL_CALL, tool_name=name, args=dict(args or {}))

    @staticmethod
    def tool_result(name: str, result: Any = None) -> AgentEvent:
        """The last open call of that tool returned this; its function is not run."""
        return AgentEvent(EventType.TOOL_RESULT, tool_name=name, result=result)

    @staticmethod
    def waiting(content: str = "") -> AgentEvent:
        """People are asked about the last gated call."""
        return AgentEvent(EventType.WAITING, content)

    @staticmethod
    def approved(by: str = "", feedback: str = "") -> AgentEvent:
        """The approval that waits was given."""
        return _resolved(ApprovalStatus.approved, by, feedback)

    @staticmethod
    def rejected(reason: str = "", by: str = "") -> AgentEvent:
        """The approval that waits was refused."""
        return _resolved(ApprovalStatus.rejected, by, reason)

    @staticmethod
    def changes_requested(feedback: str = "", by: str = "") -> AgentEvent:
        """Changes to the call that waits were requested."""
        return _resolved(ApprovalStatus.request_changes, by, feedback)

    @staticmethod
    def expired() -> AgentEvent:
        """Nobody decided in time."""
        return _resolved(ApprovalStatus.expired, "system", "")

    @staticmethod
    def message(content: str) -> AgentEvent:
        """The model's words to the user."""
        return AgentEvent(EventType.MESSAGE, content)

    @staticmethod
    def error(content: str) -> AgentEvent:
        """The execution failed."""
        return AgentEvent(EventType.ERROR, content)

    @staticmethod
    def done(output: Any = None) -> AgentEvent:
        """The execution succeeded with this answer."""
        whole = isinstance(output, Mapping) and "result" in output
        return AgentEvent(EventType.DONE, output=dict(output) if whole else {"result": output, "finishReason": "STOP"})


def _resolved(status: ApprovalStatus, by: str, feedback: str) -> AgentEvent:
    decision = {"status": status.value, "decided_by": by or None, "feedback": feedback}
    return AgentEvent(EventType.RESOLVED, status.value, result=feedback, approval=decision)


def mock_run(
    agent: Agent, prompt: str, events: Sequence[AgentEvent], *, auto_execute_tools: bool = True
) -> AgentResult:
    """The result of a run in which exactly `events` happen.

    A free tool's call runs the real function, unless a `tool_result` for it follows; what it raises becomes the result
    that a model would be told. A call that people gate never runs. With `auto_execute_tools=False` nothing runs.
    Raises InvalidRequest for a sequence that cannot happen.
    """
    run = _Run(agent, prompt)
    for index, event in enumerate(events):
        run.take(event, scripted=_has_result(event, events[index + 1 :]), execute=auto_execute_tools)
    return run.result()


def _has_result(call: AgentEvent, later: Sequence[AgentEvent]) -> bool:
    """Whether the script says how this call ends: before the next call of the same tool."""
    for event in later:
        if event.tool_name == call.tool_name:
            return event.type is EventType.TOOL_RESULT
    return False


@dataclass(slots=True)
class _Run:
    agent: Agent
    prompt: str
    events: list[AgentEvent] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    approvals: list[dict[str, Any]] = field(default_factory=list)
    status: str = ExecutionStatus.running.value
    error: str = ""
    output: Mapping[str, Any] | None = None

    def take(self, event: AgentEvent, *, scripted: bool, execute: bool) -> None:
        if self.status not in {ExecutionStatus.running, ExecutionStatus.waiting}:
            raise InvalidRequest(f"events: {event.type} comes after the end")
        if event.type is EventType.TOOL_CALL:
            self._add(event)
            self._call(event, execute=execute and not scripted)
        elif event.type is EventType.TOOL_RESULT:
            self._add(event)
            self._end_call(event.tool_name or "", event.result)
        elif event.type is EventType.WAITING:
            self._ask(event)
        elif event.type is EventType.RESOLVED:
            self._resolve(event)
        elif event.type is EventType.ERROR:
            self._end(event, ExecutionStatus.failed, {"result": event.content, "finishReason": "ERROR"})
        elif event.type is EventType.DONE:
            self._end(event, ExecutionStatus.succeeded, event.output or {})
        else:
            self._add(event)

    def result(self) -> AgentResult:
        messages: list[dict[str, Any]] = [{"role": "user", "content": self.prompt}]
        if self.output is not None:
            said = self.output.get("result")
            text = said if isinstance(said, str) else canonical(json_value(said))
            messages.append({"role": "assistant", "content": text})
        return AgentResult(
            execution_id=MOCK,
            status=self.status,
            output=self.output,
            reason=self.error,
            error=self.error or None,
            events=self.events,
            tool_calls=[{name: value for name, value in call.items() if name != "open"} for call in self.calls],
            messages=messages,
            finish_reason=str((self.output or {}).get("finishReason", "")),
            approvals=self.approvals,
        )

    def _add(self, event: AgentEvent) -> None:
        number = len(self.events)
        self.events.append(replace(event, execution_id=MOCK, event_id=event.event_id or f"{number}:{event.type}"))

    def _call(self, event: AgentEvent, *, execute: bool) -> None:
        name, args = event.tool_name or "", dict(event.args or {})
        call = {"name": name, "args": args, "result": None, "status": "proposed", "approval_request_id": None}
        self.calls.append({**call, "call_id": f"{MOCK}-{len(self.calls)}", "open": True})
        tool = self.agent.tool(name)
        problem, gated = _checked(tool, name, args)
        self.calls[-1]["status"] = "gated" if gated and not problem else "proposed"
        if not execute or (gated and not problem):
            return
        value = f"error: {problem}" if problem or tool is None else _run_tool(tool, args)
        self._add(AgentEvent(EventType.TOOL_RESULT, tool_name=name, args=args, result=value))
        self._end_call(name, value)

    def _end_call(self, name: str, value: Any) -> None:
        call = next((call for call in self.calls if call["name"] == name and call["open"]), None)
        if call is None:
            raise InvalidRequest(f"events: a result of {name!r} comes without a call of it")
        failed = isinstance(value, str) and value.startswith("error: ")
        call |= {"result": value, "status": "failed" if failed else "succeeded", "open": False}

    def _ask(self, event: AgentEvent) -> None:
        asked = [call for call in self.calls if call["status"] == "gated" and call["approval_request_id"] is None]
        call: dict[str, Any] = asked[-1] if asked else {"name": "", "args": {}}
        approval_request_id = f"{MOCK}-approval-{len(self.approvals)}"
        call["approval_request_id"] = approval_request_id
        approval = {
            "approval_request_id": approval_request_id,
            "tool_name": call["name"],
            "arguments": call["args"],
            "title": event.content or f"Approval needed: {call['name']}",
            "status": ApprovalStatus.pending.value,
            "decided_by": None,
            "feedback": "",
        }
        self.approvals.append(approval)
        self.status = ExecutionStatus.waiting.value
        self._add(
            replace(
                event,
                tool_name=call["name"] or None,
                args=call["args"],
                approval_request_id=approval_request_id,
                approval=approval,
            )
        )

    def _resolve(self, event: AgentEvent) -> None:
        pending = [approval for approval in self.approvals if approval["status"] == ApprovalStatus.pending]
        if not pending:
            raise InvalidRequest(f"events: {event.content} comes without a `waiting` before it")
        pending[0] |= dict(event.approval or {})
        self.status = ExecutionStatus.waiting.value if pending[1:] else ExecutionStatus.running.value
        told = {"approval_request_id": pending[0]["approval_request_id"], "approval": pending[0]}
        self._add(replace(event, tool_name=pending[0]["tool_name"], **told))

    def _end(self, event: AgentEvent, status: ExecutionStatus, output: Mapping[str, Any]) -> None:
        """A script that goes on after a `waiting` without saying how it was decided means that it was approved."""
        for approval in self.approvals:
            if approval["status"] == ApprovalStatus.pending:
                approval["status"] = ApprovalStatus.approved.value
        self.status, self.output, self.error = status.value, output, event.content
        self._add(replace(event, output=output))


def _checked(tool: Tool | None, name: str, args: Mapping[str, Any]) -> tuple[str, bool]:
    """What is wrong with a call, as the model would be told, and whether people gate it."""
    if tool is None:
        return f"there is no tool called {name!r}", False
    try:
        return "", tool.gate(tool.validate(args)) is not None
    except InvalidRequest as error:
        return f"invalid arguments: {error.message}", tool.gated


def _run_tool(tool: Tool, args: Mapping[str, Any]) -> Any:
    """The free tool's value, or what a model would be told of its failure."""
    keywords = tool.call_arguments(tool.validate(args))
    if IDEMPOTENCY_KEY in inspect.signature(tool.function).parameters:
        keywords[IDEMPOTENCY_KEY] = MOCK
    try:
        value = tool.function(**keywords)
        return json_value(_awaited(value) if inspect.iscoroutine(value) else value)
    except Exception as error:  # noqa: BLE001 - the engine tells the model likewise
        return f"error: {type(error).__name__}: {error}"


def _awaited(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Its value, also where a loop runs in this thread."""
    holder = _Holder()

    async def value() -> Any:
        return await coroutine

    try:
        return background.hold(holder).wait(value, "mock_run")
    finally:
        background.release(holder)


class _Holder:
    def close(self) -> None:
        """Nothing is open."""

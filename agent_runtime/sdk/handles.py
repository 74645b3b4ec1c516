"""A hold on one execution, from wherever it is: its state, the decisions that it waits for, its events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from agent_runtime.core.approval import Decision, Outcome, Verdict, parse_verdict
from agent_runtime.core.canonical import canonical
from agent_runtime.errors import AmbiguousApproval, Conflict, InvalidRequest, NotFound
from agent_runtime.sdk.executions import Executions
from agent_runtime.sdk.loops import Home, awaiting, blocking
from agent_runtime.sdk.results import AgentResult, AgentStatus, result_of, status_of
from agent_runtime.sdk.snapshot import Snapshot
from agent_runtime.sdk.streaming import AgentStream

SETTLE_SECONDS = 30.0


class Runtime(Protocol):
    """What a handle needs of the runtime that it reaches its execution through."""

    def _home(self) -> Home: ...

    async def _executions(self) -> Executions: ...


class AgentHandle:
    """One execution. Cheap: make one from a stored `execution_id` in any process, thread or web endpoint.

    Args:
        execution_id: as `start` gave it.
        runtime: an open `AgentRuntime`; the process's default one where left out.

    Decisions go to what was *seen*: the approval that the last `get_status()` of this handle showed, or, where it has
    not looked yet, the one that is pending now. A decision that comes late never touches the next gate.
    """

    def __init__(self, execution_id: str, runtime: Runtime | None = None) -> None:
        if not isinstance(execution_id, str) or not execution_id:
            raise InvalidRequest(f"execution_id: {execution_id!r} must be the id that `start` gave")
        self.execution_id = execution_id
        self._runtime = runtime or _default_runtime()
        self._seen: list[str] = []

    async def _get_status(self, settle_seconds: float = SETTLE_SECONDS) -> AgentStatus:
        """Where the execution stands.

        While this process runs it, waits up to `settle_seconds` until it waits for people or is complete; 0 tells at
        once. Raises NotFound.
        """
        snapshot = await (await self._runtime._executions()).settled(self.execution_id, settle_seconds)
        self._seen = _ids(snapshot)
        return status_of(snapshot)

    async def _approve(
        self,
        feedback: str = "",
        *,
        approval_request_id: str | None = None,
        edited_arguments: Mapping[str, Any] | None = None,
    ) -> None:
        """Approves the pending call, which then runs; with `edited_arguments` where the approval allows edits.

        Where several are pending `approval_request_id` says which. Raises AmbiguousApproval naming them, Conflict
        where nothing is pending, AlreadyResolved naming who decided otherwise, ApprovalExpired, NotAuthorized.
        """
        edited = None if edited_arguments is None else canonical(dict(edited_arguments), name="edited_arguments")
        await self._decide(Decision(Verdict.approved, feedback, edited_arguments=edited), approval_request_id)

    async def _reject(self, reason: str = "", *, approval_request_id: str | None = None) -> None:
        """Rejects the pending call: it does not run, and the model is told the reason. Raises as `approve` does."""
        await self._decide(Decision(Verdict.rejected, reason), approval_request_id)

    async def _request_changes(self, feedback: str, *, approval_request_id: str | None = None) -> None:
        """The pending call does not run, and the model is told what to change. Raises as `approve` does, and
        InvalidRequest where `feedback` says nothing.
        """
        if not feedback.strip():
            raise InvalidRequest("feedback: say what should be different; the model is told")
        await self._decide(Decision(Verdict.request_changes, feedback), approval_request_id)

    async def _respond(
        self, answer: str | Mapping[str, Any], feedback: str = "", *, approval_request_id: str | None = None
    ) -> None:
        """Decides with the verdict in `answer`: "approved", "rejected" or "request_changes", or a mapping with
        `decision` and `feedback`, or with `approved` (a bool) and `reason`. Raises as `approve` does, and
        InvalidRequest for anything else.
        """
        await self._decide(_decision_in(answer, feedback), approval_request_id)

    async def _settle(
        self,
        outcome: str,
        *,
        result: Any = None,
        evidence: str = "",
        approval_request_id: str | None = None,
    ) -> None:
        """Says what became of a call in doubt: "happened" (with its result), "not_happened" or "stop"."""
        if outcome not in set(Outcome):
            raise InvalidRequest(f"outcome: {outcome!r} must be one of {', '.join(Outcome)}")
        executions = await self._runtime._executions()
        chosen = self._choose(await executions.look(self.execution_id), approval_request_id)
        await executions.settle(chosen, Outcome(outcome), result, evidence)

    async def _cancel(self, reason: str = "") -> None:
        """Ends the execution; what it asked is withdrawn. Raises Conflict where it has ended otherwise."""
        await (await self._runtime._executions()).cancel(self.execution_id, reason)

    async def _get_result(self) -> AgentResult:
        """Waits until the execution is complete.

        Raises CollaborationError or TimeoutError where a gate with `stop` ended it.
        """
        executions = await self._runtime._executions()
        return result_of(await executions.ended(self.execution_id))

    def stream(self) -> AgentStream:
        """Its events, from the first one on, however late this comes."""
        return AgentStream(self, self._runtime)

    def stream_async(self) -> AgentStream:
        """The same stream, for `async for`."""
        return self.stream()

    get_status, get_status_async = blocking(_get_status), awaiting(_get_status)
    approve, approve_async = blocking(_approve), awaiting(_approve)
    reject, reject_async = blocking(_reject), awaiting(_reject)
    request_changes, request_changes_async = blocking(_request_changes), awaiting(_request_changes)
    respond, respond_async = blocking(_respond), awaiting(_respond)
    settle, settle_async = blocking(_settle), awaiting(_settle)
    cancel, cancel_async = blocking(_cancel), awaiting(_cancel)
    get_result, get_result_async = blocking(_get_result), awaiting(_get_result)

    def __repr__(self) -> str:
        return f"AgentHandle(execution_id={self.execution_id!r})"

    def _home(self) -> Home:
        return self._runtime._home()

    async def _decide(self, decision: Decision, approval_request_id: str | None) -> None:
        executions = await self._runtime._executions()
        if approval_request_id is None and len(self._seen) == 1:
            chosen = self._seen[0]
        else:
            chosen = self._choose(await executions.look(self.execution_id), approval_request_id)
        repeated = await executions.decide(chosen, decision)
        if not repeated or approval_request_id is not None:
            return
        others = [pending for pending in _ids(await executions.look(self.execution_id)) if pending != chosen]
        if others:
            raise Conflict(
                f"{chosen}, which this handle saw, was {decision.verdict.value} before; {', '.join(others)} waits now: "
                "look with get_status(), then decide"
            )

    def _choose(self, snapshot: Snapshot, approval_request_id: str | None) -> str:
        """The id to decide. Raises NotFound, AmbiguousApproval or Conflict."""
        if approval_request_id is not None:
            if approval_request_id not in {approval["approval_request_id"] for approval in snapshot.approvals}:
                raise NotFound(f"{self.execution_id} has asked for no approval {approval_request_id!r}")
            return approval_request_id
        if not self._seen:
            self._seen = _ids(snapshot)
        if len(self._seen) == 1:
            return self._seen[0]
        open_still = [seen for seen in self._seen if seen in _ids(snapshot)]
        if len(open_still) > 1:
            raise AmbiguousApproval(
                f"several approvals are pending; name one with approval_request_id: {_named(snapshot, open_still)}"
            )
        if open_still:
            return open_still[0]
        if self._seen:
            raise Conflict("the approvals that this handle saw have ended; look again with get_status()")
        raise Conflict(f"{self.execution_id} is {snapshot.status} and waits for no decision")


def _default_runtime() -> Runtime:
    from agent_runtime.sdk.default import default_runtime

    return default_runtime()


def _ids(snapshot: Snapshot) -> list[str]:
    return [str(approval["approval_request_id"]) for approval in snapshot.pending]


def _named(snapshot: Snapshot, ids: list[str]) -> str:
    names = {approval["approval_request_id"]: approval["tool_name"] for approval in snapshot.approvals}
    return ", ".join(f"{pending} ({names[pending]})" for pending in ids)


def _decision_in(answer: str | Mapping[str, Any], feedback: str) -> Decision:
    if not isinstance(answer, Mapping):
        return Decision(parse_verdict(answer), feedback)
    given = dict(answer)
    words = str(given.pop("feedback", "") or given.pop("reason", "") or feedback)
    if set(given) == {"decision"}:
        return Decision(parse_verdict(given["decision"]), words)
    if set(given) == {"approved"} and isinstance(given["approved"], bool):
        return Decision(Verdict.approved if given["approved"] else Verdict.rejected, words)
    raise InvalidRequest(
        'respond: send {"decision": "approved", "feedback": …}, or {"approved": true or false, "reason": …}'
    )

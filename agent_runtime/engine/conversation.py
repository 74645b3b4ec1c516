"""The LLM loop of one claimed execution: ask the model, run what may run, park while people decide.

Its next action is a pure function of the journal (`core.journal.next_action`), so that it can be dropped at any point
and taken up by another worker from records alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from agent_runtime import failpoints
from agent_runtime.agent import Agent
from agent_runtime.core.canonical import parse_json
from agent_runtime.core.checkpoints import describe, shadowed
from agent_runtime.core.execution import Execution, ExecutionStatus, Step, StepKind, StepStatus
from agent_runtime.core.journal import AskModel, Fail, Finish, last_word, messages, next_action
from agent_runtime.core.policy import Defaults, evaluate
from agent_runtime.engine.calls import Calls
from agent_runtime.engine.model import Model, ModelRequest
from agent_runtime.engine.output import fitted
from agent_runtime.engine.turns import Turns
from agent_runtime.errors import CountersignError, InvalidRequest, InvalidSetting, ModelRefused
from agent_runtime.operations.advance import ProposedCall, complete, record_note, record_reply
from agent_runtime.operations.claim import Claim
from agent_runtime.store.database import Database

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Conversation:
    """One execution of an LLM agent, while this worker holds it."""

    agent: Agent
    execution: Execution
    journal: list[Step]
    database: Database
    model: Model
    calls: Calls
    defaults: Defaults
    _turns: Turns = field(init=False)

    def __post_init__(self) -> None:
        self._turns = Turns(self.execution, self.journal, self.database, self._call)

    @classmethod
    def of(cls, claim: Claim, agent: Agent, database: Database, model: Model, calls: Calls) -> Conversation:
        return cls(agent, claim.execution, list(claim.journal), database, model, calls, calls.defaults)

    def calling(self) -> bool:
        """Whether it runs a tool now."""
        return self._turns.running

    async def run(self) -> None:
        """Moves the execution until it waits or ends. Raises LostClaim, ModelUnavailable, Stopped."""
        while True:
            action = next_action(self.journal)
            if isinstance(action, AskModel):
                self.calls.switchboard.require(self.agent.name)
                if action.turn >= self.agent.max_turns:
                    return await self._fail("MaxTurns", f"no answer within {self.agent.max_turns} turns", "MAX_TURNS")
                try:
                    if await self._ask_model(action.turn):
                        return None
                except (ModelRefused, InvalidSetting) as error:
                    return await self._fail(type(error).__name__, error.message, "ERROR")
            elif isinstance(action, Finish):
                if await self._finish(action):
                    return None
            elif isinstance(action, Fail):
                return await self._fail(action.error["type"], action.error["message"], action.finish_reason)
            elif not await self._turns.run():
                return None

    async def _ask_model(self, turn: int) -> bool:
        """One turn of the model's; whether the execution waits or has ended with it."""
        request = ModelRequest(
            model=self.agent.model,
            messages=messages(self.agent.instructions, self.execution, self.journal),
            tools=self.agent.tool_schemas,
            response_format=self.agent.response_format,
        )
        failpoints.reach("model.before", self.agent.name)
        reply = await self.model.complete(request)
        failpoints.reach("model.after", self.agent.name)
        proposed = [self._proposed(call) for call in reply["message"].get("tool_calls") or ()]
        calls = self._within_limits(proposed)
        rests = bool(calls) and all(call.gated for call in calls)
        answer = last_word(reply) if not calls and self.agent.output_adapter is None else None
        steps = await self.database.write(
            record_reply,
            self.execution,
            len(self.journal),
            turn,
            reply,
            calls,
            seen=self._turns.seen if rests else None,
            answer=answer,
        )
        self.journal += steps
        for step in steps:
            if step.status == StepStatus.gated:
                log.info(
                    "paused: a call waits for approval",
                    execution_id=step.execution_id,
                    tool=step.name,
                    approval_request_id=step.approval_request_id,
                )
        return rests or answer is not None

    def _proposed(self, call: dict[str, Any]) -> ProposedCall:
        """One call of the model's, validated, with the policy's verdict."""
        name, call_id = call["function"]["name"], call["id"]
        tool = self.agent.tool(name)
        if tool is None:
            return ProposedCall(call_id, name, {}, problem=f"there is no tool called {name!r}")
        try:
            given = parse_json((call["function"]["arguments"] or "{}").encode())
            if not isinstance(given, dict):
                raise InvalidRequest(f"{name}: the arguments must be a JSON object")
            arguments = tool.validate(given)
            gate = tool.gate(arguments)
            policy = evaluate(name, gate, self.defaults)
        except (ValueError, CountersignError) as error:
            return ProposedCall(call_id, name, {}, tool.version, tool.effect, problem=f"invalid arguments: {error}")
        return ProposedCall(
            call_id,
            name,
            arguments,
            tool.version,
            tool.effect_when(gated=policy is not None),
            policy,
            title=describe(name, arguments, self.defaults, redacted=policy.redact if policy is not None else ()),
            shadowed=shadowed(name, arguments, gate, self.defaults),
        )

    def _within_limits(self, proposed: Sequence[ProposedCall]) -> list[ProposedCall]:
        """Calls past a tool's `max_calls` are refused with the reason."""
        made = [step.name for step in self.journal if step.kind == StepKind.tool]
        kept: list[ProposedCall] = []
        for call in proposed:
            tool = self.agent.tool(call.tool_name)
            limit = tool.max_calls if tool else None
            if limit is not None and made.count(call.tool_name) >= limit:
                call = ProposedCall(
                    call.call_id, call.tool_name, {}, problem=f"{call.tool_name} was called {limit} times"
                )
            made.append(call.tool_name)
            kept.append(call)
        return kept

    async def _call(self, step: Step) -> Step:
        return await self.calls.run(self.execution, self.agent.tool(step.name), step)

    async def _finish(self, action: Finish) -> bool:
        """Ends the execution with the model's answer; False where that lacks the wanted form and is asked for again."""
        value: Any = action.text
        adapter = self.agent.output_adapter
        if adapter is not None:
            try:
                value = fitted(adapter, action.text)
            except InvalidRequest as error:
                position, turn = len(self.journal), self.journal[-1].turn
                note = await self.database.write(record_note, self.execution, position, turn, error.message)
                self.journal.append(note)
                return False
        await self.database.write(
            complete,
            self.execution,
            ExecutionStatus.succeeded,
            output={"result": value, "finishReason": action.finish_reason},
            finish_reason=action.finish_reason,
        )
        return True

    async def _fail(self, type: str, message: str, finish_reason: str) -> None:
        log.error("execution failed", execution_id=self.execution.execution_id, error=f"{type}: {message}")
        await self.database.write(
            complete,
            self.execution,
            ExecutionStatus.failed,
            output={"result": f"{type}: {message}", "finishReason": finish_reason},
            error={"type": type, "message": message},
            finish_reason=finish_reason,
        )

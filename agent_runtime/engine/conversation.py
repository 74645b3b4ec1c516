"""The LLM loop of one claimed execution: ask the model, run what may run, park while people decide.

Its next action is a pure function of the journal (`core.journal.next_action`), so that it can be dropped at any point
and taken up by another worker from records alone.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from pydantic import ValidationError

from agent_runtime.agent import Agent
from agent_runtime.core.execution import Execution, ExecutionStatus, Step, StepKind
from agent_runtime.core.journal import AskModel, Fail, Finish, messages, next_action
from agent_runtime.core.policy import Defaults, evaluate
from agent_runtime.engine.calls import Calls
from agent_runtime.engine.model import Model, ModelRequest
from agent_runtime.errors import CountersignError, InvalidRequest, ModelRefused
from agent_runtime.operations.advance import ProposedCall, complete, record_note, record_reply
from agent_runtime.operations.claim import Claim, park
from agent_runtime.store.database import Database
from agent_runtime.store.executions import GET_EXECUTION
from agent_runtime.store.steps import JOURNAL
from agent_runtime.tools import json_value

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

    @classmethod
    def of(cls, claim: Claim, agent: Agent, database: Database, model: Model, calls: Calls) -> Conversation:
        return cls(agent, claim.execution, list(claim.journal), database, model, calls, calls.defaults)

    async def run(self) -> None:
        """Moves the execution until it waits or ends. Raises LostClaim, ModelUnavailable."""
        while True:
            action = next_action(self.journal)
            if isinstance(action, AskModel):
                if action.turn >= self.agent.max_turns:
                    return await self._fail("MaxTurns", f"no answer within {self.agent.max_turns} turns", "MAX_TURNS")
                try:
                    await self._ask_model(action.turn)
                except ModelRefused as error:
                    return await self._fail("ModelRefused", error.message, "ERROR")
            elif isinstance(action, Finish):
                if await self._finish(action):
                    return None
            elif isinstance(action, Fail):
                return await self._fail(action.error["type"], action.error["message"], action.finish_reason)
            elif not await self._run_calls():
                return None

    async def _ask_model(self, turn: int) -> None:
        request = ModelRequest(
            model=self.agent.model,
            messages=messages(self.agent.instructions, self.execution, self.journal),
            tools=self.agent.tool_schemas,
            response_format=self.agent.response_format,
        )
        reply = await self.model.complete(request)
        proposed = [self._proposed(call) for call in reply["message"].get("tool_calls") or ()]
        self.journal += await self.database.write(
            record_reply, self.execution, len(self.journal), turn, reply, self._within_limits(proposed)
        )

    def _proposed(self, call: dict[str, Any]) -> ProposedCall:
        """One call of the model's, validated, with the policy's verdict."""
        name, call_id = call["function"]["name"], call["id"]
        tool = self.agent.tool(name)
        if tool is None:
            return ProposedCall(call_id, name, {}, problem=f"there is no tool called {name!r}")
        try:
            given = json.loads(call["function"]["arguments"] or "{}")
            if not isinstance(given, dict):
                raise InvalidRequest(f"{name}: the arguments must be a JSON object")
            arguments = tool.validate(given)
            policy = evaluate(name, tool.gate(arguments), self.defaults)
        except (ValueError, CountersignError) as error:
            return ProposedCall(call_id, name, {}, tool.version, tool.effect, problem=f"invalid arguments: {error}")
        return ProposedCall(call_id, name, arguments, tool.version, tool.effect_when(gated=policy is not None), policy)

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

    async def _run_calls(self) -> bool:
        """Runs the calls of this turn until all have ended; False where the execution parked to wait for people."""
        running: dict[int, asyncio.Task[Step]] = {}
        seen = self.execution.signals
        try:
            with self.database.wakes.listen(f"execution:{self.execution.execution_id}") as woken:
                while True:
                    woken.clear()
                    action = next_action(self.journal)
                    if isinstance(action, AskModel | Finish | Fail):
                        if not running:
                            return True
                    else:
                        for step in (*action.ready, *action.interrupted):
                            if step.position not in running:
                                running[step.position] = asyncio.create_task(self._run(step))
                        if not running:
                            await self.database.write(park, self.execution, seen)
                            return False
                    await self._wait(running, woken)
                    if woken.is_set():
                        seen = await self._reload(seen, set(running))
        finally:
            await _abandon(list(running.values()))

    async def _run(self, step: Step) -> Step:
        return await self.calls.run(self.execution, self.agent.tool(step.name), step)

    async def _wait(self, running: dict[int, asyncio.Task[Step]], woken: asyncio.Event) -> None:
        """Until a call ends or somebody decides; ended calls go into the journal."""
        waiting = asyncio.create_task(woken.wait())
        try:
            await asyncio.wait({*running.values(), waiting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        for position in [position for position, call in running.items() if call.done()]:
            self._replace(running.pop(position).result())

    async def _reload(self, seen: int, running: set[int]) -> int:
        """Takes up what people decided; the signals are read first, so that none is missed when parking."""
        current = await self.database.one(GET_EXECUTION, b_id=self.execution.execution_id)
        if current is not None and current.signals == seen:
            return seen
        for step in await self.database.all(JOURNAL, b_id=self.execution.execution_id):
            if step.position not in running:
                self._replace(step)
        return seen if current is None else current.signals

    def _replace(self, step: Step) -> None:
        if step.position < len(self.journal):
            self.journal[step.position] = step

    async def _finish(self, action: Finish) -> bool:
        """Ends the execution with the model's answer; False where the answer lacks the wanted form and it is asked
        again.
        """
        value: Any = action.text
        adapter = self.agent.output_adapter
        if adapter is not None:
            try:
                value = json_value(adapter.validate_json(action.text))
            except ValidationError as error:
                problem = f"the answer does not fit the wanted output: {error}"
                turn = self.journal[-1].turn
                self.journal.append(
                    await self.database.write(record_note, self.execution, len(self.journal), turn, problem)
                )
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
        log.warning("execution failed", execution_id=self.execution.execution_id, error=f"{type}: {message}")
        await self.database.write(
            complete,
            self.execution,
            ExecutionStatus.failed,
            output={"result": f"{type}: {message}", "finishReason": finish_reason},
            error={"type": type, "message": message},
            finish_reason=finish_reason,
        )


async def _abandon(running: Sequence[asyncio.Task[Step]]) -> None:
    """Ends calls that nobody waits for any more; what they had started is settled by whoever claims next."""
    for call in running:
        call.cancel()
    await asyncio.gather(*running, return_exceptions=True)

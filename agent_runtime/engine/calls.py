"""Runs one call of a tool: commit "started" where its effect demands it, the effect, then the result.

The only code that calls a tool's function.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from agent_runtime import failpoints
from agent_runtime.core.canonical import canonical, parsed
from agent_runtime.core.duration import SECOND
from agent_runtime.core.execution import LEASE, LEASE_FRESH, Execution, Step, StepStatus
from agent_runtime.core.journal import bounded, cut_value
from agent_runtime.core.policy import Defaults
from agent_runtime.engine.functions import Functions
from agent_runtime.engine.starting import Starting
from agent_runtime.engine.switchboard import Switchboard
from agent_runtime.errors import InvalidRequest, LostClaim, Overloaded, StoreUnavailable, ToolTimedOut
from agent_runtime.operations.calls import ask_in_doubt, finish_call
from agent_runtime.store.database import Database
from agent_runtime.store.faults import OutcomeUnknown
from agent_runtime.store.steps import GET_STEP
from agent_runtime.tools import IDEMPOTENCY_KEY, Tool, json_value

log = structlog.get_logger(__name__)

RESULT_LIMIT = 100_000
"""Characters of a call's result that are recorded and told to the model, where no setting says otherwise."""

LONGEST_PAUSE = 5.0
"""Seconds between tries to record a result while the database is away."""


@dataclass(slots=True)
class Calls:
    """Runs calls for a worker."""

    database: Database
    defaults: Defaults
    functions: Functions
    switchboard: Switchboard
    starting: Starting
    result_limit: int = RESULT_LIMIT

    async def run(self, execution: Execution, tool: Tool | None, step: Step) -> Step:
        """Runs a call that is ready, or settles one that a lost claim left started; returns the step as it is then.

        Raises LostClaim where another worker has taken the execution, Stopped where the stop switch covers the call.
        """
        self.switchboard.require(execution.agent, step.name)
        if step.status == StepStatus.started:
            return await self._recover(execution, tool, step)
        if tool is None:
            error = f"this agent has no tool called {step.name!r}"
            return await self._finish(execution, step, StepStatus.failed, {"error": error})
        if step.approval_request_id is None and step.effect == "idempotent":
            return await self._perform(execution, tool, step)
        return await self._start_and_perform(execution, tool, step)

    async def _start_and_perform(self, execution: Execution, tool: Tool, step: Step) -> Step:
        """The only way a gated call reaches its function."""
        started, since = await self.starting.start(execution, tool, step)
        if started.status != StepStatus.started:
            return started
        return await self._perform(execution, tool, started, since + (LEASE - LEASE_FRESH) / SECOND)

    async def _recover(self, execution: Execution, tool: Tool | None, step: Step) -> Step:
        """A call that was started and never finished: what may be done depends on its effect."""
        if tool is None:
            return await self._ask(execution, step, f"its process died, and there is no tool called {step.name!r} now")
        if step.effect == "idempotent":
            return await self._start_and_perform(execution, tool, step)
        if step.effect == "keyed" and tool.version == step.tool_version:
            return await self._start_and_perform(execution, tool, step)
        if step.effect == "checkable" and tool.lookup is not None:
            try:
                found = json_value(await self._call(tool.lookup, tool, step))
                failpoints.reach("lookup.after", step.effect)
            except Exception as error:  # noqa: BLE001 - a look-up that cannot tell leaves the call in doubt
                return await self._ask(execution, step, f"the look-up could not tell: {self._words(error)}")
            if found is not None:
                return await self._finish(
                    execution, step, StepStatus.succeeded, {**bounded(found, self.result_limit), "looked_up": True}
                )
            return await self._start_and_perform(execution, tool, step)
        return await self._ask(execution, step, "the process that ran it died before it could record the result")

    async def _perform(self, execution: Execution, tool: Tool, step: Step, leased_until: float | None = None) -> Step:
        """The effect, and its end recorded. A process that was paused past `leased_until` (monotonic seconds) does not
        begin: others may have settled the call meanwhile.
        """
        failpoints.reach("effect.before", step.effect)
        if leased_until is not None and time.monotonic() >= leased_until:
            raise LostClaim(f"{execution.execution_id}: this process was paused past its lease; {tool.name} is not run")
        try:
            value = await self._call(tool.function, tool, step)
            failpoints.reach("effect.after", step.effect)
        except ToolTimedOut as error:
            if step.effect != "idempotent":
                return await self._ask(execution, step, error.message)
            return await self._finish(execution, step, StepStatus.failed, {"error": error.message})
        except Exception as error:  # noqa: BLE001 - the model is told what the tool said
            log.info("tool failed", tool=tool.name, execution_id=execution.execution_id, error=type(error).__name__)
            return await self._finish(execution, step, StepStatus.failed, {"error": self._words(error)})
        try:
            result = json_value(value)
            text = canonical(result, name="the result")
        except InvalidRequest as error:
            problem = {"error": f"the call ran, but what it returned cannot be recorded: {error.message}"}
            return await self._finish(execution, step, StepStatus.failed, problem)
        return await self._finish(execution, step, StepStatus.succeeded, bounded(result, self.result_limit, text))

    async def _call(self, function: Callable[..., Any], tool: Tool, step: Step) -> Any:
        given = tool.call_arguments(parsed(step.arguments))
        if _takes_key(function):
            given[IDEMPOTENCY_KEY] = step.idempotency_key
        if tool.timeout_seconds is None:
            return await self.functions.call(function, (), given)
        limit = asyncio.timeout(tool.timeout_seconds)
        try:
            async with limit:
                return await self.functions.call(function, (), given)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise ToolTimedOut(f"{tool.name} ran longer than {tool.timeout_seconds} s") from error

    async def _finish(self, execution: Execution, step: Step, status: StepStatus, result: Mapping[str, Any]) -> Step:
        """Records the end. A database that is away is waited out: what happened is known, and is not to be in doubt."""
        pause, unknown = 0.1, False
        while True:
            try:
                return await self.database.write(finish_call, execution, step, status, result)
            except (StoreUnavailable, Overloaded) as error:
                log.warning("could not record the end of a call", step=step.position, reason=error.message)
                unknown |= isinstance(error, OutcomeUnknown)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            except LostClaim:
                landed = await self._landed(step, status) if unknown else None
                if landed is None:
                    raise
                return landed

    async def _landed(self, step: Step, status: StepStatus) -> Step | None:
        """The step, where an earlier try did record its end although its answer was lost."""
        now = await self.database.one(GET_STEP, b_id=step.execution_id, b_position=step.position)
        return now if now is not None and (now.status, now.fence) == (status, step.fence) else None

    async def _ask(self, execution: Execution, step: Step, why: str) -> Step:
        return await self.database.write(ask_in_doubt, execution, step, why, self.defaults)

    def _words(self, error: Exception) -> str:
        """An exception as the model and people are told it, cut as a result is; what is no Unicode is written out."""
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return str(cut_value(bounded(text.encode("utf-8", "backslashreplace").decode(), self.result_limit)))


def _takes_key(function: Callable[..., Any]) -> bool:
    """Whether it has a parameter for the idempotency key; reading a signature takes as long as writing a row."""
    return _signature_has_key(function) if isinstance(function, Hashable) else _signature_has_key.__wrapped__(function)


@functools.lru_cache(maxsize=1024)
def _signature_has_key(function: Callable[..., Any]) -> bool:
    return IDEMPOTENCY_KEY in inspect.signature(function).parameters

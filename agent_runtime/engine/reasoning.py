"""One reasoner that runs: its coroutine, its journal, and the claim that it holds while it has something to write.

While the process lives the coroutine stays where it is and continues from the exact line. It parks (the execution
waits, nothing is claimed) when all that it does is wait for people or children; a decision queues the execution, this
worker claims it and the coroutine goes on. After a crash the coroutine is run again from the top against the journal.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog
from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

from agent_runtime.agent import Agent
from agent_runtime.context import CURRENT, ApprovalResult, Pause
from agent_runtime.core.canonical import canonical, digest
from agent_runtime.core.execution import Execution, ExecutionStatus, Step, StepKind, StepStatus
from agent_runtime.core.journal import answer
from agent_runtime.core.policy import Defaults, merge
from agent_runtime.core.replay import Asked, Replay
from agent_runtime.engine.chat import ask
from agent_runtime.engine.functions import Functions
from agent_runtime.engine.model import Model
from agent_runtime.errors import CountersignError, LostClaim, ModelUnavailable, StepFailed
from agent_runtime.operations.advance import complete
from agent_runtime.operations.claim import Claim, park
from agent_runtime.operations.reason import (
    Note,
    Record,
    adopt,
    call_child,
    pause,
    reclaim,
    record_done,
    record_notes,
)
from agent_runtime.operations.start import Start
from agent_runtime.reasoner import Reasoner
from agent_runtime.store.approvals import OF_EXECUTION
from agent_runtime.store.database import Database
from agent_runtime.tools import json_value

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class Reasoning:
    """A `ReasonerContext` on this worker. `taken_back` tells the worker that it claimed by itself, to go on."""

    agent: Agent
    reasoner: Reasoner
    execution: Execution
    database: Database
    model: Model
    defaults: Defaults
    worker_id: str
    functions: Functions
    taken_back: Callable[[Reasoning], None]
    _replay: Replay = field(default_factory=Replay)
    _notes: list[Note] = field(default_factory=list)
    _waiting: dict[str, asyncio.Future[Step]] = field(default_factory=dict)
    _approvals: dict[str, asyncio.Future[ApprovalResult]] = field(default_factory=dict)
    _busy: int = 0
    _parked: bool = False
    _gate: asyncio.Lock = field(default_factory=asyncio.Lock)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _coroutine: asyncio.Task[None] | None = None
    _parking: asyncio.Task[None] | None = None
    _failure: Exception | None = None
    _limit: asyncio.Timeout | None = None
    _left: float | None = None

    # --- the worker's side -----------------------------------------------------------------------------------------

    async def session(self, claimed: Claim | None) -> None:
        """Runs under a claim until the coroutine parks or ends; raises what ended it (LostClaim, ModelUnavailable)."""
        if claimed is not None:
            self._hold(claimed.execution)
            if self._coroutine is None:
                self._begin(claimed.journal)
            else:
                await self._deliver(claimed.journal)
        while not self._parked and not self.ended and self._failure is None:
            self._changed.clear()
            self._park_if_idle()
            await self._changed.wait()
        if self._failure is not None:
            raise self._failure
        if self._coroutine is not None and self._coroutine.done():
            self._coroutine.result()

    @property
    def ended(self) -> bool:
        return self._coroutine is not None and self._coroutine.done()

    @property
    def parked(self) -> bool:
        return self._parked and not self.ended

    async def drop(self) -> None:
        """Cancels the coroutine (its `finally` blocks run); the journal is all that is left of it."""
        for running in (self._parking, self._coroutine):
            if running is not None:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    def _begin(self, journal: Sequence[Step]) -> None:
        self._replay = Replay.of(journal)
        token = CURRENT.set(self)
        self._coroutine = asyncio.create_task(self._run(), name=f"reasoner {self.execution.execution_id}")
        CURRENT.reset(token)
        self._coroutine.add_done_callback(lambda _: self._changed.set())

    def _hold(self, execution: Execution) -> None:
        self.execution = execution
        self._parked = False
        self._run_clock(running=True)
        self._changed.set()

    async def _deliver(self, journal: Sequence[Step]) -> None:
        """What people and children said goes to the lines that wait for it."""
        for step in journal:
            waiting = self._waiting.get(step.call_id)
            if waiting is not None and not step.open and not waiting.done():
                self._replay.take(step)
                waiting.set_result(step)
        if self._approvals:
            for approval in await self.database.all(OF_EXECUTION, b_execution=self.execution.execution_id):
                resumed = self._approvals.get(approval.approval_request_id)
                if resumed is not None and not approval.pending and not resumed.done():
                    resumed.set_result(ApprovalResult(**answer(approval)))

    async def _run(self) -> None:
        """The coroutine from the top to its end, which is written under the claim."""
        given: Mapping[str, Any] = json.loads(self.execution.input).get("input") or {}
        try:
            self._limit = asyncio.timeout(self.reasoner.timeout_seconds)
            async with self._limit:
                value = json_value(await self.reasoner.function(**self.reasoner.arguments(given)))
        except (LostClaim, ModelUnavailable, asyncio.CancelledError):
            raise
        except TimeoutError as error:
            if self._limit is not None and self._limit.expired():
                await self._fail("ReasonerTimedOut", f"ran longer than {self.reasoner.timeout_seconds} s")
            else:
                await self._fail(type(error).__name__, str(error))
        except Exception as error:
            if not isinstance(error, CountersignError):
                log.exception("reasoner raised", execution_id=self.execution.execution_id, reasoner=self.reasoner.name)
            await self._fail(type(error).__name__, str(error))
        else:
            await self._end(ExecutionStatus.succeeded, {"result": value, "finishReason": "STOP"}, None, "STOP")

    async def _fail(self, kind: str, message: str) -> None:
        log.warning("reasoner failed", execution_id=self.execution.execution_id, error=f"{kind}: {message}")
        output = {"result": f"{kind}: {message}", "finishReason": "ERROR"}
        await self._end(ExecutionStatus.failed, output, {"type": kind, "message": message}, "ERROR")

    async def _end(
        self, status: ExecutionStatus, output: Mapping[str, Any], error: Mapping[str, str] | None, reason: str
    ) -> None:
        async with self._claimed():
            if notes := self._take_notes():
                await self.database.write(record_notes, self.execution, notes)
            await self.database.write(
                complete, self.execution, status, output=output, error=error, finish_reason=reason
            )

    # --- the coroutine's side ----------------------------------------------------------------------------------------

    async def ai(
        self, *, system: str, user: str, schema: Any, model: str | None, default_model: str, name: str | None
    ) -> Any:
        asked = Asked(StepKind.model, "ai", digest({"system": system, "user": user}))
        key, position, recorded = self._replay.ask(asked, name)
        if recorded is None:
            async with self._claimed():
                answered = await ask(self.model, model or default_model, system, user, schema)
                recorded = await self._record(asked, key, position, StepStatus.succeeded, answered)
        else:
            self._notes.clear()
        value = json.loads(recorded.result or "{}")["value"]
        return value if schema is None else _instance(schema, value)

    async def step(
        self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], *, name: str
    ) -> Any:
        asked = Asked(StepKind.tool, name, digest(_jsonable({"args": list(args), "kwargs": dict(kwargs)})))
        key, position, recorded = self._replay.ask(asked, None)
        if recorded is None:
            async with self._claimed():
                try:
                    value = json_value(await self.functions.call(function, args, kwargs))
                    status, result = StepStatus.succeeded, {"value": value}
                except LostClaim:
                    raise
                except Exception as error:  # noqa: BLE001 - recorded, and raised below as a replay raises it
                    status, result = StepStatus.failed, {"error": {"type": type(error).__name__, "message": str(error)}}
                recorded = await self._record(asked, key, position, status, result)
        else:
            self._notes.clear()
        result = json.loads(recorded.result or "{}")
        if "error" in result:
            raise StepFailed(f"{name}: {result['error']['type']}: {result['error']['message']}", **result["error"])
        return result["value"]

    async def pause(self, asked: Pause, *, name: str | None) -> ApprovalResult:
        wanted = Asked(StepKind.pause, asked.approval_request_id or "pause", digest({"url": asked.url}))
        key, position, recorded = self._replay.ask(wanted, name)
        if recorded is None:
            rule = f"pause:{self.agent.name}.{self.reasoner.name}"
            policy = merge([asked.approval], self.defaults, rules=(rule,))
            async with self._claimed():
                made: Step = await self.database.write(
                    pause,
                    self.execution,
                    Record(key, position, StepKind.pause, wanted.name, wanted.digest),
                    policy,
                    self._take_notes(),
                    approval_request_id=asked.approval_request_id,
                    title=asked.title,
                    url=asked.url,
                )
                self._replay.take(made)
            recorded = made
        else:
            self._notes.clear()
        ended = recorded if not recorded.open else await self._wait(key)
        return ApprovalResult(**json.loads(ended.result or "{}"))

    async def wait_for_resume(self, approval_request_id: str, timeout: float | None) -> ApprovalResult | None:
        async with self._claimed():
            approval = await self.database.write(adopt, self.execution, approval_request_id)
        if approval is None:
            return None
        if not approval.pending:
            return ApprovalResult(**answer(approval))
        decided: asyncio.Future[ApprovalResult] = asyncio.get_running_loop().create_future()
        self._approvals[approval_request_id] = decided
        try:
            self._changed.set()
            return await asyncio.wait_for(decided, timeout)
        except TimeoutError:
            return ApprovalResult("error", "nobody decided in time", approval_request_id, self.execution.execution_id)
        finally:
            del self._approvals[approval_request_id]

    def note(self, message: str, tags: Sequence[str]) -> None:
        self._notes.append(Note(str(message), [str(tag) for tag in tags]))

    async def call(self, target: str, given: Mapping[str, Any], *, name: str | None) -> Any:
        agent, _, reasoner = target.partition(".")
        asked = Asked(StepKind.call, target, digest(_jsonable(dict(given))))
        key, position, recorded = self._replay.ask(asked, name)
        if recorded is None:
            child = Start(agent, {"input": json_value(dict(given))}, reasoner=reasoner or None)
            async with self._claimed():
                wanted = Record(key, position, StepKind.call, asked.name, asked.digest)
                made: Step = await self.database.write(call_child, self.execution, wanted, child, self._take_notes())
                self._replay.take(made)
            recorded = made
        else:
            self._notes.clear()
        ended = recorded if not recorded.open else await self._wait(key)
        result = json.loads(ended.result or "{}")
        if result["status"] != ExecutionStatus.succeeded:
            error = result.get("error") or {"type": "Cancelled", "message": result["status"]}
            raise StepFailed(f"{target} {result['status']}: {error['type']}: {error['message']}", **error)
        return result["value"]

    # --- claims and parking -----------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _claimed(self) -> AsyncIterator[None]:
        """Holds the claim around a write; takes it back where the execution was parked meanwhile."""
        self._busy += 1
        try:
            async with self._gate:
                if self._parked:
                    await self._take_back()
            yield
        finally:
            self._busy -= 1
            self._changed.set()

    async def _take_back(self) -> None:
        """Another branch of a parked coroutine has something to do: claim again, or wait for the claim under way."""
        claimed = await self.database.write(reclaim, self.execution, self.worker_id)
        if claimed is not None:
            self._hold(claimed)
            self.taken_back(self)
            return
        while self._parked:
            self._changed.clear()
            await self._changed.wait()

    def _park_if_idle(self) -> None:
        waits = bool(self._waiting or self._approvals)
        if waits and not self._busy and not self._parked and (self._parking is None or self._parking.done()):
            self._parking = asyncio.create_task(self._park())

    async def _park(self) -> None:
        async with self._gate:
            delivered = [future.done() for future in self._waiting.values()]
            delivered += [future.done() for future in self._approvals.values()]
            if self._busy or self._parked or self.ended or not delivered or any(delivered):
                return
            try:
                await self.database.write(park, self.execution, self.execution.signals, keep=self.worker_id)
            except Exception as error:  # noqa: BLE001 - raised by the session that waits
                self._failure = error
            else:
                self._parked = True
                self._run_clock(running=False)
        self._changed.set()

    async def _wait(self, key: str) -> Step:
        future: asyncio.Future[Step] = asyncio.get_running_loop().create_future()
        self._waiting[key] = future
        try:
            self._changed.set()
            return await future
        finally:
            del self._waiting[key]
            self._changed.set()

    def _run_clock(self, *, running: bool) -> None:
        """The time that people take never counts against the reasoner's own limit."""
        if self._limit is None or self.reasoner.timeout_seconds is None:
            return
        now = asyncio.get_running_loop().time()
        if running and self._left is not None:
            self._limit.reschedule(now + self._left)
            self._left = None
        elif not running and (until := self._limit.when()) is not None:
            self._left = until - now
            self._limit.reschedule(None)

    async def _record(
        self, asked: Asked, key: str, position: int, status: StepStatus, result: Mapping[str, Any]
    ) -> Step:
        wanted = Record(key, position, StepKind(asked.kind), asked.name, asked.digest)
        step = await self.database.write(record_done, self.execution, wanted, status, result, self._take_notes())
        self._replay.take(step)
        return step

    def _take_notes(self) -> list[Note]:
        notes, self._notes = self._notes, []
        return notes


def _jsonable(value: Any) -> Any:
    """Arguments as JSON for the digest; what has no JSON form counts by its type's name."""
    return json.loads(canonical(to_jsonable_python(value, fallback=lambda other: type(other).__name__)))


def _instance(schema: Any, value: Any) -> Any:
    return TypeAdapter(schema).validate_python(value)

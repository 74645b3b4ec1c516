"""What a reasoner's code asks for: answered from the journal, or done and recorded there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from pydantic import TypeAdapter, ValidationError

from agent_runtime import failpoints
from agent_runtime.agent import Agent
from agent_runtime.arguments import problems
from agent_runtime.context import CURRENT, ApprovalResult, Pause
from agent_runtime.core.canonical import canonical, digest
from agent_runtime.core.execution import ExecutionStatus, Step, StepKind, StepStatus
from agent_runtime.core.journal import answer
from agent_runtime.core.notes import Note, Notes
from agent_runtime.core.policy import Defaults, merge
from agent_runtime.core.replay import Asked, Place, Replay
from agent_runtime.engine.chat import ask
from agent_runtime.engine.functions import Functions
from agent_runtime.engine.inside_step import InsideStep, note_of
from agent_runtime.engine.model import Model
from agent_runtime.engine.switchboard import Switchboard
from agent_runtime.engine.tenure import Tenure
from agent_runtime.errors import CountersignError, ModelRefused, ModelUnavailable, NonDeterminism, StepFailed
from agent_runtime.operations.reason import Record, adopt, call_child, pause, record_done, resume, use_answer
from agent_runtime.operations.start import Start
from agent_runtime.plain import error_words, plain, plain_arguments
from agent_runtime.tools import json_value


@dataclass(slots=True)
class Surroundings:
    """What a worker has for all its reasoners."""

    model: Model
    defaults: Defaults
    functions: Functions
    switchboard: Switchboard


@dataclass(slots=True)
class Journaled:
    """A `ReasonerContext`. Each thing has its place in the journal from the moment that it is asked for.

    `unused` holds the approvals that have ended and whose answer no code has got yet: it is handed out under a claim,
    so that no other execution can take the approval over as well.
    """

    agent: Agent
    tenure: Tenure
    around: Surroundings
    replay: Replay = field(default_factory=Replay)
    notes: Notes = field(default_factory=Notes)
    unused: frozenset[str] = frozenset()

    async def ai(
        self, *, system: str, user: str, schema: Any, model: str | None, default_model: str, name: str | None
    ) -> Any:
        asked = Asked(StepKind.model, "ai", digest(plain({"system": system, "user": user})))
        place = self._place(asked, name)
        step = place.recorded
        if step is None:
            async with self.tenure.claimed():
                try:
                    failpoints.reach("model.before", self.agent.name)
                    result = await ask(self.around.model, model or default_model, system, user, schema)
                    failpoints.reach("model.after", self.agent.name)
                except ModelUnavailable as error:
                    await self.tenure.abandon(error)
                except (CountersignError, ValueError) as error:
                    result = {"error": error_words(error)}
                step = await self._record_done(place, asked, result)
        recorded = _result(step)
        if "error" in recorded:
            _raise_as_asked(recorded["error"])
        return recorded["value"] if schema is None else _instance(schema, recorded["value"])

    async def step(
        self,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        step_name: str,
        name: str | None,
    ) -> Any:
        arguments = plain_arguments(function, args, kwargs)
        asked = Asked(StepKind.tool, step_name, digest(arguments))
        place = self._place(asked, name)
        step = place.recorded
        if step is None:
            async with self.tenure.claimed():
                failpoints.reach("step.before", step_name)
                result = await self._perform(function, args, kwargs)
                failpoints.reach("step.after", step_name)
                step = await self._record_done(place, asked, result, arguments)
        recorded = _result(step)
        if "error" in recorded:
            error = recorded["error"]
            raise StepFailed(f"{step_name}: {error['type']}: {error['message']}", **error)
        return recorded["value"]

    async def pause(self, asked: Pause, *, name: str | None) -> ApprovalResult:
        own_id = asked.approval_request_id
        identity = {} if own_id is not None else {"title": asked.title}
        wanted = Asked(StepKind.pause, own_id or "pause", digest(plain(identity)))
        place = self._place(wanted, name)
        step = place.recorded
        if step is None:
            rules = (f"pause:{self.agent.name}.{self.tenure.execution.reasoner}",)
            policy = merge([asked.approval], self.around.defaults, rules=rules)
            async with self.tenure.claimed():
                step = await self._record(
                    pause, _wanted(place, wanted), policy, approval_request_id=own_id, title=asked.title, url=asked.url
                )
        asked_id = step.approval_request_id or ""
        self.replay.passed(asked_id)
        if step.open:
            step = await self.tenure.waits.step(step.position)
        elif asked_id in self.unused:
            async with self.tenure.claimed():
                await self.tenure.write(use_answer, asked_id)
        return ApprovalResult(**_result(step))

    async def wait_for_resume(self, approval_request_id: str, timeout: float | None) -> ApprovalResult | None:
        """Alone in not being answered from the journal, unless the code has gone on with its answer before."""
        key, step = self.replay.resumption(approval_request_id)
        if step is None:
            async with self.tenure.claimed():
                approval = await self.tenure.write(adopt, approval_request_id)
            if approval is None:
                return None
            if approval.consumed_at is not None and not self.replay.has_passed(approval_request_id):
                return None  # an earlier copy of the code got the answer from `pause()`, and so will this one
            try:
                if approval.pending:
                    approval = await self.tenure.waits.approval(approval_request_id, timeout)
                result = answer(approval)
            except TimeoutError:
                result = {**answer(approval), "decision": "error", "feedback": "nobody decided in time"}
            wanted = Asked(StepKind.pause, approval_request_id, "")
            async with self.tenure.claimed():
                step = await self._record(resume, _wanted(self.replay.new_place(key), wanted), result)
        else:
            self.notes.came_to_a_record(asyncio.current_task())
        self.replay.resumed(key, approval_request_id)
        return ApprovalResult(**_result(step))

    def note(self, message: str, tags: Sequence[str]) -> None:
        self._say(note_of(message, tags))

    async def call(self, target: str, given: Mapping[str, Any], *, name: str | None) -> Any:
        agent, _, reasoner = target.partition(".")
        values: dict[str, Any] = json_value(dict(given))
        asked = Asked(StepKind.call, target, digest(values))
        place = self._place(asked, name)
        step = place.recorded
        if step is None:
            as_prompt = not reasoner and values.keys() == {"prompt"}
            child = Start(agent, values if as_prompt else {"input": values}, reasoner=reasoner or None)
            async with self.tenure.claimed():
                step = await self._record(call_child, _wanted(place, asked, values), child)
        if step.open:
            step = await self.tenure.waits.step(step.position)
        recorded = _result(step)
        if recorded["status"] != ExecutionStatus.succeeded:
            error = recorded.get("error") or {"type": "Cancelled", "message": recorded["status"]}
            raise StepFailed(f"{target} {recorded['status']}: {error['type']}: {error['message']}", **error)
        return recorded["value"]

    async def _perform(
        self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Runs a step's function: {"value": what it returned} or {"error": what it raised}."""
        inside = InsideStep(self.around.functions)
        token = CURRENT.set(inside)
        try:
            value = json_value(await self.around.functions.call(function, args, kwargs))
            canonical(value, name="the result")
        except Exception as error:  # noqa: BLE001 - recorded, and raised to the code as a replay raises it
            return {"error": error_words(error)}
        finally:
            CURRENT.reset(token)
            for note in inside.notes:
                self._say(note)
        return {"value": value}

    def _place(self, asked: Asked, name: str | None) -> Place:
        place = self.replay.ask(asked, name)
        if place.recorded is not None:
            self.notes.came_to_a_record(asyncio.current_task())
        return place

    async def _record_done(
        self, place: Place, asked: Asked, result: Mapping[str, Any], arguments: Mapping[str, Any] | None = None
    ) -> Step:
        status = StepStatus.failed if "error" in result else StepStatus.succeeded
        return await self._record(record_done, _wanted(place, asked, arguments), status, result)

    async def _record(self, operation: Callable[..., Step], wanted: Record, *args: Any, **kwargs: Any) -> Step:
        """Writes what is wanted at a place, with the notes that were said before."""
        notes = self.notes.take()
        try:
            return await self.tenure.write(operation, wanted, notes, *args, **kwargs)
        except Exception:
            self.notes.put_back(notes)
            raise

    def _say(self, note: Note) -> None:
        try:
            branch = asyncio.current_task()
        except RuntimeError:  # a thread of the user's own
            branch = None
        self.notes.say(note, branch)


def _wanted(place: Place, asked: Asked, arguments: Mapping[str, Any] | None = None) -> Record:
    shown = canonical(dict(arguments)) if arguments else "{}"
    return Record(place.key, place.position, asked.kind, asked.name, asked.digest, shown)


def _result(step: Step) -> dict[str, Any]:
    recorded: dict[str, Any] = json.loads(step.result or "{}")
    return recorded


def _instance(schema: Any, value: Any) -> Any:
    try:
        return TypeAdapter(schema).validate_json(canonical(value))
    except ValidationError as error:
        raise NonDeterminism(
            f"ai(): the recorded answer does not fit the schema that the code asks for: {problems(error)}"
        ) from None


def _raise_as_asked(error: Mapping[str, str]) -> NoReturn:
    """What `ai()` raised, live and in a replay."""
    if error["type"] == ModelRefused.__name__:
        raise ModelRefused(error["message"])
    if error["type"] == ValueError.__name__:
        raise ValueError(error["message"])
    raise StepFailed(f"ai(): {error['type']}: {error['message']}", **error)

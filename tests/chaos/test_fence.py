"""The fence, write by write: nothing that a worker writes lands once another has taken its execution over. Without the
fence each of these writes lands, so each needs it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from agent_runtime.core.execution import Execution, ExecutionStatus, Step, StepKind, StepStatus
from agent_runtime.core.policy import Defaults
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.errors import Conflict, LostClaim
from agent_runtime.operations import reason
from agent_runtime.operations.advance import complete, record_note, record_reply
from agent_runtime.operations.calls import ask_in_doubt, finish_call, start_call
from agent_runtime.operations.cancel import cancel
from agent_runtime.operations.claim import hand_over, hold_back, park, retry_later, take_over_from
from agent_runtime.operations.reason import Record
from agent_runtime.operations.start import Start
from agent_runtime.store.database import Database
from agent_runtime.store.executions import CHILDREN
from agent_runtime.store.schema import approvals, events, executions, outbox, steps
from agent_runtime.store.statement import Q
from tests.chaos.mutants import MUTANTS
from tests.chaos.planting import fenced_statements
from tests.flow import AGENT, POLICY, Flow, free, gated

REPLY = {"message": {"role": "assistant", "content": "Late."}}
HERE = Record("step:late", 9, StepKind.note, "late", "sha256:late")
LATE: dict[str, Any] = {"value": "late"}

_EVERYTHING = [Q(select(*table.c)) for table in (executions, steps, approvals, events, outbox)]


@dataclass(frozen=True)
class Standing:
    """An execution of two calls, `unsafe` approved and `free` not begun, that another holds now."""

    database: Database
    flow: Flow
    sleeper: Execution
    journal: list[Step]

    def write(self, operation: Callable[..., Any], *args: Any, **kwargs: Any) -> Awaitable[Any]:
        """As the worker that lost its claim."""
        return self.database.write(operation, self.sleeper, *args, **kwargs)


Late = Callable[[Standing], Awaitable[Any]]


def late(operation: Callable[..., Any], *args: Any, **kwargs: Any) -> Late:
    return lambda at: at.write(operation, *args, **kwargs)


async def _result_of_a_started_call(at: Standing) -> None:
    """Of an attempt before the one that the holder has begun."""
    step = (await at.flow.journal())[2]
    await at.write(finish_call, step._replace(fence=at.sleeper.fence), StepStatus.succeeded, LATE)


LANDS: dict[str, Late] = {
    "a reply": late(record_reply, 3, 1, REPLY, [free()]),
    "a reply that asks people": late(record_reply, 3, 1, REPLY, [gated()]),
    "a reply that asks and parks": late(record_reply, 3, 1, REPLY, [gated()], seen=0),
    "a note": late(record_note, 3, 1, "late"),
    "a call starts": late(start_call, 2, "1"),
    "a call starts again": late(start_call, 2, "1", again=True),
    "a call is asked again, as the tool has changed": late(start_call, 2, "2"),
    "the result of a free call": lambda at: at.write(finish_call, at.journal[1], StepStatus.succeeded, LATE),
    "the result of a started call": _result_of_a_started_call,
    "a call is in doubt": lambda at: at.write(ask_in_doubt, at.journal[2], "late", Defaults()),
    "parking": late(park, 1),
    "the end": late(complete, ExecutionStatus.succeeded, output=LATE, finish_reason="STOP"),
    "a passing fault": late(retry_later, delay=0, reason="late"),
    "a hand-over": late(hand_over),
    "the stop switch": late(hold_back, scope=f"agent:{AGENT.name}"),
    "a reasoner's step": late(reason.record_done, HERE, (), StepStatus.succeeded, LATE),
    "a reasoner's pause": late(reason.pause, HERE, (), POLICY, approval_request_id=None, title="Late", url=""),
    "a reasoner's child": late(reason.call_child, HERE, (), Start(AGENT.name, {"prompt": "late"})),
    "a reasoner goes on": late(reason.resume, HERE, (), {"decision": "expired"}),
    "a reasoner's end": late(
        reason.finish, (), ExecutionStatus.succeeded, output=LATE, error=None, finish_reason="STOP"
    ),
}
"""What a sleeper may come to write, each with the one write that would land."""

STARTED = {"a call starts again", "the result of a started call"}
"""Those where the holder has begun the call, and may be within its effect."""

READS: dict[str, Late] = {
    "a new copy of the code": late(reason.recall),
    "answers": late(reason.hear, [], []),
}
"""What only reads, and is refused all the same: it would go on from there."""

GUARDED_OTHERWISE = {
    "RECLAIM": "only where it waits, and this worker keeps its coroutine",
    "RELEASE_ONE": "only where it waits, and this worker keeps its coroutine",
}
"""Statements whose fence refuses an older copy on the same worker; another worker's name refuses all others."""

[NO_FENCE] = [mutant for mutant in MUTANTS if mutant.name == "no fence"]


async def taken_over(database: Database, number: int) -> Standing:
    asleep, awake = f"sleeper-{number}", f"holder-{number}"
    flow = await Flow.started(database)
    await flow.claim(asleep)
    await flow.propose(free(), gated())
    await flow.resolve(position=2)
    sleeper = await flow.execution()
    await database.write(take_over_from, asleep)
    await flow.claim(awake)
    return Standing(database, flow, sleeper, await flow.journal())


async def landed(database: Database, writes: dict[str, Late], *, fence: bool) -> set[str]:
    """Those of `writes` that changed anything, or that were not refused at all."""
    found = set()
    for number, (name, write) in enumerate(writes.items()):
        at = await taken_over(database, number)
        with contextlib.nullcontext() if fence else NO_FENCE.planted():
            if name in STARTED:
                await at.flow.start_call(2)
            before = await everything(database)
            with contextlib.suppress(LostClaim):
                await write(at)
                if name in READS:
                    found.add(name)
            if await everything(database) != before:
                found.add(name)
        children = await database.all(CHILDREN, b_parent=at.flow.execution_id)
        for execution_id in (at.flow.execution_id, *(child.execution_id for child in children)):
            with contextlib.suppress(Conflict):  # it has ended
                await database.write(cancel, execution_id, by=LOCAL_OPERATOR, via=Via.cli)
    return found


async def everything(database: Database) -> list[Any]:
    return [await database.all(q) for q in _EVERYTHING]


async def test_nothing_of_a_sleeper_lands(database: Database) -> None:
    assert await landed(database, LANDS | READS, fence=True) == set()


async def test_without_the_fence_everything_does(database: Database) -> None:
    assert await landed(database, LANDS | READS, fence=False) == set(LANDS | READS)


def test_every_statement_with_a_fence_is_tried_here() -> None:
    tried = {"PROGRESS", "PROGRESS_LEASED", "PARK", "REQUEUE", "HAND_OVER", "HOLD_BACK", "COMPLETE", "FINISH_STARTED"}
    assert set(fenced_statements()) == tried | set(GUARDED_OTHERWISE)

"""Whether what the database holds, what was acknowledged and what really happened agree."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field

from agent_runtime.conformance.agents import KINDS
from agent_runtime.conformance.ledger import Ledger
from agent_runtime.conformance.people import People
from agent_runtime.conformance.reasoners import ASK, CHILD_KINDS, CONFIRM, NOTES, STEPS, child_of
from agent_runtime.core.approval import ApprovalRequest, ApprovalStatus, Kind
from agent_runtime.core.execution import Execution, ExecutionStatus, StepStatus
from agent_runtime.store.approvals import GET_APPROVAL, OF_EXECUTION, VOTES
from agent_runtime.store.database import Database
from agent_runtime.store.events import EVENTS_OF_STREAM, NOTED
from agent_runtime.store.executions import CHILDREN, GET_EXECUTION
from agent_runtime.store.steps import JOURNAL

ALL_EVENTS = 100_000

MAY_REPEAT = frozenset({"idempotent", "keyed", *STEPS[CONFIRM], *STEPS[ASK]})
"""What a crash may repeat: idempotent tools, keyed ones under their key, and steps that are not recorded."""


@dataclass
class Reading:
    """What was found of the executions of one run. Each list names what broke a promise."""

    executions: int = 0
    decisions: int = 0
    in_doubt: int = 0
    lost: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    unasked: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)

    @property
    def violations(self) -> tuple[str, ...]:
        return (*self.lost, *self.duplicates, *self.unasked, *self.keys, *self.gaps)


async def all_ended(database: Database, people: People, url: str) -> bool:
    """Whether everything that was wanted has been started at `url`, and has ended."""
    if not await people.all_ended(url):
        return False
    for execution_id in list(people.started.values()):  # more may be told meanwhile
        execution = await database.one(GET_EXECUTION, b_id=execution_id)
        if execution is not None and not execution.terminal:
            return False
    return True


async def any_started(people: People, database: Database) -> bool:
    """Whether a call has been started and not ended, of what `people` asked for."""
    for execution_id in list(people.started.values()):  # more may be told meanwhile
        if any(step.status == StepStatus.started for step in await database.all(JOURNAL, b_id=execution_id)):
            return True
    return False


async def read_all(database: Database, people: People, ledger: Ledger) -> Reading:
    """Reads everything that `people` were told was done."""
    reading = Reading()
    for reference in people.wanted:
        if reference not in people.started:
            reading.lost.append(f"{reference}: never acknowledged")
    for reference, execution_id in list(people.started.items()):
        if reference in people.reasoners:
            await _read_reasoner(database, ledger, reading, reference, execution_id, people.reasoners[reference])
        else:
            kinds = tuple(people.wanted[reference].split()[1:]) or KINDS
            await _read_execution(database, ledger, reading, reference, execution_id, kinds)
    for approval_request_id, status in list(people.decided.items()):
        approval = await database.one(GET_APPROVAL, b_id=approval_request_id)
        votes = await database.all(VOTES, b_id=approval_request_id)
        if approval is None or approval.status != status or len(votes) != 1:
            reading.lost.append(f"{approval_request_id}: acknowledged as {status}, now {approval and approval.status}")
    for approval_request_id in people.settled:
        approval = await database.one(GET_APPROVAL, b_id=approval_request_id)
        if approval is None or approval.pending:
            reading.lost.append(f"{approval_request_id}: its settlement was acknowledged and is gone")
    reading.lost += people.problems
    return reading


async def _read_execution(
    database: Database, ledger: Ledger, reading: Reading, reference: str, execution_id: str, kinds: tuple[str, ...]
) -> list[ApprovalRequest]:
    """Reads one and returns its approvals."""
    execution = await database.one(GET_EXECUTION, b_id=execution_id)
    if execution is None:
        reading.lost.append(f"{reference}: {execution_id} was acknowledged and is gone")
        return []
    reading.executions += 1
    if execution.status != ExecutionStatus.succeeded:
        reading.lost.append(f"{reference}: {execution_id} ended as {execution.status} ({execution.error})")
    approvals = await database.all(OF_EXECUTION, b_execution=execution_id)
    reading.decisions += sum(not approval.pending for approval in approvals)
    reading.in_doubt += sum(approval.kind == Kind.in_doubt for approval in approvals)
    await _check_journal(database, reading, reference, execution, approvals)
    _check_effects(ledger, reading, reference, kinds)
    return approvals


async def _read_reasoner(
    database: Database, ledger: Ledger, reading: Reading, reference: str, execution_id: str, reasoner: str
) -> None:
    """Its steps have run at least once, it has asked people once, called its child once and said each thing once."""
    approvals = await _read_execution(database, ledger, reading, reference, execution_id, STEPS[reasoner])
    asked = sum(approval.kind == Kind.pause for approval in approvals)
    if asked != 1:
        reading.duplicates.append(f"{reference}: it asked people {asked} times, not once")
    said = [json.loads(row.data)["message"] for row in await database.all(NOTED, b_stream=execution_id)]
    if sorted(said) != sorted(NOTES[reasoner]):
        reading.lost.append(f"{reference}: it said {said}, not {[*NOTES[reasoner]]}")
    children = await database.all(CHILDREN, b_parent=execution_id)
    if len(children) != (reasoner == CONFIRM):
        reading.duplicates.append(f"{reference}: it called {len(children)} children")
    for child in children:
        await _read_execution(database, ledger, reading, child_of(reference), child.execution_id, CHILD_KINDS)


async def _check_journal(
    database: Database, reading: Reading, reference: str, execution: Execution, approvals: list[ApprovalRequest]
) -> None:
    """Every start of a call whose end was not recorded was asked of people; nothing ran again by itself."""
    events = await database.all(EVENTS_OF_STREAM, b_stream=execution.execution_id, b_after=0, b_limit=ALL_EVENTS)
    if [event.seq for event in events] != list(range(1, len(events) + 1)):
        reading.gaps.append(f"{reference}: its events are not numbered without gaps")
    counted: Counter[tuple[str, int]] = Counter()
    for event in events:
        if event.type.startswith("call."):
            counted[event.type, json.loads(event.data).get("position")] += 1
    for step in await database.all(JOURNAL, b_id=execution.execution_id):
        if step.open:
            reading.lost.append(f"{reference}: step {step.position} ({step.name}) is {step.status} for ever")
        if step.effect != "unsafe":
            continue
        asked = [one for one in approvals if one.kind == Kind.in_doubt and one.position == step.position]
        again = sum(one.status == ApprovalStatus.rejected for one in asked)
        started, ended = counted["call.started", step.position], counted["call.succeeded", step.position]
        if started > 1 + again:
            reading.duplicates.append(f"{reference}: {step.name} was started {started} times, {again} times by people")
        if started != ended + len(asked):
            reading.unasked.append(f"{reference}: {started} starts, {ended} ends recorded, {len(asked)} asked about")


def _check_effects(ledger: Ledger, reading: Reading, reference: str, kinds: tuple[str, ...]) -> None:
    """Unsafe and checkable ones happened once, keyed ones under one key, idempotent ones and steps at least once."""
    effects = ledger.of(reference)
    happened = Counter(effect.kind for effect in effects)
    for kind in kinds:
        if not happened[kind]:
            reading.lost.append(f"{reference}: {kind} never happened")
    for kind in kinds:
        if happened[kind] > 1 and kind not in MAY_REPEAT:
            reading.duplicates.append(f"{reference}: {kind} happened {happened[kind]} times")
    keys = {effect.key for effect in effects if effect.kind == "keyed"}
    if len(keys) > 1:
        reading.keys.append(f"{reference}: keyed happened under {len(keys)} keys")

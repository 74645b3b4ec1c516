"""The only way an execution begins."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent_runtime.core.beginning import begin
from agent_runtime.core.canonical import canonical, digest
from agent_runtime.core.execution import Execution, ExecutionStatus
from agent_runtime.core.ids import execution_id
from agent_runtime.core.journal import prompt_of
from agent_runtime.core.principal import Actor, Via
from agent_runtime.core.text import check_storable
from agent_runtime.errors import Conflict, NotFound
from agent_runtime.store.agents import LATEST_DEFINITION
from agent_runtime.store.events import record
from agent_runtime.store.executions import BY_IDEMPOTENCY_KEY, EARLIER_TURNS, INSERT_EXECUTION
from agent_runtime.store.outbox import EXECUTION_PROGRESS, enqueue
from agent_runtime.store.rows import binds_of
from agent_runtime.store.tx import Tx, unshared_rows

HISTORY = 20
"""Earlier turns of a conversation that a follow-up gets to see."""


@dataclass(frozen=True, slots=True)
class Start:
    """What is asked for. `given` is {"prompt": text} or {"input": object}; `origin` is where a surface shows it
    (JSON).
    """

    agent: str
    given: Mapping[str, Any]
    reasoner: str | None = None
    idempotency_key: str | None = None
    conversation_id: str | None = None
    origin: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Started:
    execution: Execution
    created: bool


@unshared_rows
def start(
    tx: Tx,
    wanted: Start,
    *,
    by: Actor,
    via: Via,
    parent: Execution | None = None,
    parent_position: int | None = None,
) -> Started:
    """Queues an execution of the latest definition.

    With an idempotency key (per principal and agent) the same request again returns the first execution, another
    request raises Conflict. Raises NotFound for an unknown agent, InvalidRequest for input that it cannot take.
    """
    for field in ("agent", "idempotency_key", "conversation_id"):
        check_storable(getattr(wanted, field) or "", field)
    definition = tx.one(LATEST_DEFINITION, b_agent=wanted.agent)
    if definition is None:
        raise NotFound(
            f"no agent is called {wanted.agent!r}; deploy it, or start `countersign serve --agents …` with it"
        )
    reasoner, given = begin(_parsed(definition.definition), wanted.reasoner, wanted.given)
    input_digest = digest({"given": given, "reasoner": reasoner})
    if wanted.idempotency_key is not None:
        earlier = tx.one(
            BY_IDEMPOTENCY_KEY, b_requested_by=by.principal, b_agent=wanted.agent, b_key=wanted.idempotency_key
        )
        if earlier is not None:
            if earlier.input_digest != input_digest:
                raise Conflict("Idempotency-Key: this key came with another request before; use a new one")
            return Started(earlier, created=False)
    if wanted.conversation_id and (history := _history(tx, wanted)):
        given["history"] = history
    execution = Execution(
        execution_id=execution_id(tx.now),
        agent=wanted.agent,
        agent_version=definition.agent_version,
        reasoner=reasoner,
        status=ExecutionStatus.queued.value,
        input=canonical(given),
        requested_by=by.principal,
        via=via.value,
        idempotency_key=wanted.idempotency_key,
        input_digest=input_digest,
        conversation_id=wanted.conversation_id,
        parent_execution_id=parent.execution_id if parent else None,
        parent_position=parent_position,
        origin=canonical(dict(wanted.origin)) if wanted.origin else None,
        open_approvals=0,
        signals=0,
        fence=0,
        worker_id=None,
        lease_until=None,
        attempts=0,
        run_after=tx.now,
        result=None,
        error=None,
        finish_reason=None,
        version=1,
        created_at=tx.now,
        started_at=None,
        ended_at=None,
    )
    write = tx.run if wanted.idempotency_key is not None else tx.later
    write(INSERT_EXECUTION, **binds_of(execution))
    record(
        tx,
        "execution.queued",
        execution_id=execution.execution_id,
        by=by,
        via=via,
        data={
            "agent": wanted.agent,
            "agent_version": definition.agent_version,
            "model": _parsed(definition.definition).get("model") or "",
            "input_digest": input_digest,
            "requested_by": execution.requested_by,
        },
    )
    if wanted.origin:
        enqueue(tx, EXECUTION_PROGRESS, execution.execution_id)
    tx.wake("queued")
    return Started(execution, created=True)


@functools.lru_cache(maxsize=64)
def _parsed(definition: str) -> Mapping[str, Any]:
    parsed: dict[str, Any] = json.loads(definition)
    return parsed


def _history(tx: Tx, wanted: Start) -> list[dict[str, str]]:
    """The earlier turns of this conversation with this agent that came to an end, oldest first."""
    turns: list[dict[str, str]] = []
    earlier = tx.all(EARLIER_TURNS, b_conversation=wanted.conversation_id, b_agent=wanted.agent, b_limit=HISTORY)
    for row in reversed(earlier):
        asked = json.loads(row.input)
        answer = json.loads(row.result)["result"] if row.result else f"(this ended as {row.status})"
        turns.append({"role": "user", "content": prompt_of(asked)})
        turns.append({"role": "assistant", "content": answer if isinstance(answer, str) else canonical(answer)})
    return turns

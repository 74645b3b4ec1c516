"""What one W sends to the database (start an agent with two free calls and a gated one; decide; the gated call runs;
it ends): statements on SQLite, round trips on PostgreSQL. Each costs somebody who waits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent_runtime.core.approval import ApprovalRequest, Decision, Verdict
from agent_runtime.core.execution import Execution, Step, StepStatus
from agent_runtime.core.journal import Finish
from agent_runtime.core.policy import Policy
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.operations.advance import ProposedCall, record_reply
from agent_runtime.operations.calls import finish_call, start_call
from agent_runtime.operations.deploy import deploy
from agent_runtime.operations.resolve import resolve
from agent_runtime.operations.start import Start, start
from agent_runtime.store.approvals import PENDING_OF_EXECUTION
from agent_runtime.store.database import Database
from agent_runtime.store.postgres.connection import PostgresConnection
from agent_runtime.store.sqlite import SqliteConnection
from tests.samples import REVIEWERS, reviewer
from tests.store.crowd import AGENT, ASKED_BY, claimed, execution

MOST = {
    "sqlite": {"start": 3, "claim": 2, "turn": 2, "free call": 3, "ask": 5, "resolve": 6, "claim again": 3}
    | {"start_call": 5, "finish_call": 3, "end": 3},
    "postgresql": {"start": 3, "claim": 3, "turn": 4, "free call": 3, "ask": 5, "resolve": 3, "claim again": 4}
    | {"start_call": 4, "finish_call": 3, "end": 3},
}
"""BEGIN and COMMIT count on PostgreSQL alone: where the database is a file, they are no round trips."""


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch, database_kind: str) -> list[str]:
    """The methods of the writers' connections that were waited for."""
    methods: list[str] = []
    counted = (
        (SqliteConnection, ("rows", "_insert")) if database_kind == "sqlite" else (PostgresConnection, ("_await",))
    )
    connection, names = counted

    def counting(name: str) -> Callable[..., Any]:
        method = getattr(connection, name)

        def call(self: Any, *args: Any) -> Any:
            methods.append(name)
            return method(self, *args)

        return call

    for name in names:
        monkeypatch.setattr(connection, name, counting(name))
    return methods


async def test_statements_of_one_w(database: Database, database_kind: str, sent: list[str]) -> None:
    taken: dict[str, int] = {}

    async def write(what: str, operation: Any, *args: Any, **how: Any) -> Any:
        sent.clear()
        answer = await database.write(operation, *args, **how)
        taken[what] = max(len(sent), taken.get(what, 0))
        return answer

    async def claim(what: str, execution_id: str) -> Execution:
        sent.clear()
        [held] = [one.execution for one in await claimed(database, 64)]
        taken[what] = len(sent)
        assert held.execution_id == execution_id
        return held

    await database.write(deploy, AGENT.name, AGENT.version, AGENT.definition(), by=LOCAL_OPERATOR)
    await database.write(start, Start("refund_agent", {"prompt": "x"}), by=ASKED_BY, via=Via.slack)
    await claimed(database, 64)

    begun = await write("start", start, Start(AGENT.name, {"prompt": "x"}), by=ASKED_BY, via=Via.slack)
    held = await claim("claim", begun.execution.execution_id)
    _, *free = await write("turn", record_reply, held, 0, 0, _said(), [_call("look", n) for n in range(2)])
    for step in free:
        await write("free call", finish_call, held, step, StepStatus.succeeded, {"value": step.position})
    gated = _call("refund", 0, Policy(REVIEWERS))
    await write("ask", record_reply, held, 3, 1, _said(), [gated], seen=held.signals)
    [approval] = await _pending(database, held)
    by = reviewer("U1")
    await write("resolve", resolve, approval.approval_request_id, Decision(Verdict.approved), by=by, via=Via.slack)
    held = await claim("claim again", held.execution_id)
    step: Step = await write("start_call", start_call, held, 4, "1")
    await write("finish_call", finish_call, held, step, StepStatus.succeeded, {"value": "done"})
    await write("end", record_reply, held, 5, 2, _said("done"), [], answer=Finish("done", "ANSWERED"))
    assert (await execution(database, held.execution_id)).status == "succeeded"
    assert taken.keys() == MOST[database_kind].keys()
    assert {what: n for what, n in taken.items() if n > MOST[database_kind][what]} == {}


def _said(words: str = "") -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": words}}


def _call(name: str, number: int, policy: Policy | None = None) -> ProposedCall:
    effect = "idempotent" if policy is None else "unsafe"
    return ProposedCall(f"call_{name}_{number}", name, {"order": number}, "1", effect, policy)


async def _pending(database: Database, held: Execution) -> list[ApprovalRequest]:
    return await database.all(PENDING_OF_EXECUTION, b_execution=held.execution_id)

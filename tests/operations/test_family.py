"""A parent that is cancelled while its child comes to its end: both are locked in one order, the parent first."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass

import pytest
from sqlalchemy import func, literal_column, select

from agent_runtime.agent import Agent
from agent_runtime.core.execution import Execution, ExecutionStatus, StepKind
from agent_runtime.core.policy import Defaults
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.errors import LostClaim
from agent_runtime.operations.advance import complete
from agent_runtime.operations.cancel import cancel
from agent_runtime.operations.claim import claim, park
from agent_runtime.operations.deploy import deploy
from agent_runtime.operations.reason import Record, call_child
from agent_runtime.operations.start import Start, start
from agent_runtime.store.database import Database
from agent_runtime.store.executions import CHILDREN, GET_EXECUTION, claim_queued
from agent_runtime.store.statement import Q
from agent_runtime.store.steps import JOURNAL
from agent_runtime.store.tx import Tx
from tests.conftest import OpenDatabase

pytestmark = pytest.mark.databases("postgresql")

DEADLOCK_CHECK = 1.0
"""Seconds after which PostgreSQL looks for those who wait in a circle, and a batch no longer waits for a lock."""

FAMILY = Agent("family")
CLAIMABLE = claim_queued([FAMILY.name])
_WAIT = Q(select(func.pg_sleep(literal_column("0.4")).label("slept")))


@FAMILY.reasoner(tags=["entry"])
async def parent() -> None: ...


@FAMILY.reasoner()
async def child() -> None: ...


@dataclass
class Family:
    """Two processes, and a parent that waits for the child that runs."""

    database: Database
    other: Database
    parent: Execution
    child: Execution

    async def standing(self, execution: Execution) -> Execution:
        found = await self.database.one(GET_EXECUTION, b_id=execution.execution_id)
        assert found is not None
        return found


@pytest.fixture
async def family(database: Database, open_database: OpenDatabase) -> Family:
    await database.write(deploy, FAMILY.name, FAMILY.version, FAMILY.definition(), by=LOCAL_OPERATOR)
    await database.write(start, Start(FAMILY.name, {"input": {}}), by=LOCAL_OPERATOR, via=Via.api)
    [held] = await database.write(claim, CLAIMABLE, "worker-1", 9, Defaults())
    wanted = Record("0", 0, StepKind.call, "family.child", "digest")
    begun = Start(FAMILY.name, {"input": {}}, reasoner="child")
    await database.write(call_child, held.execution, wanted, [], begun)
    await database.write(park, held.execution, held.execution.signals)
    [running] = await database.write(claim, CLAIMABLE, "worker-2", 9, Defaults())
    [called] = await database.all(CHILDREN, b_parent=held.execution.execution_id)
    assert running.execution.execution_id == called.execution_id
    return Family(database, await open_database(), held.execution, running.execution)


def cancelled_slowly(tx: Tx, execution_id: str, runs: list[str]) -> Execution:
    """Its execution is locked by the batch, and the children a moment later."""
    runs.append("cancel")
    tx.one(_WAIT)
    return cancel(tx, execution_id, by=LOCAL_OPERATOR, via=Via.api)


def ended_slowly(tx: Tx, execution: Execution, runs: list[str]) -> None:
    """Its execution is locked by the batch, and answers the parent a moment later."""
    runs.append("end")
    tx.one(_WAIT)
    complete(tx, execution, ExecutionStatus.succeeded, output={"result": 8}, finish_reason="STOP")


async def begun(runs: list[str]) -> None:
    while not runs:
        await asyncio.sleep(0.01)


async def test_a_child_that_ends_while_its_parent_is_cancelled(family: Family) -> None:
    runs, began = list[str](), time.monotonic()
    cancelling = asyncio.create_task(family.database.write(cancelled_slowly, family.parent.execution_id, runs))
    await begun(runs)
    with pytest.raises(LostClaim):
        await family.other.write(ended_slowly, family.child, runs)
    assert (await cancelling).status == "cancelled"
    assert (await family.standing(family.child)).status == "cancelled"
    assert runs == ["cancel", "end"], "nobody ran again after a check for deadlocks"
    assert time.monotonic() - began < 2 * 0.4 + DEADLOCK_CHECK


async def test_a_parent_that_is_cancelled_while_its_child_ends(family: Family) -> None:
    runs = list[str]()
    ending = asyncio.create_task(family.other.write(ended_slowly, family.child, runs))
    await begun(runs)
    ended = await family.database.write(cancelled_slowly, family.parent.execution_id, runs)
    await ending
    assert (ended.status, (await family.standing(family.child)).status) == ("cancelled", "succeeded")
    [step] = await family.database.all(JOURNAL, b_id=family.parent.execution_id)
    assert json.loads(step.result or "{}")["value"] == 8
    assert runs == ["end", "cancel"], "nobody ran again after a check for deadlocks"

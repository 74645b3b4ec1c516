"""Writers at the same time, in one process and in two: guards land once, nothing is lost, nothing gets stuck."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from agent_runtime.core.approval import ApprovalStatus, Decision, Verdict
from agent_runtime.core.execution import ExecutionStatus, StepStatus
from agent_runtime.core.policy import Policy
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.errors import AlreadyResolved
from agent_runtime.operations.calls import finish_call, start_call
from agent_runtime.operations.cancel import cancel
from agent_runtime.operations.claim import heartbeat
from agent_runtime.operations.deploy import deploy
from agent_runtime.operations.resolve import Resolution, resolve
from agent_runtime.operations.start import Start, Started, start
from agent_runtime.store.approvals import GET_APPROVAL
from agent_runtime.store.database import Database
from tests.conftest import OpenDatabase
from tests.samples import REVIEWERS, reviewer
from tests.store.crowd import AGENT, ASKED_BY, asking, claimed, execution, queued
from tests.store.work import at_once, insert_unless_there, keys, note, sequence

APPROVE, REJECT = Decision(Verdict.approved), Decision(Verdict.rejected)


@pytest.fixture
async def both(open_database: OpenDatabase) -> tuple[Database, Database]:
    """Two processes on one database."""
    return await open_database(), await open_database()


def rounds(database: Database, on_postgresql: int, on_sqlite: int) -> int:
    """How often a race is run: on SQLite transactions never overlap."""
    return on_sqlite if database.url.get_backend_name() == "sqlite" else on_postgresql


async def test_of_16_racers_one_wins_and_the_others_are_told_who(both: tuple[Database, Database]) -> None:
    people = [reviewer(f"U{number}") for number in range(101, 117)]
    policy = Policy(tuple(f"U{number}" for number in range(101, 117)))
    for held, [approval] in await asking(both[0], rounds(both[0], 25, 5), policy=policy):
        answers = await asyncio.gather(
            *(
                both[number % 2].write(
                    resolve, approval.approval_request_id, [APPROVE, REJECT][number // 2 % 2], by=who, via=Via.slack
                )
                for number, who in enumerate(people)
            ),
            return_exceptions=True,
        )
        won = [answer for answer in answers if isinstance(answer, Resolution)]
        lost = [answer for answer in answers if isinstance(answer, AlreadyResolved)]
        assert (len(won), len(lost)) == (1, 15), answers
        winner = won[0].approval.decided_by
        assert {answer.details["by"] for answer in lost} == {winner}
        moved = await execution(both[1], held.execution_id)
        assert (moved.status, moved.open_approvals, moved.signals) == (ExecutionStatus.queued, 0, 1)
        events = await sequence(both[0], held.execution_id)
        assert events == [*range(1, len(events) + 1)]


async def test_two_reviewers_of_a_quorum_at_once_are_enough(both: tuple[Database, Database]) -> None:
    asked = await asking(both[0], rounds(both[0], 50, 5), policy=Policy(REVIEWERS, quorum=2))
    for held, [approval] in asked:
        answers = await asyncio.gather(
            *(
                database.write(resolve, approval.approval_request_id, APPROVE, by=reviewer(user), via=Via.slack)
                for database, user in zip(both, ["U1", "U2"], strict=True)
            )
        )
        assert sorted(answer.approval.status for answer in answers) == ["approved", "pending"]
        assert (await execution(both[0], held.execution_id)).status == ExecutionStatus.queued


async def test_two_approvals_of_one_execution_at_once_never_leave_it_waiting(both: tuple[Database, Database]) -> None:
    asked = await asking(both[0], rounds(both[0], 300, 50), calls=2)
    for first in range(0, len(asked), 10):
        await asyncio.gather(
            *(
                database.write(resolve, approval.approval_request_id, APPROVE, by=LOCAL_OPERATOR, via=Via.api)
                for _, approvals in asked[first : first + 10]
                for database, approval in zip(both, approvals, strict=True)
            )
        )
    after = [await execution(both[0], held.execution_id) for held, _ in asked]
    assert Counter((one.status, one.open_approvals, one.signals) for one in after) == {("queued", 0, 2): len(asked)}


async def test_a_decision_and_a_cancellation_at_once(both: tuple[Database, Database]) -> None:
    """They lock execution and approval in opposite order: whichever is second waits, or is run again."""
    asked = await asking(both[0], rounds(both[0], 20, 5))
    decisions = [
        both[0].write(resolve, approval.approval_request_id, APPROVE, by=LOCAL_OPERATOR, via=Via.api)
        for _, [approval] in asked
    ]
    cancellations = [both[1].write(cancel, held.execution_id, by=LOCAL_OPERATOR, via=Via.api) for held, _ in asked]
    answers = await asyncio.gather(*decisions, *cancellations, return_exceptions=True)
    decided, cancelled = answers[: len(asked)], answers[len(asked) :]
    assert [one.status for one in cancelled] == [ExecutionStatus.cancelled] * len(asked)
    for (held, [approval]), answer in zip(asked, decided, strict=True):
        stored = await both[0].one(GET_APPROVAL, b_id=approval.approval_request_id)
        assert stored is not None
        if isinstance(answer, Resolution):
            assert stored.status == ApprovalStatus.approved
        else:
            assert isinstance(answer, AlreadyResolved), answer
            assert stored.status == ApprovalStatus.cancelled
        assert (await execution(both[0], held.execution_id)).status == ExecutionStatus.cancelled
        events = await sequence(both[0], held.execution_id)
        assert events == [*range(1, len(events) + 1)]


async def test_one_idempotency_key_at_once_is_one_execution(both: tuple[Database, Database]) -> None:
    await queued(both[0], 1)
    wanted = Start(AGENT.name, {"prompt": "Refund"}, idempotency_key="event-1")
    begun: list[Started] = await asyncio.gather(
        *(both[number % 2].write(start, wanted, by=ASKED_BY, via=Via.slack) for number in range(16))
    )
    assert len({one.execution.execution_id for one in begun}) == 1
    assert sum(one.created for one in begun) == 1


async def test_who_looks_before_writing_sees_who_was_first(both: tuple[Database, Database]) -> None:
    answers = await at_once(*((both[number % 2], insert_unless_there, f"key {number // 8}") for number in range(160)))
    assert Counter(answers) == {True: 20, False: 140}
    assert len(await keys(both[0])) == 20


async def test_replicas_that_deploy_the_same_agent_at_once(both: tuple[Database, Database]) -> None:
    deployed = await asyncio.gather(
        *(
            both[number % 2].write(deploy, AGENT.name, AGENT.version, AGENT.definition(), by=LOCAL_OPERATOR)
            for number in range(8)
        )
    )
    assert sum(deployed) == 1


async def test_a_stream_that_everybody_adds_to_is_dense(both: tuple[Database, Database]) -> None:
    streams = [f"stream {number}" for number in range(5)]
    added = await at_once(*((both[number % 2], note, streams[number // 2 % 5]) for number in range(1000)))
    assert added == [None] * 1000
    for stream in streams:
        assert await sequence(both[0], stream) == [*range(1, 201)]


async def test_results_votes_and_heartbeats_of_the_same_executions_at_once(both: tuple[Database, Database]) -> None:
    """None of them is refused because of another, and no event is lost."""
    asked = await asking(both[0], rounds(both[0], 40, 5), calls=2, policy=Policy(REVIEWERS, quorum=2))
    for user in ("U1", "U2"):
        await asyncio.gather(
            *(
                both[0].write(resolve, approvals[0].approval_request_id, APPROVE, by=reviewer(user), via=Via.slack)
                for _, approvals in asked
            )
        )
    held = [one.execution for one in await claimed(both[0], 64)]
    assert len(held) == len(asked)
    steps = [await both[0].write(start_call, one, 1, "1") for one in held]
    second = {one.execution_id: approvals[1].approval_request_id for one, approvals in asked}
    before = {one.execution_id: len(await sequence(both[0], one.execution_id)) for one in held}
    calls = [
        call
        for one, step in zip(held, steps, strict=True)
        for call in (
            both[0].write(finish_call, one, step, StepStatus.succeeded, {"value": "done"}),
            both[1].write(resolve, second[one.execution_id], APPROVE, by=reviewer("U1"), via=Via.slack),
            both[0].write(resolve, second[one.execution_id], APPROVE, by=reviewer("U3"), via=Via.slack),
            both[1].write(heartbeat, "worker-1"),
        )
    ]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    for one in held:
        events = await sequence(both[0], one.execution_id)
        assert events == [*range(1, len(events) + 1)]
        assert len(events) >= before[one.execution_id] + 3

"""The host's clock is off, or is set while the product runs: nothing stops, is lost, or goes by the wrong time."""

from __future__ import annotations

import asyncio
import datetime as datetime_module
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import agent_runtime
import bot
from agent_runtime.core.approval import Decision, Verdict
from agent_runtime.core.duration import HOUR, MINUTE, SECOND
from agent_runtime.core.execution import LEASE
from agent_runtime.core.policy import Approval
from agent_runtime.delivery.receivers import Message, Sender
from agent_runtime.engine import scheduler
from agent_runtime.engine.scheduler import Clockwork
from agent_runtime.errors import AlreadyResolved, ApprovalExpired
from agent_runtime.operations.sweep import sweep
from agent_runtime.store.clock import SteadyClock
from agent_runtime.store.database import Database
from agent_runtime.tools import Tool
from tests.clock import Clock
from tests.delivery.receiver import receiving
from tests.engine.conftest import Begin
from tests.engine.replies import calls, says
from tests.flow import POLICY, Flow, gated
from tests.operations.test_claim import claims

OFF = 10 * MINUTE
_real = time.time_ns


def really_now() -> int:
    return _real() // 1000


@pytest.fixture
def set_host_clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`set_host_clock(microseconds)` puts this process's clock that far ahead of the right time."""

    def put(ahead: int) -> None:
        class Skewed(datetime_module.datetime):
            @classmethod
            def now(cls, tz: datetime_module.tzinfo | None = None) -> Any:
                return datetime_module.datetime.fromtimestamp(time.time(), tz)

        monkeypatch.setattr(time, "time_ns", lambda: _real() + ahead * 1000)
        monkeypatch.setattr(time, "time", lambda: _real() / 1e9 + ahead / SECOND)
        monkeypatch.setattr(scheduler, "datetime", Skewed)
        monkeypatch.setattr("apscheduler.schedulers.base.datetime", Skewed)
        monkeypatch.setattr("apscheduler.triggers.interval.datetime", Skewed)

    return put


# --- a process whose clock is off -----------------------------------------------------------------------------


@pytest.mark.databases("postgresql")
@pytest.mark.parametrize("ahead", [-OFF, OFF])
async def test_a_replica_whose_clock_is_off(begin: Begin, set_host_clock: Any, ahead: int) -> None:
    """Claims, leases, decisions, expiries and what is read by time all go by the database's time."""
    set_host_clock(ahead)
    runs: list[str] = []

    async def refund(order: str) -> str:
        runs.append(order)
        return "done"

    gate = Approval(reviewers=["U0REVIEWER1"], expires_in_hours=OFF / 2 / HOUR)
    short = Approval(reviewers=["U0REVIEWER1"], expires_in_hours=0.2 * SECOND / HOUR)

    async def late(order: str) -> str:
        runs.append(f"late {order}")
        return "done"

    run = await begin(
        [calls(("refund", {"order": "1"}), ("late", {"order": "2"})), says("Done.")],
        Tool(refund, approval_required=True, approval=gate),
        Tool(late, approval_required=True, approval=short),
    )
    asked = {approval.tool_name: approval for approval in await run.asks(2)}
    assert abs(asked["refund"].created_at - really_now()) < MINUTE
    assert abs(run.database.clock() - really_now()) < MINUTE
    assert (asked["refund"].expires_at or 0) - asked["refund"].created_at == OFF // 2

    async def expired() -> bool:
        return [approval.tool_name for approval in await run.pending()] == ["refund"]

    async with asyncio.timeout(10):
        while not await expired():
            await asyncio.sleep(0.02)
    execution = await run.execution()
    assert abs((execution.started_at or 0) - really_now()) < MINUTE
    assert execution.lease_until is None or abs(execution.lease_until - LEASE - really_now()) < MINUTE
    await run.resolve(Decision(Verdict.approved))
    assert (await run.ends()).status == "succeeded"
    assert runs == ["1"]


async def test_webhooks_are_signed_with_the_databases_time() -> None:
    """A receiver refuses what was signed five minutes ago, or from now."""
    async with receiving() as receiver, Sender(b"k" * 32, clock=lambda: 1_800_000_000 * SECOND) as sender:
        await sender.send(receiver.url, Message("msg_1", b"{}"), trusted=True)
        assert receiver.received[0].headers["webhook-timestamp"] == "1800000000"


READERS = {
    "agent_runtime/store/clock.py": "the one place, which gives it to SQLite",
    "agent_runtime/engine/scheduler.py": "the interval; looked after by the event loop",
    "agent_runtime/sdk/approvals_api.py": "a part of an id that a client mints; nothing compares it",
    "agent_runtime/testing/clock.py": "where the clock of a test begins",
    "bot/cli/database.py": "the name of a file that is put away",
    "bot/checks/request_url.py": "signs as Slack does",
    "bot/slack/checks.py": "asks Slack for messages newer than now, to get none",
}
"""Who reads the host's clock, and why that is right; servers for development and tests are left out."""

_LEFT_OUT = ("bot/sandbox/", "bot/scripted_model/", "bot/conformance", "bot/floods/", "agent_runtime/conformance/")


def test_nobody_else_reads_the_hosts_clock() -> None:
    reads = re.compile(r"\btime\.time(_ns)?\b|\bdatetime\.now\(|\butcnow\(|\btime_ns\(")
    found = set()
    for package in (agent_runtime, bot):
        folder = Path(package.__path__[0])
        for path in folder.rglob("*.py"):
            name = path.relative_to(folder.parent).as_posix()
            if not name.startswith(_LEFT_OUT) and reads.search(path.read_text()):
                found.add(name)
    assert found == set(READERS)


# --- a clock that is set --------------------------------------------------------------------------------------


def test_a_steady_clock_follows_steps_forward_and_makes_up_for_steps_back() -> None:
    wall, passed = 1_000 * SECOND, 0
    clock = SteadyClock(lambda: wall, lambda: passed)
    told = [clock()]

    def goes(seconds: int, *, step: int = 0) -> int:
        nonlocal wall, passed
        wall, passed = wall + (seconds + step) * SECOND, passed + seconds * SECOND
        told.append(clock())
        return told[-1] // SECOND

    assert goes(1) == 1_001
    assert goes(1, step=600) == 1_602
    assert goes(2, step=-600) == 1_603
    assert goes(600) == 1_903
    assert goes(598) == 2_202, "it has caught up"
    assert goes(1) == 2_203
    assert told == sorted(told)


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("step", [-OFF, OFF])
async def test_the_sweep_comes_every_second_also_where_the_clock_was_set(
    database: Database, set_host_clock: Any, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr(scheduler, "EVERY", 0.1)
    swept: list[float] = []
    clockwork = Clockwork(database)

    async def turn() -> None:
        swept.append(time.monotonic())

    monkeypatch.setattr(clockwork, "_turn", turn)
    set_host_clock(0)
    clockwork.start()
    try:
        await asyncio.sleep(0.3)
        set_host_clock(step)
        before = len(swept)
        await asyncio.sleep(0.6)
        assert before >= 2
        assert len(swept) >= before + 3
    finally:
        await clockwork.stop()


async def test_an_end_stays_an_end_where_the_clock_is_put_back(database: Database, clock: Clock) -> None:
    """Also on PostgreSQL, whose own clock it is that somebody sets."""
    flow = await Flow.asked(database, gated(policy=replace(POLICY, expires_after=HOUR)))
    expires_at = (await flow.approval()).expires_at or 0
    await clock.set(expires_at)
    await database.write(sweep)
    await clock.advance(-OFF)
    with pytest.raises((AlreadyResolved, ApprovalExpired)):
        await flow.resolve()
    assert (await flow.approval()).status == "expired"


async def test_work_that_was_decided_before_a_step_forward_is_claimed_after_it(
    database: Database, clock: Clock
) -> None:
    """The claim of a living worker lapses with the step, and the fence tells it so; nothing runs twice."""
    flow = await Flow.asked(database, gated(), waiting=False)
    await flow.resolve()
    sleeper = flow.held
    await clock.advance(OFF)
    assert (await database.write(sweep)).taken_over == 1
    assert await claims(database, "worker-2") == [flow.execution_id]
    flow.held = await flow.execution()
    assert flow.held.fence > sleeper.fence  # type: ignore[union-attr]
    assert (await flow.start_call()).status == "started"

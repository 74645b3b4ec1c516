"""Failpoints: the table is what is in the code, a specification means what it says, and each failure is survived."""

from __future__ import annotations

import ast
import asyncio
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog.testing

from agent_runtime import failpoints
from agent_runtime.conformance.agents import AGENT, Model, agent
from agent_runtime.conformance.ledger import Ledger
from agent_runtime.conformance.points import AFTER_A_CRASH, MESSAGE_POINTS, POINTS, REASONER_POINTS, SQLITE_POINTS
from agent_runtime.core.approval import ApprovalRequest, Outcome
from agent_runtime.core.execution import Execution
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.errors import InvalidSetting
from agent_runtime.failpoints import FAILPOINTS, Action
from agent_runtime.operations.resolve import resolve
from agent_runtime.operations.settle import settle
from agent_runtime.operations.start import Start
from agent_runtime.replica import Replica
from agent_runtime.settings import Settings
from agent_runtime.store.approvals import PENDING_OF_EXECUTION
from agent_runtime.store.executions import GET_EXECUTION
from tests.flow import APPROVE

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    failpoints.arm("")


# --- the table ----------------------------------------------------------------------------------------------------


def places() -> set[str]:
    """The names that the code reaches."""
    found = set()
    for path in (ROOT / "agent_runtime").rglob("*.py"):
        if "failpoints.reach(" not in path.read_text():
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "failpoints.reach":
                name = node.args[0]
                assert isinstance(name, ast.Constant), f"{path}: a failpoint's name is written out"
                found.add(str(name.value))
    return found


def test_the_table_is_what_is_in_the_code() -> None:
    assert places() == set(FAILPOINTS)


def test_the_page_lists_the_table() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text()
    listed = dict(re.findall(r"^\| `([a-z.]+)` \| ([^|]+?) \|", page, re.M))
    assert listed == {name: point.where for name, point in FAILPOINTS.items()}


def test_servers_are_killed_at_every_place_that_they_reach() -> None:
    """What is submitted and not yet written differs from what was never submitted for those alone who wait for it."""
    points = {*POINTS, *SQLITE_POINTS, *REASONER_POINTS, *MESSAGE_POINTS}
    assert {point.partition("@")[0] for point in points} == set(FAILPOINTS) - {"write.submitted"}
    assert set(AFTER_A_CRASH) <= points


# --- specifications -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("specification", "words"),
    [
        ("commit.sideways=crash", "is no failpoint"),
        ("commit.before", "is no failpoint"),
        ("commit.before=explode", "knows crash"),
        ("commit.after=exception", "knows crash, pause"),
        ("effect.before=pause", "takes seconds"),
        ("effect.before=crash:3", "nothing else does"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(specification: str, words: str) -> None:
    with pytest.raises(InvalidSetting, match=words) as refused:
        failpoints.arm(specification)
    assert failpoints.SETTING in refused.value.message


def test_the_third_time_for_this_operation_alone() -> None:
    failpoints.arm("commit.before@resolve=exception#3")
    for _ in range(2):
        failpoints.reach("commit.before", "start", "resolve")
        failpoints.reach("commit.before", "start")
    with pytest.raises(failpoints.FailpointReached):
        failpoints.reach("commit.before", "resolve")
    failpoints.reach("commit.before", "resolve")


def test_from_the_second_time_on() -> None:
    failpoints.arm("model.before=exception#2+")
    failpoints.reach("model.before", "agent")
    for _ in range(2):
        with pytest.raises(failpoints.FailpointReached):
            failpoints.reach("model.before", "agent")


def test_a_pause_blocks_as_long_as_it_says() -> None:
    failpoints.arm("effect.after@keyed=pause:0.05")
    began = time.monotonic()
    failpoints.reach("effect.after", "unsafe")
    failpoints.reach("effect.after", "keyed")
    assert time.monotonic() - began >= 0.05


async def test_a_cancellation_reaches_what_runs() -> None:
    failpoints.arm("effect.before=cancel")

    async def effect() -> None:
        failpoints.reach("effect.before", "unsafe")
        await asyncio.sleep(0)

    [outcome] = await asyncio.gather(effect(), return_exceptions=True)
    assert isinstance(outcome, asyncio.CancelledError)


def test_the_environment_arms_aloud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(failpoints.SETTING, "model.before=exception")
    with structlog.testing.capture_logs() as said:
        failpoints.arm_from_environment()
    assert [(one["log_level"], failpoints.SETTING in one["event"]) for one in said] == [("error", True)]
    with pytest.raises(failpoints.FailpointReached):
        failpoints.reach("model.before")


# --- what is survived in a process that lives ---------------------------------------------------------------------

SURVIVED = [
    f"{name}{about}={action}"
    for name, about in (
        *(("commit.before", f"@{operation}") for operation in ("record_reply", "park", "start_call", "finish_call")),
        ("write.submitted", "@start_call"),
        ("write.submitted", "@finish_call"),
        ("effect.before", "@unsafe"),
        ("effect.after", "@unsafe"),
        ("effect.after", "@keyed"),
        ("model.after", ""),
    )
    for action in (Action.exception, Action.cancel)
    if action in FAILPOINTS[name].actions
]


@pytest.mark.databases("sqlite")
async def test_a_failure_in_a_process_that_lives(database_url: str, tmp_path: Path) -> None:
    """An execution for each place: it ends, the unsafe effect has happened once, what is unknown was asked."""
    ledger = Ledger(tmp_path / "effects")
    settings = Settings(database_url=database_url)
    async with Replica(settings, model=Model(), surfaces=False) as replica:
        await replica.deploy(agent(ledger))
        for number, specification in enumerate(SURVIVED):
            failpoints.arm(specification)
            reference = f"ref-{number}"
            started = await replica.start_execution(Start(AGENT, {"prompt": f"{reference} unsafe keyed"}))
            execution = await _seen_through(replica, started.execution.execution_id, ledger, reference)
            assert execution.status == "succeeded", f"{specification}: {execution.error}"
            assert ledger.count(reference, "unsafe") == 1, specification
            assert len({effect.key for effect in ledger.of(reference) if effect.kind == "keyed"}) == 1, specification


async def _seen_through(replica: Replica, execution_id: str, ledger: Ledger, reference: str) -> Execution:
    """People answer whatever is asked, until the execution ends."""
    async with asyncio.timeout(30):
        while True:
            execution = await replica.database.one(GET_EXECUTION, b_id=execution_id)
            assert execution is not None
            if execution.terminal:
                return execution
            for approval in await replica.database.all(PENDING_OF_EXECUTION, b_execution=execution_id):
                await _answer(replica, approval, ledger, reference)
            await asyncio.sleep(0.01)


async def _answer(replica: Replica, approval: ApprovalRequest, ledger: Ledger, reference: str) -> None:
    who: dict[str, Any] = {"by": LOCAL_OPERATOR, "via": Via.sdk}
    if approval.kind == "tool":
        await replica.database.write(resolve, approval.approval_request_id, APPROVE, **who)
        return
    happened = approval.position is not None and ledger.count(reference, approval.tool_name) > 0
    outcome = Outcome.happened if happened else Outcome.not_happened
    result = "settled" if happened else None
    await replica.database.write(settle, approval.approval_request_id, outcome, result=result, **who)

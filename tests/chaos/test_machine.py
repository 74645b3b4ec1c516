"""The promises hold whatever Hypothesis does; and planted bugs are found, so that holding means something."""

from __future__ import annotations

import shutil
import traceback
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import FlakyFailure
from hypothesis.stateful import run_state_machine_as_test

from agent_runtime.core.approval import Verdict
from agent_runtime.core.execution import LEASE
from tests.chaos import LONG
from tests.chaos.machine import Promises, template
from tests.chaos.mutants import AFTER_THE_LEASE, MUTANTS
from tests.chaos.planting import Mutant
from tests.chaos.walks import WALKS, walked
from tests.chaos.world import World

pytestmark = pytest.mark.timeout(7200 if LONG else 180)

RARE = {"digest without the version"}
"""Chance seldom comes to these: a release, a forged row and an approval in that order."""

BY_CHANCE = [mutant for mutant in MUTANTS if mutant.name not in (RARE if LONG else WALKS)]

GENERATE = settings(
    derandomize=not LONG,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)


def test_the_promises_hold() -> None:
    examples, steps = (1000, 50) if LONG else (20, 25)
    run_state_machine_as_test(Promises, settings=settings(GENERATE, max_examples=examples, stateful_step_count=steps))


@pytest.mark.parametrize("mutant", BY_CHANCE, ids=lambda mutant: mutant.name)
def test_a_planted_bug_is_found_by_chance(mutant: Mutant) -> None:
    with mutant.planted(), pytest.raises((AssertionError, ExceptionGroup, FlakyFailure)) as found:
        run_state_machine_as_test(
            Promises, settings=settings(GENERATE, max_examples=300, stateful_step_count=25, report_multiple_bugs=False)
        )
    said = "".join(traceback.format_exception(found.value))
    assert any(promise in said for promise in mutant.breaks), said


@pytest.mark.parametrize("mutant", [one for one in MUTANTS if one.name in WALKS], ids=lambda mutant: mutant.name)
def test_a_planted_bug_is_found_on_the_way_to_it(mutant: Mutant) -> None:
    walk = WALKS[mutant.name]
    walked(walk)
    with mutant.planted(), pytest.raises(AssertionError, match="|".join(mutant.breaks)):
        walked(walk)


def test_a_sleeper_begins_no_effect(tmp_path: Path) -> None:
    """It commits that a call starts, sleeps past its lease, and wakes up when others have settled and run it."""
    assert _effects_of_a_sleeper(tmp_path) == 1
    with AFTER_THE_LEASE.planted():
        assert _effects_of_a_sleeper(tmp_path) == 2


def _effects_of_a_sleeper(folder: Path) -> int:
    shutil.copyfile(template(), folder / "machine.db")
    world = World(folder / "machine.db")
    try:
        world.start("ref")
        world.work()
        _approve_unsafe(world)
        world.work(stop_at="after start_call")
        [sleeper] = world.sleeping
        world.advance(LEASE)
        world.sweep()
        world.work()
        [doubt] = [one for one in world.pending() if one.kind == "in_doubt"]
        world.settle(doubt)
        _approve_unsafe(world)
        world.work()
        world.wake(sleeper)
        assert not world.problems
        return sum(one.kind == "unsafe" for one in world.effects)
    finally:
        world.close()
        (folder / "machine.db").unlink()


def _approve_unsafe(world: World) -> None:
    [approval] = [one for one in world.pending() if one.tool_name == "unsafe" and one.kind == "tool"]
    assert world.decide(approval, Verdict.approved, "operator", approval.digest) == "approved"

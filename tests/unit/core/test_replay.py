"""What a replay finds in the journal of a reasoner, and what it refuses."""

from __future__ import annotations

import time
from typing import Any

import pytest

from agent_runtime.core.execution import Step, StepKind
from agent_runtime.core.replay import Asked, Replay
from agent_runtime.errors import InvalidRequest, NonDeterminism
from tests.samples import a_step

AI = Asked(StepKind.model, "ai", "sha256:aaaaaaaaaaaaaaaa")
REFUND = Asked(StepKind.tool, "refund", "sha256:bbbbbbbbbbbbbbbb")
PAUSE = Asked(StepKind.pause, "req-1", "sha256:cccccccccccccccc")


def recorded(position: int, key: str, asked: Asked, **fields: Any) -> Step:
    return a_step(position, asked.kind.value, name=asked.name, digest=asked.digest, call_id=key, **fields)


def test_new_things_take_the_next_positions() -> None:
    replay = Replay()
    places = [replay.ask(AI), replay.ask(REFUND), replay.ask(REFUND, "again"), replay.ask(PAUSE)]
    assert [(place.key, place.position, place.recorded) for place in places] == [
        ("#1", 0, None),
        ("#2", 1, None),
        ("=again", 2, None),
        ("#3", 3, None),
    ]


def test_what_is_recorded_is_found_in_its_turn_and_new_things_follow() -> None:
    journal = [recorded(0, "#1", AI), recorded(1, "#2", REFUND)]
    replay = Replay(journal)
    assert [replay.ask(AI).recorded, replay.ask(REFUND).recorded] == journal
    place = replay.ask(PAUSE)
    assert (place.key, place.position, place.recorded) == ("#3", 2, None)


def test_one_that_was_under_way_in_a_crash_runs_although_later_ones_are_recorded() -> None:
    replay = Replay([recorded(0, "#1", AI), recorded(2, "#3", PAUSE)])
    replay.ask(AI)
    assert (replay.ask(REFUND).position, replay.ask(PAUSE).position) == (3, 2)


def test_named_ones_are_found_in_any_order() -> None:
    journal = [recorded(0, "=left", REFUND), recorded(1, "=right", AI), recorded(2, "#1", PAUSE)]
    replay = Replay(journal)
    assert replay.ask(AI, "right").recorded == journal[1]
    assert replay.ask(PAUSE).recorded == journal[2]
    assert replay.ask(REFUND, "left").recorded == journal[0]


def test_a_name_stands_for_one_thing() -> None:
    replay = Replay()
    replay.ask(AI, "twice")
    with pytest.raises(InvalidRequest, match=r"^name: 'twice' is used twice"):
        replay.ask(AI, "twice")


@pytest.mark.parametrize(
    ("held", "asked", "both"),
    [
        (AI, REFUND, ("ai()", "the step refund()")),
        (REFUND, PAUSE, ("the step refund()", "pause('req-1')")),
        (PAUSE, Asked(StepKind.pause, "req-2", PAUSE.digest), ("pause('req-1')", "pause('req-2')")),
        (Asked(StepKind.call, "a.b", ""), AI, ("call('a.b')", "ai()")),
        (
            REFUND,
            Asked(StepKind.tool, "refund", "sha256:dddddddddddddddd"),
            ("the step refund() with bbbbbbbbbbbb", "the step refund() with dddddddddddd"),
        ),
    ],
)
@pytest.mark.parametrize("name", [None, "it"])
def test_something_else_is_refused_naming_both_sides(
    held: Asked, asked: Asked, both: tuple[str, str], name: str | None
) -> None:
    replay = Replay([recorded(7, "#1" if name is None else "=it", held)])
    with pytest.raises(NonDeterminism) as refused:
        replay.ask(asked, name)
    place = "position 7" if name is None else "the name 'it'"
    assert f"at {place} the journal holds {both[0]}, and the code asks for {both[1]}" in refused.value.message


def test_what_follows_a_resumption_is_counted_apart() -> None:
    first = Replay()
    first.ask(AI)
    first.ask(PAUSE)

    second = Replay([recorded(0, "#1", AI), recorded(1, "#2", PAUSE)])
    key, nothing = second.resumption("req-1")
    assert (key, nothing) == ("?req-1#1", None)
    place = second.new_place(key)
    assert place.position == 2
    second.resumed(key, "req-1")
    after = second.ask(REFUND)
    assert (after.key, after.position) == ("?req-1#1#1", 3)

    third = Replay([recorded(0, "#1", AI), recorded(2, key, PAUSE), recorded(3, after.key, REFUND)])
    assert third.resumption("req-1")[1] is not None
    third.resumed(key, "req-1")
    assert third.ask(REFUND).recorded is not None


def test_resumptions_of_one_approval_are_counted() -> None:
    replay = Replay()
    assert [replay.resumption(name)[0] for name in ("a", "b", "a")] == ["?a#1", "?b#1", "?a#2"]


def test_it_knows_which_approvals_the_code_has_come_to() -> None:
    replay = Replay()
    assert not replay.has_passed("req-1")
    replay.passed("req-1")
    replay.resumed("?req-2#1", "req-2")
    assert replay.has_passed("req-1")
    assert replay.has_passed("req-2")


def test_a_long_journal_costs_its_length() -> None:
    journal = [recorded(n, f"#{n + 1}", REFUND) for n in range(10_000)]
    began = time.perf_counter()
    replay = Replay(journal)
    for _ in journal:
        replay.ask(REFUND)
    assert time.perf_counter() - began < 1

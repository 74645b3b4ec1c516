"""How fast a lane is used, and who waits for how long; times by hand."""

from __future__ import annotations

import heapq
import itertools

from agent_runtime.delivery.pacing import Pacing

PATIENCE = 20.0


def test_a_burst_then_one_an_interval() -> None:
    pacing = Pacing(burst=4, interval=1.0)
    assert [pacing.reserve("C1", 100.0, PATIENCE) for _ in range(6)] == [0, 0, 0, 0, 1, 2]
    assert pacing.reserve("C2", 100.0, PATIENCE) == 0
    assert pacing.reserve("C1", 103.0, PATIENCE) == 0


def test_after_a_pause_that_was_asked_for_they_come_one_by_one() -> None:
    pacing = Pacing(burst=1, interval=1.0)
    pacing.block("C1", 110.0)
    assert [pacing.reserve("C1", 100.0, PATIENCE) for _ in range(3)] == [10, 11, 12]


def test_who_is_turned_away_takes_no_place() -> None:
    pacing = Pacing(burst=1, interval=1.0)
    for _ in range(21):
        assert pacing.reserve("C1", 100.0, PATIENCE) <= PATIENCE
    assert [pacing.reserve("C1", 100.0, PATIENCE) for _ in range(3)] == [21, 22, 23]
    assert pacing.reserve("C1", 110.0, PATIENCE) == 11


def test_a_thousand_at_once_all_come_at_the_lanes_pace() -> None:
    """Each asks again when it was told to: none is turned away for ever, and the lane is hardly ever idle."""
    pacing, went, asked = Pacing(burst=4, interval=1.0), [], 0
    waiting = [(0.0, number) for number in range(1000)]
    while waiting:
        now, number = heapq.heappop(waiting)
        asked += 1
        wait = pacing.reserve("C1", now, PATIENCE)
        if wait > PATIENCE:
            heapq.heappush(waiting, (now + wait, number))
        else:
            went.append(now + wait)
    assert max(went) < 1100
    assert asked < 3000
    went.sort()
    assert all(later - earlier > 0.99 for earlier, later in itertools.pairwise(went[4:]))


def test_idle_lanes_are_forgotten() -> None:
    pacing = Pacing(burst=1, interval=1.0)
    for _ in range(30):
        pacing.reserve("C1", 100.0, PATIENCE)
    pacing.forget_idle(110.0)
    assert pacing._lanes
    pacing.forget_idle(200.0)
    assert not pacing._lanes

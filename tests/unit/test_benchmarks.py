"""The benchmarks work, at sizes that measure nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks import growth, idle, killed, slack_limits
from benchmarks.clones import clone_id, parked_file
from benchmarks.killed import Killed
from benchmarks.measuring import one_round
from benchmarks.product import Product


@pytest.fixture(autouse=True)
def _nothing_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("COUNTERSIGN_", "SLACK_"))]:
        monkeypatch.delenv(name)


async def test_w_with_every_feature_on(tmp_path: Path) -> None:
    product = await Product.open(f"sqlite+aiosqlite:///{tmp_path / 'w.db'}")
    figures = await one_round(product, 2, 1)
    await product.check()
    [surface] = product.runtime.replica.surfaces
    await product.close()
    assert set(figures) == {"starts_per_s", "decisions_per_s", "decided_to_done_ms"}
    assert surface.notifier.posted == 3  # type: ignore[attr-defined]
    assert surface.notifier.updated >= 3  # type: ignore[attr-defined]


async def test_growth(tmp_path: Path) -> None:
    figures = await growth.measure(tmp_path, (1, 2), 1)
    assert [set(row) for row in figures.values()] == [
        {"decide to done", "empty claim", "empty sweep", "first page"},
    ] * 2


async def test_idle(tmp_path: Path) -> None:
    assert (await idle.measure(tmp_path, 1, 0.1, settles_in=0))["percent of a core"] >= 0


async def test_killed_amid_decisions_with_others_parked(tmp_path: Path) -> None:
    path = tmp_path / "killed.db"
    await parked_file(path, 4, Killed)
    killed.remember(path, [clone_id(number) for number in (1, 2, 3)])
    figures = await killed.amid_decisions(path, 3)
    assert figures["done when killed"] == 1
    assert figures["ran twice"] == figures["never ran"] == 0


async def test_a_rate_limited_slack(tmp_path: Path) -> None:
    figures = await slack_limits.measure(tmp_path / "slack", 1.0, 1)
    assert figures["cards"] == 2
    assert figures["doubled"] == figures["answered 429"] == 0

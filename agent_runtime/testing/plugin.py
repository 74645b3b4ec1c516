"""The pytest plugin: the fixture `countersign`, a `Kit` of each test's own.

    def test_refund(countersign):
        countersign.model.says(call("process_refund", order_id="ORD-8821", amount=29.99), "Refunded.")
        handle = countersign.start(agent, "Refund ORD-8821")
        countersign.approve_next(by="U123")
        expect(handle.get_result()).completed().approved_by("U123")

`@pytest.mark.countersign(reviewers=["U123"])` gives its runtime settings.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from agent_runtime.testing.kit import Kit


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "countersign(**settings): settings of the runtime in the fixture `countersign`")


@pytest.fixture
def countersign(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kit]:
    """A runtime on a database of this test's own, with a scripted model and a clock that stands still."""
    from agent_runtime.testing.kit import Kit

    marker = request.node.get_closest_marker("countersign")
    folder = tmp_path / "countersign"
    folder.mkdir()
    with Kit(folder=folder, **(marker.kwargs if marker is not None else {})) as kit:
        yield kit

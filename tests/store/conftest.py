"""Fixtures of the store's tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable
from typing import Any

import pytest

from agent_runtime.store.postgres.connection import PostgresConnection


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """What writers wait for on their connections: round trips, by the method."""
    counted: Counter[str] = Counter()
    waiting = PostgresConnection._await

    def counting(self: PostgresConnection, answer: Awaitable[Any]) -> Any:
        counted["trips"] += 1
        return waiting(self, answer)

    def counted_rolling_back(self: PostgresConnection) -> None:
        counted["rolled back"] += 1
        rolling_back(self)

    rolling_back = PostgresConnection.roll_back
    monkeypatch.setattr(PostgresConnection, "_await", counting)
    monkeypatch.setattr(PostgresConnection, "roll_back", counted_rolling_back)
    return counted

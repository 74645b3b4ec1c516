"""The latest Web API calls, for tests: what was called and how it was answered. Holds no tokens."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

KEPT = 1000


@dataclass(frozen=True)
class CallRecord:
    """One call. `at` is seconds since the epoch; `error` is empty where it was answered ok."""

    at: float
    method: str
    status: int
    error: str
    channel: str


class CallLog:
    def __init__(self) -> None:
        self._records: deque[CallRecord] = deque(maxlen=KEPT)

    def add(self, record: CallRecord) -> None:
        self._records.append(record)

    def records(self, method: str | None = None) -> list[dict[str, Any]]:
        return [asdict(record) for record in self._records if method in (None, record.method)]

    def clear(self) -> None:
        self._records.clear()

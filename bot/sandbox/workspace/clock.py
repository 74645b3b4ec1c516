"""Time and the ids that are made from it."""

from __future__ import annotations

import secrets
import string
import time

_ALPHABET = string.ascii_uppercase + string.digits


class Clock:
    """Seconds since the epoch, and message timestamps that never repeat."""

    def __init__(self) -> None:
        self._last_micros = 0

    def now(self) -> float:
        return time.time()

    def seconds(self) -> int:
        return int(time.time())

    def next_ts(self) -> str:
        """A fresh `ts`: seconds and microseconds, strictly increasing within the process."""
        self._last_micros = max(time.time_ns() // 1000, self._last_micros + 1)
        return f"{self._last_micros // 1_000_000}.{self._last_micros % 1_000_000:06d}"


def random_id(prefix: str, length: int = 10) -> str:
    """An id in Slack's alphabet, for example `Ev` or `V` and ten letters or digits."""
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(length))

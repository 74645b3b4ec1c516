"""Who waits for what: topics announced after a commit. A hint that shortens a wait, never the truth.

Of one execution: `execution:ID`, anything about it has changed; `rest:ID`, it waits or has ended; `answers:ID`, what
its worker waits for was answered while it runs, or it was ended from outside.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

EVERYTHING = "*"


class Wakes:
    """Topics within one event loop. `announce` must be called on that loop."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)

    @contextmanager
    def listen(self, *topics: str) -> Iterator[asyncio.Event]:
        """An event that is set when one of `topics` is announced; clear it before looking at the database."""
        event = asyncio.Event()
        for topic in topics:
            self._waiting[topic].add(event)
        try:
            yield event
        finally:
            for topic in topics:
                self._waiting[topic].discard(event)
                if not self._waiting[topic]:
                    del self._waiting[topic]

    def announce(self, topics: Iterable[str]) -> None:
        """Sets the events that listen to any of `topics`."""
        for topic in topics:
            if topic == EVERYTHING:
                for events in self._waiting.values():
                    for event in events:
                        event.set()
                return
            for event in self._waiting.get(topic, ()):
                event.set()

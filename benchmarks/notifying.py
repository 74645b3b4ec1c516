"""A notifier in this process: takes each card and gives its receipt at once. Found as any other is, by entry point."""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from agent_runtime.core.policy import Approval
from agent_runtime.core.principal import Actor
from agent_runtime.delivery.notifier import Notice, Place, Receipt
from agent_runtime.replica import SURFACES
from agent_runtime.store.database import Database
from agent_runtime.store.outbox import APPROVAL_CARD

_PLACE = Place("people", "people")
_PACKAGE = {
    "METADATA": "Metadata-Version: 2.1\nName: countersign-bench\nVersion: 0\n",
    "entry_points.txt": f"[{SURFACES}]\nbench = {__name__}:AtOnceSurface\n",
}


class AtOnce:
    """A notifier (see `delivery.notifier.Notifier`) without limits: cards alone, one place, a receipt at once."""

    name = "bench"
    burst = 1
    interval = 0.0

    def __init__(self) -> None:
        self.posted = 0
        self.updated = 0

    async def places(self, notice: Notice) -> Sequence[Place]:
        return [_PLACE] if notice.topic == APPROVAL_CARD else []

    async def post(self, notice: Notice, place: Place) -> Mapping[str, Any]:
        self.posted += 1
        return {"number": self.posted}

    async def update(self, notice: Notice, receipt: Receipt) -> Mapping[str, Any] | None:
        self.updated += 1
        return None

    async def find(self, notice: Notice, place: Place) -> Mapping[str, Any] | None:
        return None


class AtOnceSurface:
    """The place (see `surface.Surface`) that the notifier belongs to; nobody decides there."""

    name = "bench"

    def __init__(self, database: Database) -> None:
        self.notifier = AtOnce()
        self.approval_defaults = Approval()

    @classmethod
    def configured(cls, *, env_file: str | None = None) -> Callable[[Database], Self] | None:
        return cls

    async def actor(self, principal: str) -> Actor | None:
        return None

    def routes(self) -> Sequence[Any]:
        return []

    async def start(self) -> None:
        """Nothing to open."""

    async def stop(self) -> None:
        """Nothing to close."""

    def calls(self) -> Mapping[tuple[str, str], int]:
        return {}

    def status(self) -> Mapping[str, Any]:
        return {"state": "connected", "summary": "in this process"}


@contextmanager
def installed() -> Iterator[None]:
    """While the block runs the surface is installed in this process as a package of its own would be."""
    with tempfile.TemporaryDirectory(prefix="countersign-bench-surface-") as folder:
        package = Path(folder, "countersign_bench-0.dist-info")
        package.mkdir()
        for name, text in _PACKAGE.items():
            (package / name).write_text(text)
        sys.path.append(folder)
        importlib.invalidate_caches()
        try:
            yield
        finally:
            sys.path.remove(folder)
            importlib.invalidate_caches()

"""Signed heads on a schedule: a bare chain does not show that its tail was cut off, a head kept elsewhere does.

A folder gets one line a head, in a file a month; the log gets the same line, for whatever collects logs.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from agent_runtime.core.audit import Head
from agent_runtime.core.audit_file import head_line
from agent_runtime.core.canonical import canonical
from agent_runtime.core.duration import SECOND
from agent_runtime.errors import StoreUnavailable
from agent_runtime.store.audit import GET_HEAD
from agent_runtime.store.database import Database
from agent_runtime.store.epochs import NEWEST_EPOCH

if TYPE_CHECKING:
    from agent_runtime.settings import Settings

log = structlog.get_logger(__name__)

LOG = "log"


class HeadWriter:
    """Writes where the chain stands, whenever it has moved, every `seconds`, until it is cancelled."""

    def __init__(self, database: Database, where: str, key: str, seconds: float) -> None:
        self._database = database
        self._where = where
        self._key = key
        self._seconds = seconds
        self._written = Head()

    @classmethod
    def of(cls, database: Database, settings: Settings) -> HeadWriter:
        key = settings.audit_key.get_secret_value() if settings.audit_key is not None else ""
        return cls(database, settings.audit_heads, key, settings.audit_head_every)

    async def run(self) -> None:
        """Writes until it is cancelled; what cannot be read or written is logged and tried again at the next turn."""
        if not self._key:
            log.warning("COUNTERSIGN_AUDIT_KEY is not set: heads of the audit trail are written without a signature")
        while True:
            try:
                await self.write()
            except (StoreUnavailable, OSError) as error:
                log.error("audit: the head could not be written", where=self._where, reason=str(error))
            await asyncio.sleep(self._seconds)

    async def write(self) -> None:
        """Writes the head, unless it was written before. Raises StoreUnavailable or OSError."""
        head = await self._database.one(GET_HEAD) or Head()
        if head == self._written:
            return
        epoch = await self._database.one(NEWEST_EPOCH)
        at = self._database.clock()
        document = head_line(head, epoch=epoch.epoch if epoch is not None else 1, at=at, key=self._key)
        if self._where == LOG:
            log.info("audit head", head=canonical(document))
        else:
            await asyncio.to_thread(_append, self._file(at), document)
        self._written = head

    def _file(self, at: int) -> Path:
        month = datetime.fromtimestamp(at / SECOND, UTC).strftime("%Y-%m")
        return Path(self._where) / f"countersign-heads-{month}.jsonl"


def _append(path: Path, document: dict[str, Any]) -> None:
    """One write, so that several replicas may share a file."""
    with path.open("ab", buffering=0) as file:
        file.write(canonical(document).encode() + b"\n")

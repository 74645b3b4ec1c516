"""What a process on this machine has used, as Linux tells (man 5 proc)."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

MIB = 1024 * 1024
EVERY = 0.05
"""Seconds between looks at how much memory is in use."""

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    """Bytes of memory that are in use now. Raises OSError where the process is gone."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


def processor_seconds(pid: int) -> float:
    """Seconds that its threads have computed since it began. Raises OSError where it is gone."""
    told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(told[11]) + int(told[12])) / _TICKS


@dataclass
class Memory:
    """Watches how much memory a process uses while the block runs; `peak` in bytes."""

    pid: int
    peak: int = 0
    _looking: asyncio.Task[None] = field(init=False)

    async def __aenter__(self) -> Self:
        self.peak = resident(self.pid)
        self._looking = asyncio.create_task(self._look())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._looking.cancel()
        with suppress(asyncio.CancelledError):
            await self._looking

    async def _look(self) -> None:
        while True:
            self.peak = max(self.peak, resident(self.pid))
            await asyncio.sleep(EVERY)

"""The children of a process, as the system knows them (Linux)."""

from __future__ import annotations

import os
from pathlib import Path

PROC = Path("/proc")


def children(pid: int) -> set[int]:
    """Ids of the processes that `pid` has started and that live."""
    return {child for child, parent, alive in map(_read, _ids()) if parent == pid and alive}


def alive(pids: set[int]) -> set[int]:
    """Those of `pids` that have not ended."""
    return {pid for pid, _, lives in map(_read, pids) if lives}


def command(pid: int) -> str:
    """The command line of a process; "" where it has ended."""
    try:
        return (PROC / str(pid) / "cmdline").read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _ids() -> set[int]:
    return {int(name) for name in os.listdir(PROC) if name.isdecimal()}


def _read(pid: int) -> tuple[int, int, bool]:
    """Its id, its parent's, and whether it lives: one that has ended may wait for its parent to notice."""
    try:
        state, parent = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[:2]
    except (FileNotFoundError, ProcessLookupError):
        return pid, 0, False
    return pid, int(parent), state not in {"Z", "X"}

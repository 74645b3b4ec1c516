"""Which workers beside a SQLite file are alive: each holds an operating-system lock on a file of its own.

The system releases the lock when the process ends, however it ends, so a free lock is the proof of death and the
claims of that worker may be taken over before their lease runs out.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Self


class WorkerLock:
    """This process's own lock, held until `release`."""

    def __init__(self, folder: Path, worker_id: str) -> None:
        folder.mkdir(exist_ok=True)
        self._path = folder / worker_id
        self._file = _locked(self._path)

    def release(self) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def lock_folder(database: Path) -> Path:
    """Where the locks of a SQLite file are kept."""
    return database.with_name(database.name + ".workers")


def dead_workers(folder: Path) -> list[str]:
    """Ids of workers whose process is gone."""
    if not folder.is_dir():
        return []
    return [entry.name for entry in folder.iterdir() if _free(entry)]


def live_workers(folder: Path) -> list[str]:
    """Ids of workers whose process runs."""
    if not folder.is_dir():
        return []
    return [entry.name for entry in folder.iterdir() if not _free(entry)]


def forget(folder: Path, worker_id: str) -> None:
    """Removes the lock file of a dead worker whose claims were taken over."""
    (folder / worker_id).unlink(missing_ok=True)


def _locked(path: Path) -> int:
    """The file's descriptor, with the lock. Who looks at it before it is locked takes its worker for dead and removes
    it; then it is made again.
    """
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file), path.stat()):
                return file
        os.close(file)


def _free(path: Path) -> bool:
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        return False
    finally:
        os.close(file)

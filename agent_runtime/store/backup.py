"""Backups of a SQLite file, made while it is served, and what it takes to put one back."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from agent_runtime.errors import Conflict, NotFound, StoreUnavailable
from agent_runtime.store.revision import VERSION_TABLE

PAGES = 2_048
"""Pages (of 4 KiB) between two words about how far it is."""

_BESIDE = ("", "-wal", "-shm")


def back_up(source: Path, target: Path, progress: Callable[[int, int], None] = lambda done, of: None) -> int:
    """Copies the database in `source` to the new file `target`, as it was at one moment; its size in bytes.

    Whoever writes meanwhile goes on: the copy reads one snapshot of the write-ahead log. `progress` is called with
    pages. Raises NotFound without a source, Conflict where the target is there, StoreUnavailable.
    """
    if not source.exists():
        raise NotFound(f"there is no database {source}")
    if target.exists():
        raise Conflict(f"{target} is there already; name a new file")
    _copy(source, target, progress)
    return target.stat().st_size


def check_backup(file: Path) -> str:
    """The revision of a backup. Raises NotFound, or StoreUnavailable where it is damaged or no database of ours."""
    if not file.exists():
        raise NotFound(f"there is no file {file}")
    try:
        with contextlib.closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise StoreUnavailable(f"{file} is damaged ({found}); take another backup")
            return str(connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()[0])  # noqa: S608
    except sqlite3.Error as error:
        raise StoreUnavailable(f"{file} is no backup of Countersign's: {error}") from error


def is_used(path: Path) -> bool:
    """Whether a database file holds anything that a restore would put away."""
    if not path.exists() or path.stat().st_size == 0:
        return False
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True)) as connection:
            return connection.execute("SELECT 1 FROM events LIMIT 1").fetchone() is not None
    except sqlite3.Error:
        return True


@contextlib.contextmanager
def restored_beside(file: Path, target: Path, progress: Callable[[int, int], None]) -> Iterator[Path]:
    """A copy of the backup beside `target`, to be worked on; it takes the target's place when the block ends well."""
    beside = target.with_name(f"{target.name}.restoring")
    _remove(beside)
    try:
        _copy(file, beside, progress)
        yield beside
        _settle(beside)
        os.replace(beside, target)  # noqa: PTH105 - atomic, also over an old file
        _flush_folder(target)
    finally:
        _remove(beside)


def put_away(target: Path, suffix: str) -> Path | None:
    """Renames a database with its write-ahead log; the new name, or None where there was nothing."""
    if not target.exists():
        return None
    away = target.with_name(f"{target.name}.{suffix}")
    for beside in _BESIDE:
        part = target.with_name(target.name + beside)
        if part.exists():
            part.rename(away.with_name(away.name + beside))
    return away


def _copy(source: Path, target: Path, progress: Callable[[int, int], None]) -> None:
    part = target.with_name(f"{target.name}.part")
    part.unlink(missing_ok=True)
    try:
        with (
            contextlib.closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=rw", uri=True)) as reading,
            contextlib.closing(sqlite3.connect(part)) as writing,
        ):
            part.chmod(0o600)
            reading.isolation_level = None
            reading.execute("BEGIN")
            reading.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # the snapshot, or the copy starts over
            reading.backup(writing, pages=PAGES, progress=lambda _, left, of: progress(of - left, of))
            reading.execute("ROLLBACK")
            found = writing.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise StoreUnavailable(f"the copy is damaged ({found}); so is {source}, or the disk")
        _settle(part)
        part.rename(target)
        _flush_folder(target)
    except sqlite3.Error as error:
        raise StoreUnavailable(f"{source} cannot be copied to {target}: {error}") from error
    except OSError as error:
        raise StoreUnavailable(f"{target} cannot be written: {error.strerror}") from error
    finally:
        _remove(part)


def _settle(path: Path) -> None:
    """One file without a write-ahead log, on the disk."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode=DELETE")
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _flush_folder(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _remove(path: Path) -> None:
    for beside in _BESIDE:
        path.with_name(path.name + beside).unlink(missing_ok=True)

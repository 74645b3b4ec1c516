"""COUNTERSIGN_DATABASE_URL, checked."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from agent_runtime.errors import InvalidSetting

_SETTING = "COUNTERSIGN_DATABASE_URL"
_FORMS = "write sqlite+aiosqlite:///countersign.db or postgresql+asyncpg://USER:PASSWORD@HOST/DATABASE"


def parse_database_url(database_url: str) -> URL:
    """The URL; raises InvalidSetting naming the setting and the remedy, and never repeating a password."""
    try:
        url = make_url(database_url)
    except (ArgumentError, ValueError) as error:
        raise InvalidSetting(f"{_SETTING}: this is no database URL; {_FORMS}") from error
    if url.drivername in {"sqlite", "sqlite+aiosqlite"}:
        _check_file(url)
    elif url.drivername in {"postgresql", "postgres", "postgresql+asyncpg"}:
        url = url.set(drivername="postgresql+asyncpg")
        if not url.database:
            raise InvalidSetting(f"{_SETTING}: it names no database; {_FORMS}")
    else:
        raise InvalidSetting(f"{_SETTING}: {url.drivername!r} is not supported; {_FORMS}")
    return url


def _check_file(url: URL) -> None:
    if not url.database or url.database == ":memory:":
        raise InvalidSetting(f"{_SETTING}: a SQLite database needs a file, so that nothing is lost on exit")
    folder = Path(url.database).parent
    if not folder.is_dir():
        raise InvalidSetting(f"{_SETTING}: the folder {folder} does not exist; create it, or name another file")

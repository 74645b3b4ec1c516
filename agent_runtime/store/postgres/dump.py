"""PostgreSQL's own tools for backups, run with the settings' URL; the password goes through the environment."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from agent_runtime.errors import InvalidSetting, StoreUnavailable

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

DUMP = ("--format=custom", "--no-owner", "--no-privileges")
RESTORE = ("--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction")
OVERWRITE = ("--clean", "--if-exists")


def dump(url: URL, target: Path) -> None:
    """Writes a consistent backup with `pg_dump`. Raises InvalidSetting without it, StoreUnavailable where it fails."""
    part = target.with_name(f"{target.name}.part")
    try:
        _run("pg_dump", *DUMP, "--file", str(part), "--dbname", _dsn(url), url=url)
        part.chmod(0o600)
        part.rename(target)
    finally:
        part.unlink(missing_ok=True)


def restore(url: URL, file: Path, *, overwrite: bool) -> None:
    """Puts a backup back with `pg_restore`, in one transaction. Raises as `dump` does."""
    extra = OVERWRITE if overwrite else ()
    _run("pg_restore", *RESTORE, *extra, "--dbname", _dsn(url), str(file), url=url)


def _run(tool: str, *arguments: str, url: URL) -> None:
    found = shutil.which(tool)
    if found is None:
        raise InvalidSetting(
            f"{tool} is not on PATH; install PostgreSQL's client tools (of the server's version or newer), or run this "
            f"where they are: {tool} {' '.join(arguments)}"
        )
    password = {"PGPASSWORD": str(url.password)} if url.password else {}
    done = subprocess.run(  # noqa: S603 - no shell, and the tool is PostgreSQL's own
        [found, *arguments], env={**os.environ, **password}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = " ".join(done.stderr.split())
        raise StoreUnavailable(f"{tool} failed: {re.sub(r'://[^@ ]*@', '://…@', said)[:1000]}")


def _dsn(url: URL) -> str:
    """The URL as PostgreSQL's tools take it, without the password."""
    query = dict(url.query)
    if "ssl" in query:
        query["sslmode"] = query.pop("ssl")
    return url.set(drivername="postgresql", password=None, query=query).render_as_string(hide_password=False)

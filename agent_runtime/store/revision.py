"""The schema's revision."""

from __future__ import annotations

from sqlalchemy import column, select, table

from agent_runtime.store.statement import Q

HEAD = "0001"
"""The revision that this version needs; a test holds it to the newest file in migrations/versions."""

VERSION_TABLE = "countersign_revision"
"""Where the database holds its own; a name of ours, so that another product's tables are told apart."""

REVISION = Q(select(column("version_num")).select_from(table(VERSION_TABLE)))


def is_newer(found: str) -> bool:
    """Whether a database of revision `found` was changed by a version of more than one step ahead of this one."""
    return _number(found) > _number(HEAD) + 1


def is_served(found: str) -> bool:
    """Whether this version works on a schema of revision `found`: its own, or the next one.

    Each step only adds (tables, and columns that may be left out), so that a version runs on the schema after its own
    while others are deployed.
    """
    return _number(found) in (_number(HEAD), _number(HEAD) + 1)


def _number(revision: str) -> int:
    return int(revision) if revision.isdecimal() else -1

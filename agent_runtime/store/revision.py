"""The schema's revision."""

from __future__ import annotations

from sqlalchemy import column, select, table

from agent_runtime.store.statement import Q

HEAD = "0001"
"""The revision that this version needs; a test holds it to the newest file in migrations/versions."""

VERSION_TABLE = "countersign_revision"
"""Where the database holds its own; a name of ours, so that another product's tables are told apart."""

REVISION = Q(select(column("version_num")).select_from(table(VERSION_TABLE)))

"""The schema's revision as the open database tells it."""

from __future__ import annotations

from sqlalchemy import column, select, table

from agent_runtime.store.statement import Q

REVISION = Q(select(column("version_num")).select_from(table("alembic_version")))

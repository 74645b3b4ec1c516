"""Triggers that refuse to change the audit trail: an accident is stopped; who may drop a trigger is found by `verify`.

An event may still lose its payload (`countersign audit redact`): data and salt are replaced, the salt by nothing.
"""

from __future__ import annotations

from sqlalchemy import DDL, Table, event

_FUNCTION = """
CREATE OR REPLACE FUNCTION countersign_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$
"""


def statements(table: Table, may_change: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """(dialect, statement) of what protects `table`. An UPDATE passes where nothing but `may_change` is another, and
    the last of these becomes empty.
    """
    name = table.name
    fixed = [column.name for column in table.columns if column.name not in may_change]
    found = [
        ("sqlite", _on_sqlite(name, "delete", "")),
        ("sqlite", _on_sqlite(name, "update", _unless(fixed, may_change, "IS NOT"))),
        ("postgresql", _FUNCTION.strip()),
        ("postgresql", _on_postgresql(name, "delete", "BEFORE DELETE", "FOR EACH ROW")),
        ("postgresql", _on_postgresql(name, "truncate", "BEFORE TRUNCATE", "FOR EACH STATEMENT")),
    ]
    when = _unless(fixed, may_change, "IS DISTINCT FROM")
    found.append(("postgresql", _on_postgresql(name, "update", "BEFORE UPDATE", f"FOR EACH ROW{when}")))
    return found


def protect(table: Table, may_change: tuple[str, ...] = ()) -> None:
    """Adds the triggers to what creates `table`."""
    for dialect, statement in statements(table, may_change):
        event.listen(table, "after_create", _ddl(statement).execute_if(dialect=dialect))


def _ddl(statement: str) -> DDL:
    return DDL(statement.replace("%", "%%"))  # type: ignore[no-untyped-call]


def _unless(fixed: list[str], may_change: tuple[str, ...], differs: str) -> str:
    if not may_change:
        return ""
    changed = " OR ".join(f"NEW.{name} {differs} OLD.{name}" for name in fixed)
    return f" WHEN ({changed} OR NEW.{may_change[-1]} <> '')"


def _on_sqlite(table: str, verb: str, when: str) -> str:
    return (
        f"CREATE TRIGGER {table}_no_{verb} BEFORE {verb.upper()} ON {table}{when} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    )


def _on_postgresql(table: str, verb: str, moment: str, how: str) -> str:
    return f"CREATE TRIGGER {table}_no_{verb} {moment} ON {table} {how} EXECUTE FUNCTION countersign_append_only()"

"""A statement written in SQLAlchemy Core, compiled once a dialect and run on the driver's own connection."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic

from sqlalchemy import Executable
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql.compiler import SQLCompiler
from typing_extensions import TypeVar

R = TypeVar("R", default=Any)

_DIALECTS: dict[str, Dialect] = {
    "sqlite": sqlite.dialect(paramstyle="named"),  # type: ignore[no-untyped-call]
    "postgresql": postgresql.asyncpg.dialect(),  # type: ignore[no-untyped-call]
}


class Compiled:
    """SQL text of one dialect, with the constants that the statement itself carries."""

    __slots__ = ("constants", "order", "sql")

    def __init__(self, compiler: SQLCompiler) -> None:
        self.sql = str(compiler)
        self.constants: Mapping[str, Any] = {
            name: value for name, value in compiler.params.items() if value is not None
        }
        self.order: Sequence[str] = tuple(compiler.positiontup or ())

    def named(self, binds: dict[str, Any]) -> dict[str, Any]:
        """Parameters for a driver that takes names."""
        return {**self.constants, **binds} if self.constants else binds

    def positional(self, binds: Mapping[str, Any]) -> list[Any]:
        """Parameters for a driver that takes positions."""
        constants = self.constants
        return [binds[name] if name in binds else constants[name] for name in self.order]


class Q(Generic[R]):
    """One statement. `row` builds a result from a row's columns in order; by default a named tuple of them.

    Binds are named apart from columns (SQLAlchemy keeps a column's own name for its insert values): `bindparam("b_…")`.
    """

    __slots__ = ("_compiled", "columns", "row", "statement")

    def __init__(
        self, statement: Executable, row: Callable[..., R] | None = None, *, columns: Sequence[str] = ()
    ) -> None:
        self.statement = statement
        self.columns = list(columns) or None
        self._compiled: dict[str, Compiled] = {}
        self.row: Callable[..., R] = row or _named_row(statement)

    def compiled(self, dialect: str) -> Compiled:
        """The statement for "sqlite" or "postgresql"."""
        found = self._compiled.get(dialect)
        if found is None:
            compiler = self.statement.compile(  # type: ignore[attr-defined]
                dialect=_DIALECTS[dialect], column_keys=self.columns
            )
            found = self._compiled[dialect] = Compiled(compiler)
        return found


def _named_row(statement: Any) -> Callable[..., Any]:
    returned = getattr(statement, "exported_columns", None)
    names = [column.key for column in returned] if returned is not None else []
    if not names:
        return tuple
    return namedtuple("Row", names)  # type: ignore[misc]

"""A statement written in SQLAlchemy Core, compiled once a dialect and run on the driver's own connection."""

from __future__ import annotations

import functools
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic

from sqlalchemy import BindParameter, Executable, Integer, bindparam, cast, literal_column
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql import visitors
from sqlalchemy.sql.compiler import SQLCompiler
from typing_extensions import TypeVar

R = TypeVar("R", default=Any)


NUMBER = "b_number"
"""The bind, and the last column, of `Q.numbered`."""


class Compiled:
    """SQL text of one dialect, with the constants that the compiler left as parameters."""

    __slots__ = ("constants", "order", "sql")

    def __init__(self, sql: str, order: Sequence[str], constants: Mapping[str, Any]) -> None:
        self.sql = sql
        self.order = order
        self.constants = constants

    @classmethod
    def by(cls, compiler: SQLCompiler) -> Compiled:
        """What SQLAlchemy has compiled."""
        constants = {name: value for name, value in compiler.params.items() if type(value) in {str, int}}
        return cls(str(compiler), tuple(compiler.positiontup or ()), constants)

    def named(self, binds: dict[str, Any]) -> dict[str, Any]:
        """Parameters for a driver that takes names."""
        return {**self.constants, **binds} if self.constants else binds

    def positional(self, binds: Mapping[str, Any]) -> list[Any]:
        """Parameters for a driver that takes positions."""
        constants = self.constants
        if constants:
            return [binds[name] if name in binds else constants[name] for name in self.order]
        return [binds[name] for name in self.order]


class Q(Generic[R]):
    """One statement. `row` builds a result from a row's columns in order; by default a named tuple of them.

    Binds are named apart from columns (SQLAlchemy keeps a column's own name for its insert values): `bindparam("b_…")`.
    Constants become part of the text: a partial index (`WHERE status = 'pending'`) serves no statement that keeps its
    condition in a parameter. An insert names the `columns` it binds, and in `serialised_by` the bind that names what
    its row belongs to where only one transaction at a time may add to that (see `Tx.later`). `quick` reads are those of
    a few rows by a key: where the database is a file, they take less than handing them to a thread does.
    """

    def __init__(
        self,
        statement: Executable,
        row: Callable[..., R] | None = None,
        *,
        columns: Sequence[str] = (),
        serialised_by: str | None = None,
        quick: bool = False,
    ) -> None:
        self.statement = statement
        self.columns = list(columns) or None
        self.serialised_by = serialised_by
        self.quick = quick
        self._compiled: dict[str, Compiled] = {}
        self._numbered: dict[str, Compiled] = {}
        self._row = row

    @functools.cached_property
    def returns(self) -> bool:
        """Whether it is known to return rows of named columns."""
        return bool(_returned(self.statement))

    @functools.cached_property
    def row(self) -> Callable[..., R]:
        """Builds a result from a row's columns in order."""
        return self._row or _named_row(_returned(self.statement))

    def compiled(self, dialect: str) -> Compiled:
        """The statement for "sqlite" or "postgresql"."""
        found = self._compiled.get(dialect)
        if found is None:
            found = self._compiled[dialect] = self._compile(self.statement, dialect)
        return found

    def numbered(self, dialect: str) -> Compiled:
        """The same with one column more, the last: the bind NUMBER, which tells whose row it is where the statement
        runs for many at once. Only for one that `returns`.
        """
        found = self._numbered.get(dialect)
        if found is None:
            statement: Any = self.statement
            number = cast(bindparam(NUMBER), Integer).label(NUMBER)
            statement = statement.add_columns(number) if statement.is_select else statement.returning(number)
            found = self._numbered[dialect] = self._compile(statement, dialect)
        return found

    def _compile(self, statement: Any, dialect: str) -> Compiled:
        compiler = visitors.replacement_traverse(statement, {}, _in_the_text).compile(
            dialect=_dialect(dialect), column_keys=self.columns, for_executemany=self.columns is not None
        )
        return Compiled.by(compiler)


@functools.cache
def _dialect(name: str) -> Dialect:
    """Imported when a statement is first compiled for it: PostgreSQL's is of no use on SQLite, and slow to import."""
    if name == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.dialect(paramstyle="named")
    from sqlalchemy.dialects import postgresql

    dialect: Dialect = postgresql.asyncpg.dialect()  # type: ignore[no-untyped-call]
    return dialect


def _in_the_text(element: Any, **_: Any) -> Any:
    """A constant of the statement as a literal; None leaves an element as it is."""
    if not isinstance(element, BindParameter) or element.required:
        return None
    value = element.value
    if isinstance(value, str):
        return literal_column("'" + value.replace("'", "''") + "'", element.type)
    if isinstance(value, int) and not isinstance(value, bool):
        return literal_column(str(value), element.type)
    return None


def _returned(statement: Any) -> list[str]:
    returned = getattr(statement, "exported_columns", None)
    return [column.key for column in returned] if returned is not None else []


def _named_row(names: Sequence[str]) -> Callable[..., Any]:
    if not names:
        return lambda *row: row
    return namedtuple("Row", names)

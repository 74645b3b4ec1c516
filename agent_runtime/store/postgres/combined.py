"""Several statements as one, and so in one round trip."""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from agent_runtime.store.statement import NUMBER, Compiled, Q
from agent_runtime.store.transaction import Rows
from agent_runtime.store.tx import Write

_ITS_ROW = "(SELECT ROW(w{0}.*) FROM w{0})"
_ITS_ROWS = "ARRAY(SELECT ROW(w{0}.*) FROM w{0})"
_PARAMETER = re.compile(r"\$(\d+)")


class Asked(Protocol):
    """What runs one statement."""

    def rows(self, q: Q[Any], binds: dict[str, Any]) -> Rows: ...


def together(statements: Asked, writes: Sequence[Write]) -> Sequence[Rows]:
    """The rows of each of `writes`, one at most: none of them may depend on another, nor write what another does."""
    q = _combined(tuple(q for q, _ in writes), _ITS_ROW)
    [row] = statements.rows(q, _binds(writes))
    return [() if returned is None else (returned,) for returned in row]


async def asked_together(
    ask: Callable[[Q[Any], dict[str, Any]], Awaitable[Rows]], reads: Sequence[Write]
) -> Sequence[Rows]:
    """All rows of each of `reads`, as of one moment."""
    q = _combined(tuple(q for q, _ in reads), _ITS_ROWS)
    [row] = await ask(q, _binds(reads))
    return tuple(row)


class _Combined(Q[Any]):
    """`WITH w0 AS (UPDATE …), w1 AS (INSERT …) SELECT …`: a row whose columns are what the parts return, as `column`
    has it.

    PostgreSQL carries out each part, read or not, and all on what was there before.
    """

    def __init__(self, parts: Sequence[Q[Any]], column: str) -> None:
        super().__init__(parts[0].statement)
        self._parts = parts
        self._column = column

    @functools.cached_property
    def returns(self) -> bool:
        return True

    def compiled(self, dialect: str) -> Compiled:
        return self._plain

    def numbered(self, dialect: str) -> Compiled:
        return self._with_number

    @functools.cached_property
    def _plain(self) -> Compiled:
        return self._written(())

    @functools.cached_property
    def _with_number(self) -> Compiled:
        return self._written((NUMBER,))

    def _written(self, last: Sequence[str]) -> Compiled:
        parts: list[str] = []
        columns: list[str] = []
        order: list[str] = []
        constants: dict[str, Any] = {}
        for number, part in enumerate(self._parts):
            compiled = part.compiled("postgresql")
            parts.append(f"w{number} AS ({renumbered(compiled.sql, len(order))})")
            columns.append(self._column.format(number) if part.returns else "NULL")
            order += [_name(number, name) for name in compiled.order]
            constants |= {_name(number, name): value for name, value in compiled.constants.items()}
        columns += [f"${len(order) + 1}::INTEGER" for _ in last]
        return Compiled(f"WITH {', '.join(parts)} SELECT {', '.join(columns)}", (*order, *last), constants)


_combined = functools.lru_cache(maxsize=256)(_Combined)


def _binds(writes: Sequence[Write]) -> dict[str, Any]:
    return {_name(number, name): value for number, (_, binds) in enumerate(writes) for name, value in binds.items()}


@functools.cache
def _name(number: int, name: str) -> str:
    """A bind of one part, apart from the other parts'."""
    return f"w{number}.{name}"


def renumbered(sql: str, first: int) -> str:
    """The text with its parameters numbered from `first` on."""
    return _PARAMETER.sub(lambda found: f"${int(found[1]) + first}", sql)

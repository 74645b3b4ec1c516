"""Statements with their binds written out, so that several go to the server in one message, COMMIT with them.

A driver's parameters belong to one statement each. `EXECUTE` takes them as literals, for a statement that is planned
already; what it returns is lost.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from agent_runtime.store.statement import Q

MOST = 16
"""Rows that are worth it; more are sent as they are."""

SETTING = {"standard_conforming_strings": "on"}
"""What the connection needs: a backslash in a literal is one. The server reports it; where something between has lost
it, nothing is written out.
"""


class Spelling:
    """Writes statements for one asyncpg connection. `wait`: waits for what it answers."""

    def __init__(self, raw: Any, wait: Callable[[Awaitable[Any]], Any]) -> None:
        self._raw = raw
        self._wait = wait
        self._prepared: dict[str, Any] = {}

    @functools.cached_property
    def _safe(self) -> bool:
        reported = self._raw.get_settings()
        return all(getattr(reported, name, None) == wanted for name, wanted in SETTING.items())

    def inserts(self, deferred: Mapping[Q[Any], Sequence[Mapping[str, Any]]]) -> str | None:
        """The inserts as one text; None where they are too many, or hold what has no literal here."""
        if not self._safe or sum(map(len, deferred.values())) > MOST:
            return None
        calls: list[str] = []
        for q, rows in deferred.items():
            compiled = q.compiled("postgresql")
            for row in rows:
                values = _literals(compiled.positional(row))
                if values is None:
                    return None
                calls.append(self.call(compiled.sql, values))
        text = "".join(calls)
        return text if _can_be_sent(text) else None

    def call(self, sql: str, values: str) -> str:
        """One statement that is prepared, with its binds."""
        return f'EXECUTE "{self._name(sql)}"({values}); '

    def _name(self, sql: str) -> str:
        statement = self._prepared.get(sql)
        if statement is None:
            statement = self._prepared[sql] = self._wait(self._raw.prepare(sql))
        name: str = statement.get_name()
        return name


def array(texts: Iterable[str]) -> str:
    """The literal of an array of texts."""
    return f"ARRAY[{', '.join(map(_text, texts))}]::text[]"


def _literals(values: Sequence[Any]) -> str | None:
    written: list[str] = []
    for value in values:
        if value is None:
            written.append("NULL")
        elif type(value) is str:
            written.append(_text(value))
        elif type(value) is int:
            written.append(str(value))
        else:
            return None
    return ", ".join(written)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _can_be_sent(text: str) -> bool:
    """Whether it is Unicode without NUL; what is not is sent as a parameter, which is refused with the reason."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False

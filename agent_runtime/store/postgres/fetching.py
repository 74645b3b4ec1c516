"""One statement for several sets of binds in one round trip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agent_runtime.store.statement import NUMBER, Q
from agent_runtime.store.transaction import Rows


async def fetch_each(link: Any, q: Q[Any], binds: Sequence[dict[str, Any]]) -> Sequence[Rows]:
    """The rows for each of `binds`, on an asyncpg connection; raises what that raises.

    asyncpg hands back the rows of all sets in one list, so each row says by its last column whose it is. Several sets
    are for a statement that `q.returns` rows, or an insert.
    """
    if len(binds) == 1:
        compiled = q.compiled("postgresql")
        return [await link.fetch(compiled.sql, *compiled.positional(binds[0]))]
    if not q.returns:
        await insert(link, q, binds)
        return [()] * len(binds)
    compiled = q.numbered("postgresql")
    numbered = [compiled.positional({**one, NUMBER: number}) for number, one in enumerate(binds)]
    answers: list[list[Sequence[Any]]] = [[] for _ in binds]
    for row in await link.fetchmany(compiled.sql, numbered):
        answers[row[-1]].append(row[:-1])
    return answers


async def insert(link: Any, q: Q[Any], rows: Sequence[dict[str, Any]]) -> None:
    """Writes `rows`; nothing comes back."""
    compiled = q.compiled("postgresql")
    await link.executemany(compiled.sql, [compiled.positional(row) for row in rows])

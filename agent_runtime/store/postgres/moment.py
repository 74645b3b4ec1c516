"""What is read of one execution at one moment, in one round trip."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from agent_runtime.store.approvals import OF_EXECUTION, VOTES, VOTES_OF_EXECUTION
from agent_runtime.store.executions import SHOWN
from agent_runtime.store.postgres.combined import asked_together
from agent_runtime.store.statement import Q
from agent_runtime.store.steps import JOURNAL
from agent_runtime.store.transaction import Rows

Ask = Callable[[Q[Any], dict[str, Any]], Awaitable[Rows]]


class Moment:
    """Answers reads by `ask`. With how an execution is shown, what is read next of it is read as well, and kept for
    that.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._read: dict[tuple[Q[Any], Any], Rows] = {}

    async def rows(self, q: Q[Any], binds: dict[str, Any]) -> Rows:
        """As the reader's."""
        if q is SHOWN:
            return await self._shown(binds["b_id"])
        found = self._read.pop((q, next(iter(binds.values()), None)), None)
        return await self._ask(q, binds) if found is None else found

    async def _shown(self, execution_id: str) -> Rows:
        of_it = {"b_execution": execution_id}
        journal = (JOURNAL, {"b_id": execution_id})
        reads = ((SHOWN, {"b_id": execution_id}), journal, (OF_EXECUTION, of_it), (VOTES_OF_EXECUTION, of_it))
        shown, steps, approvals, votes = await asked_together(self._ask, reads)
        self._read = {(JOURNAL, execution_id): steps, (OF_EXECUTION, execution_id): approvals}
        for approval_request_id, *_ in approvals:
            own = [vote for approval, *vote in votes if approval == approval_request_id]
            self._read[VOTES, approval_request_id] = own
        return shown

"""Executions of reasoners, and a model that answers their questions."""

from __future__ import annotations

import inspect
import json
from typing import Any

from agent_runtime.core.approval import ApprovalRequest, Decision, Verdict
from agent_runtime.core.execution import Step
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.engine.model import ModelRequest
from agent_runtime.operations.resolve import resolve
from agent_runtime.operations.start import Start
from agent_runtime.replica import Replica
from agent_runtime.store.database import Database
from tests.engine.running import Run, until

AGENT = "claims"


class Answers:
    """A `Model` that answers each question (a user message) by the function given, and keeps what it was asked.

    The answer may be text, an exception, a value (sent as JSON), or an awaitable of these.
    """

    def __init__(self, answer: Any = "") -> None:
        self._answer = answer
        self.asked: list[str] = []
        self.requests: list[ModelRequest] = []

    async def complete(self, request: ModelRequest) -> dict[str, Any]:
        self.requests.append(request)
        question = str(request.messages[-1]["content"])
        self.asked.append(question)
        answer = self._answer(question) if callable(self._answer) else self._answer
        answer = await answer if inspect.isawaitable(answer) else answer
        if isinstance(answer, Exception):
            raise answer
        content = answer if isinstance(answer, str) else json.dumps(answer)
        return {"message": {"role": "assistant", "content": content}, "usage": {"total_tokens": 7}, "model": "test"}

    async def close(self) -> None:
        pass


async def begin(replica: Replica, reasoner: str | None = None, agent: str = AGENT, **given: Any) -> Run:
    """Starts a reasoner with the input `given`."""
    begun = await replica.start_execution(Start(agent, {"input": given}, reasoner=reasoner))
    return Run(replica.database, begun.execution.execution_id)


async def decide(database: Database, approval_request_id: str, verdict: str = "approved", feedback: str = "") -> None:
    """A person answers."""
    decision = Decision(Verdict(verdict), feedback)
    await database.write(resolve, approval_request_id, decision, by=LOCAL_OPERATOR, via=Via.api)


async def asked(run: Run, approval_request_id: str) -> ApprovalRequest:
    """The pending approval of that id, once the execution waits for it."""

    async def there() -> ApprovalRequest | None:
        return next((one for one in await run.pending() if one.approval_request_id == approval_request_id), None)

    return await until(run, there)  # type: ignore[return-value]


async def recorded(run: Run, count: int) -> list[Step]:
    """The journal, once it holds `count` steps."""

    async def enough() -> list[Step]:
        journal = await run.journal()
        return journal if len(journal) >= count else []

    return await until(run, enough)


async def notes(run: Run) -> list[str]:
    """What the reasoner has said for the record."""
    return [json.loads(event.data)["message"] for event in await run.events() if event.type == "execution.noted"]

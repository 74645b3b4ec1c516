"""What a reasoner's code reaches while it runs, through a context variable: definitions import no engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

from agent_runtime.core.policy import Approval
from agent_runtime.errors import CountersignError


class OutsideReasoner(CountersignError):
    """This works only in one of the agent's reasoners while it runs; start one with `runtime.start` or over the API."""

    slug = "outside-reasoner"


@dataclass(frozen=True, slots=True)
class ApprovalResult:
    """How a pause ended.

    `decision` is one of approved, rejected, request_changes, expired, error; `error` means that the wait itself ended
    (it was cancelled, or `wait_for_resume` timed out). `feedback` is what the person wrote, "" if nothing.
    """

    decision: str
    feedback: str = ""
    approval_request_id: str = ""
    execution_id: str = ""
    decided_by: str = ""

    @property
    def approved(self) -> bool:
        return self.decision == "approved"

    @property
    def changes_requested(self) -> bool:
        return self.decision == "request_changes"


@dataclass(frozen=True, slots=True)
class Pause:
    """What `pause` asks."""

    approval_request_id: str | None
    url: str
    title: str
    approval: Approval


class ReasonerContext(Protocol):
    """One running reasoner; every method but `note` is durable and has its place in the order of the calls, or by
    `name`.
    """

    async def ai(
        self, *, system: str, user: str, schema: Any, model: str | None, default_model: str, name: str | None
    ) -> Any: ...

    async def pause(self, asked: Pause, *, name: str | None) -> ApprovalResult: ...

    async def wait_for_resume(self, approval_request_id: str, timeout: float | None) -> ApprovalResult | None: ...

    def note(self, message: str, tags: Sequence[str]) -> None: ...

    async def call(self, target: str, given: Mapping[str, Any], *, name: str | None) -> Any: ...

    async def step(
        self,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        step_name: str,
        name: str | None,
    ) -> Any: ...


CURRENT: ContextVar[ReasonerContext | None] = ContextVar("countersign_reasoner", default=None)


def current() -> ReasonerContext:
    """The reasoner that this code runs in; raises OutsideReasoner."""
    running = CURRENT.get()
    if running is None:
        raise OutsideReasoner()
    return running

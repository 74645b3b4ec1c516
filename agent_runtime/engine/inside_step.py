"""What a step's own function reaches: a step is one durable thing, so nothing in it is durable by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from agent_runtime.context import ApprovalResult, OutsideReasoner, Pause
from agent_runtime.core.notes import Note
from agent_runtime.engine.functions import Functions
from agent_runtime.plain import storable


class InsideStep:
    """A `ReasonerContext`: a step within it is a part of it, its notes are written with its record, and the rest
    belongs into the reasoner.
    """

    def __init__(self, functions: Functions) -> None:
        self._functions = functions
        self.notes: list[Note] = []

    async def ai(self, **_: Any) -> NoReturn:
        raise _refused("ai()")

    async def pause(self, asked: Pause, *, name: str | None) -> ApprovalResult:
        raise _refused("pause()")

    async def wait_for_resume(self, approval_request_id: str, timeout: float | None) -> ApprovalResult | None:
        raise _refused("wait_for_resume()")

    async def call(self, target: str, given: Mapping[str, Any], *, name: str | None) -> NoReturn:
        raise _refused("call()")

    def note(self, message: str, tags: Sequence[str]) -> None:
        self.notes.append(note_of(message, tags))

    async def step(
        self,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        step_name: str,
        name: str | None,
    ) -> Any:
        return await self._functions.call(function, args, kwargs)


def note_of(message: object, tags: Sequence[object]) -> Note:
    """What somebody says, as it can be stored."""
    words = [tags] if isinstance(tags, str) else tags
    return Note(storable(str(message)), tuple(storable(str(tag)) for tag in words))


def _refused(what: str) -> OutsideReasoner:
    return OutsideReasoner(f"{what} inside a step: a step is one durable thing; call it in the reasoner itself")

"""The events of one execution as they happen, for `for` and `async for` alike."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any, Self

from agent_runtime.errors import Conflict, WrongLoop
from agent_runtime.sdk.events import AgentEvent, EventType, events_of
from agent_runtime.sdk.loops import Home, awaiting, blocking
from agent_runtime.sdk.results import AgentResult, result_of
from agent_runtime.sdk.snapshot import Snapshot

if TYPE_CHECKING:
    from agent_runtime.sdk.handles import AgentHandle, Runtime


class AgentStream:
    """Iterates `AgentEvent`s from the first to the last; whoever comes late gets those that were, in order.

    `approve()` and its like answer the approval of the last `waiting` that was yielded, and no other. `handle` is the
    execution's; `events` are those yielded so far. It holds nothing open, so that a loop may be left at any time.
    """

    def __init__(self, handle: AgentHandle, runtime: Runtime) -> None:
        self.handle = handle
        self.events: list[AgentEvent] = []
        self._runtime = runtime
        self._snapshot: Snapshot | None = None
        self._told: set[str] = set()
        self._ready: deque[AgentEvent] = deque()
        self._waiting: str | None = None

    @property
    def execution_id(self) -> str:
        return self.handle.execution_id

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> AgentEvent:
        try:
            event = self._next_event()
        except WrongLoop as error:
            raise WrongLoop("`for` would block the event loop that the events come from; write `async for`") from error
        if event is None:
            raise StopIteration
        return event

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AgentEvent:
        event = await self._next_event_async()
        if event is None:
            raise StopAsyncIteration
        return event

    def __await__(self) -> Generator[Any, None, Self]:
        """So that `await handle.stream_async()` is right too."""
        return self
        yield

    async def _next(self) -> AgentEvent | None:
        """The next event, waiting for it; None after the last."""
        while not self._ready:
            if self._snapshot is not None and self._snapshot.complete:
                return None
            await self._look()
        event = self._ready.popleft()
        self.events.append(event)
        if event.type is EventType.WAITING:
            self._waiting = event.approval_request_id
        return event

    async def _look(self) -> None:
        executions = await self._runtime._executions()
        if self._snapshot is None:
            self._snapshot = await executions.look(self.execution_id)
        else:
            self._snapshot = await executions.changed(self._snapshot)
        for event in events_of(self._snapshot):
            if event.event_id not in self._told:
                self._told.add(event.event_id)
                self._ready.append(event)

    async def _get_result(self) -> AgentResult:
        """Goes on to the last event and returns the result.

        Raises CollaborationError or TimeoutError where a gate with `stop` ended the execution.
        """
        await (await self._runtime._executions()).ended(self.execution_id)
        while await self._next() is not None:
            pass
        assert self._snapshot is not None
        return result_of(self._snapshot)

    async def _approve(self, feedback: str = "", *, edited_arguments: Mapping[str, Any] | None = None) -> None:
        """Approves what the last `waiting` asked; see `AgentHandle.approve`. Raises Conflict before the first one."""
        await self.handle._approve(feedback, approval_request_id=self._asked(), edited_arguments=edited_arguments)

    async def _reject(self, reason: str = "") -> None:
        """Rejects what the last `waiting` asked; see `AgentHandle.reject`."""
        await self.handle._reject(reason, approval_request_id=self._asked())

    async def _request_changes(self, feedback: str) -> None:
        """Requests changes to what the last `waiting` asked; see `AgentHandle.request_changes`."""
        await self.handle._request_changes(feedback, approval_request_id=self._asked())

    async def _respond(self, answer: str | Mapping[str, Any], feedback: str = "") -> None:
        """Answers the last `waiting`; see `AgentHandle.respond`."""
        await self.handle._respond(answer, feedback, approval_request_id=self._asked())

    get_result, get_result_async = blocking(_get_result), awaiting(_get_result)
    approve, approve_async = blocking(_approve), awaiting(_approve)
    reject, reject_async = blocking(_reject), awaiting(_reject)
    request_changes, request_changes_async = blocking(_request_changes), awaiting(_request_changes)
    respond, respond_async = blocking(_respond), awaiting(_respond)
    _next_event, _next_event_async = blocking(_next), awaiting(_next)

    def __repr__(self) -> str:
        return f"AgentStream(execution_id={self.execution_id!r}, events={len(self.events)})"

    def _home(self) -> Home:
        return self._runtime._home()

    def _asked(self) -> str:
        if self._waiting is None:
            raise Conflict("this stream has yielded no `waiting` yet, so there is nothing to answer")
        return self._waiting

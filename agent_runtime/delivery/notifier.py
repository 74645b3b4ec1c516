"""The port to whatever shows approvals and executions somewhere: post, update, find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from agent_runtime.core.approval import ApprovalRequest, Vote
from agent_runtime.core.execution import Execution, Step
from agent_runtime.core.permit import Permit

RENDERED, CUT = "rendered", "cut"
"""Fields of a card's receipt: the digest of what was rendered, and whether any of it was cut off or folded."""


@dataclass(frozen=True, slots=True)
class ApprovalView:
    """All that a card shows, read at one moment. `step` is the gated call, `execution` the run it belongs to."""

    approval: ApprovalRequest
    votes: Sequence[Vote] = ()
    step: Step | None = None
    execution: Execution | None = None
    permit: Permit | None = None
    """How an outside agent uses it."""
    held_for: str | None = None
    """Why nobody moves the run: the stop switch, or a restore (see `store.held`)."""


@dataclass(frozen=True, slots=True)
class ExecutionView:
    """All that a progress message or a result shows, read at one moment."""

    execution: Execution
    journal: Sequence[Step] = ()
    approvals: Sequence[ApprovalRequest] = ()
    unserved: bool = False
    """It is queued, and no worker that is alive serves its agent."""
    held_for: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is shown: `key` names it for good (unique a notifier, topic and subject), `lane` is paced
    together.

    `address` is the notifier's own (JSON values), such as a channel and a thread. `instead` are the places to try, in
    order, where this one takes nothing. `over`: nothing new is shown there any more; a post whose record was lost is
    looked for, so that it does not go on showing what is no more.
    """

    key: str
    lane: str
    address: Mapping[str, Any] = field(default_factory=dict)
    instead: Sequence[Place] = ()
    over: bool = False


@dataclass(frozen=True, slots=True)
class Receipt:
    """The opaque proof of where something is shown (JSON values), and the version that it shows."""

    place: str
    receipt: Mapping[str, Any]
    shown_version: int = 0


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to show: a topic of the outbox about one approval or execution, in its newest state.

    `event` (approval.note only) says what happened: reminded, escalated, approved, rejected, request_changes, expired,
    cancelled, extended, undeliverable. `card` are the receipts of that approval's card.
    `attempt` counts the tries to show it, whichever process made them.
    """

    topic: str
    subject: str
    version: int
    event: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict)
    approval: ApprovalView | None = None
    execution: ExecutionView | None = None
    card: Sequence[Receipt] = ()
    attempt: int = 1


class Notifier(Protocol):
    """Shows notices. Raises RetryAfter where it may work later, Undeliverable where it will not work at that place."""

    name: str
    burst: int
    """Posts that a lane takes at once before it is paced."""
    interval: float
    """Seconds between posts on a lane, in the long run."""

    async def places(self, notice: Notice) -> Sequence[Place]:
        """Where the notice belongs now; places that it was shown at before are updated in any case. Of the notice no
        more is read yet than its approval or execution by itself, and its card's receipts.
        """
        ...

    async def post(self, notice: Notice, place: Place) -> Mapping[str, Any]:
        """Shows it anew; returns the receipt."""
        ...

    async def update(self, notice: Notice, receipt: Receipt) -> Mapping[str, Any] | None:
        """Shows the newest state where it is shown already; a new receipt where it had to be shown anew."""
        ...

    async def find(self, notice: Notice, place: Place) -> Mapping[str, Any] | None:
        """The receipt of an earlier post that got lost between the post and its record, or None."""
        ...


class RetryAfter(Exception):
    """The other side asks for a pause of `seconds` (or does not answer); the lane waits that long.

    `away`: it takes nothing at all just now, whatever it is; so this is tried again without end.
    """

    def __init__(self, reason: str, seconds: float | None = None, *, away: bool = False) -> None:
        super().__init__(reason)
        self.seconds = seconds
        self.away = away


class Undeliverable(Exception):
    """That place takes no such message, now or later."""

"""Bugs that somebody could write, each a narrow replacement in the product, and the promise that each breaks."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from unittest import mock

from sqlalchemy import bindparam, null, update

from agent_runtime.core import deciding
from agent_runtime.engine.calls import Calls
from agent_runtime.operations import calls, resolve
from agent_runtime.store.approvals import END_APPROVAL
from agent_runtime.store.schema import approvals, executions
from agent_runtime.store.statement import Q

_a, _e = approvals.c, executions.c


@dataclass(frozen=True)
class Mutant:
    """`breaks` is what the machine says."""

    name: str
    breaks: str
    plant: Callable[[ExitStack], None]

    @contextlib.contextmanager
    def planted(self) -> Iterator[None]:
        with ExitStack() as planting:
            self.plant(planting)
            yield


def _patch(planting: ExitStack, where: Any, name: str, what: Any) -> None:
    planting.enter_context(mock.patch.object(where, name, what))


def _no_guard(planting: ExitStack) -> None:
    """Select, then set: the last one wins."""
    unguarded = (
        update(approvals)
        .where(_a.approval_request_id == bindparam("b_id"))
        .values(
            status=bindparam("b_status"),
            resolved_at=bindparam("b_now"),
            resolution=bindparam("b_resolution"),
            valid_until=bindparam("b_valid_until"),
            next_due_at=null(),
            version=_a.version + 1,
        )
        .returning(*_a)
    )
    decide = deciding.decide

    def careless(approval: Any, votes: Any, *args: Any) -> Any:
        return decide(dataclasses.replace(approval, status="pending"), (), *args)

    _patch(planting, resolve, "END_APPROVAL", Q(unguarded, END_APPROVAL.row))
    _patch(planting, resolve, "decide", careless)
    _patch(planting, resolve, "_record_vote", lambda *args: None)


def _late_approval(planting: ExitStack) -> None:
    """The deadline is left to the sweep."""
    decide = deciding.decide

    def patient(approval: Any, *args: Any) -> Any:
        return decide(dataclasses.replace(approval, expires_at=None), *args)

    _patch(planting, resolve, "decide", patient)


def _retry_after_crash(planting: ExitStack) -> None:
    """What was started is run again, whatever its effect."""

    async def again(self: Calls, execution: Any, tool: Any, step: Any) -> Any:
        return await self._start_and_perform(execution, tool, step)

    _patch(planting, Calls, "_recover", again)


def _digest_unchecked(planting: ExitStack) -> None:
    """What is stored is what runs."""
    _patch(planting, calls, "_intact", lambda *args: True)


def _stale_card(planting: ExitStack) -> None:
    """The digest that a click carries is not looked at."""
    decide = deciding.decide

    def trusting(approval: Any, votes: Any, decision: Any, *args: Any) -> Any:
        return decide(approval, votes, dataclasses.replace(decision, digest=None), *args)

    _patch(planting, resolve, "decide", trusting)


def _anybody(planting: ExitStack) -> None:
    """Whoever clicks decides."""
    _patch(planting, deciding, "may_decide", lambda *args, **kwargs: None)


def _asleep(planting: ExitStack) -> None:
    """A process that wakes up past its lease begins the effect."""
    perform = Calls._perform

    async def careless(self: Calls, execution: Any, tool: Any, step: Any, leased_until: Any = None) -> Any:
        return await perform(self, execution, tool, step)

    _patch(planting, Calls, "_perform", careless)


def _approval_lasts(planting: ExitStack) -> None:
    """An approval covers its call for ever."""
    lapsed = calls._lapsed

    def forgiving(approval: Any, step: Any, version: str, now: int) -> str:
        return lapsed(dataclasses.replace(approval, valid_until=None), step, version, now)

    _patch(planting, calls, "_lapsed", forgiving)


def _key_of_attempt(planting: ExitStack) -> None:
    """Each attempt has a key of its own."""
    call = Calls._call

    async def fresh(self: Calls, function: Any, tool: Any, step: Any) -> Any:
        step = dataclasses.replace(step, idempotency_key=f"{step.idempotency_key}:{step.attempt}")
        return await call(self, function, tool, step)

    _patch(planting, Calls, "_call", fresh)


MUTANTS = (
    Mutant("no guard", "P2", _no_guard),
    Mutant("late approval", "P7", _late_approval),
    Mutant("retry after crash", "P3", _retry_after_crash),
    Mutant("digest unchecked", "P5", _digest_unchecked),
    Mutant("stale card", "P5", _stale_card),
    Mutant("anybody decides", "P13", _anybody),
)
RARE = (
    Mutant("approval that lasts", "P6", _approval_lasts),
    Mutant("a key for each attempt", "P4", _key_of_attempt),
)
"""Chance takes longer to come to these: planted in the long form alone."""

AFTER_THE_LEASE = Mutant("effect after the lease", "P3", _asleep)
"""Found by a walk of its own: chance seldom comes to it."""

"""Bugs that somebody could write, each a narrow replacement in the product, and the promise that each breaks."""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack
from typing import Any

from sqlalchemy import BinaryExpression, bindparam, null, true, update
from sqlalchemy.sql import operators

from agent_runtime.core import canonical, deciding
from agent_runtime.core.approval import ApprovalStatus
from agent_runtime.core.deciding import Ended
from agent_runtime.core.duration import HOUR
from agent_runtime.core.execution import ExecutionStatus
from agent_runtime.core.principal import SYSTEM, Via
from agent_runtime.engine.calls import Calls
from agent_runtime.errors import LostClaim
from agent_runtime.operations import calls, claim, resolve, sweep
from agent_runtime.store.approvals import END_APPROVAL
from agent_runtime.store.executions import LOCK_EXECUTION, PARK
from agent_runtime.store.schema import approvals, executions
from agent_runtime.store.statement import Q
from tests.chaos import world
from tests.chaos.planting import Mutant, fenced_statements, patch, replace_everywhere, rewritten, without_fence

_a, _e = approvals.c, executions.c


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
        .returning(_a.approval_request_id)
    )
    decide = deciding.decide

    def careless(approval: Any, votes: Any, *args: Any) -> Any:
        return decide(approval._replace(status="pending"), (), *args)

    patch(planting, resolve, "END_APPROVAL", Q(unguarded, END_APPROVAL.row))
    patch(planting, resolve, "decide", careless)
    patch(planting, resolve, "_record_vote", lambda *args: ())


def _late_approval(planting: ExitStack) -> None:
    """The deadline is left to the sweep."""
    decide = deciding.decide

    def patient(approval: Any, *args: Any) -> Any:
        return decide(approval._replace(expires_at=None), *args)

    patch(planting, resolve, "decide", patient)


def _retry_after_crash(planting: ExitStack) -> None:
    """What was started is run again, whatever its effect."""

    async def again(self: Calls, execution: Any, tool: Any, step: Any) -> Any:
        return await self._start_and_perform(execution, tool, step)

    patch(planting, Calls, "_recover", again)


def _digest_unchecked(planting: ExitStack) -> None:
    """What is stored is what runs."""
    patch(planting, calls, "_intact", lambda *args: True)


def _stale_card(planting: ExitStack) -> None:
    """The digest that a click carries is not looked at."""
    decide = deciding.decide

    def trusting(approval: Any, votes: Any, decision: Any, *args: Any) -> Any:
        return decide(approval, votes, dataclasses.replace(decision, digest=None), *args)

    patch(planting, resolve, "decide", trusting)


def _anybody(planting: ExitStack) -> None:
    """Whoever clicks decides."""
    patch(planting, deciding, "may_decide", lambda *args, **kwargs: None)


def _asleep(planting: ExitStack) -> None:
    """A process that wakes up past its lease begins the effect."""
    perform = Calls._perform

    async def careless(self: Calls, execution: Any, tool: Any, step: Any, leased_until: Any = None) -> Any:
        return await perform(self, execution, tool, step)

    patch(planting, Calls, "_perform", careless)


def _approval_lasts(planting: ExitStack) -> None:
    """An approval covers its call for ever."""
    lapsed = calls._lapsed

    def forgiving(approval: Any, step: Any, version: str, now: int) -> str:
        return lapsed(approval._replace(valid_until=None), step, version, now)

    patch(planting, calls, "_lapsed", forgiving)


def _key_of_attempt(planting: ExitStack) -> None:
    """Each attempt has a key of its own."""
    call = Calls._call

    async def fresh(self: Calls, function: Any, tool: Any, step: Any) -> Any:
        step = step._replace(idempotency_key=f"{step.idempotency_key}:{step.attempt}")
        return await call(self, function, tool, step)

    patch(planting, Calls, "_call", fresh)


def _no_fence(planting: ExitStack) -> None:
    """Whoever writes to a running execution is taken for its holder."""
    for statement in fenced_statements().values():
        replace_everywhere(planting, statement, without_fence(statement))

    def whoever(tx: Any, execution: Any) -> Any:
        held = tx.one(LOCK_EXECUTION, b_id=execution.execution_id)
        if held is None or held.status != ExecutionStatus.running:
            raise LostClaim("not running")
        return held

    replace_everywhere(planting, claim.hold_claim, whoever)


def _standing_fence(planting: ExitStack) -> None:
    """A claim has the number of the one before."""

    def same(element: Any) -> Any:
        counts = isinstance(element, BinaryExpression) and element.operator is operators.add
        return _e.fence if counts and element.left is _e.fence else None

    patch(planting, world, "CLAIMABLE", rewritten(world.CLAIMABLE, same))


def _lost_wake_up(planting: ExitStack) -> None:
    """Who parks does not look whether something was decided meanwhile."""

    def seen(element: Any) -> Any:
        compared = isinstance(element, BinaryExpression) and getattr(element.right, "key", "") == "b_seen"
        return true() if compared else None

    replace_everywhere(planting, PARK, rewritten(PARK, seen))


def _resumed_twice(planting: ExitStack) -> None:
    """A decision that is made again lets its execution go on again."""
    product = resolve.resolve

    def eager(tx: Any, *args: Any, **kwargs: Any) -> Any:
        resolution = product(tx, *args, **kwargs)
        if resolution.already_processed and resolution.approval.execution_id is not None:
            resolve.let_go_on(tx, resolution.approval.execution_id)
        return resolution

    replace_everywhere(planting, product, eager)


def _quorum_of_one(planting: ExitStack) -> None:
    """Votes are counted, not people."""
    decide, record_vote = deciding.decide, resolve._record_vote

    def counting(approval: Any, votes: Any, *args: Any) -> Any:
        return decide(approval, [vote._replace(principal="") for vote in votes], *args)

    def once(tx: Any, approval: Any, decision: Any, by: Any, via: Any) -> Any:
        votes = tx.all(resolve.VOTES, b_id=approval.approval_request_id)
        known = by.principal in {vote.principal for vote in votes}
        return () if known else record_vote(tx, approval, decision, by, via)

    patch(planting, resolve, "decide", counting)
    patch(planting, resolve, "_record_vote", once)


def _silence_approves(planting: ExitStack) -> None:
    """Nobody has said no."""

    def generous(tx: Any, approval: Any) -> Any:
        said = {"by": SYSTEM.principal, "via": Via.expiry.value, "feedback": ""}
        approved = Ended(ApprovalStatus.approved, said, tx.now + HOUR)
        return resolve.end(tx, approval, approved, by=SYSTEM, via=Via.expiry)

    patch(planting, sweep, "expire", generous)


def _digest_without_version(planting: ExitStack) -> None:
    """The digest is of the tool's name and the arguments."""
    for name in ("call_digest", "text_digest"):
        product = getattr(canonical, name)

        def nameless(tool: str, version: str, *args: Any, _product: Any = product) -> Any:
            return _product(tool, "", *args)

        replace_everywhere(planting, product, nameless)


MUTANTS = (
    Mutant("no guard", ("P2", "P13"), _no_guard),
    Mutant("late approval", ("P7",), _late_approval),
    Mutant("silence approves", ("P7",), _silence_approves),
    Mutant("retry after crash", ("P3", "P5"), _retry_after_crash),
    Mutant("a key for each attempt", ("P4",), _key_of_attempt),
    Mutant("no fence", ("P3", "fence"), _no_fence),
    Mutant("a fence that is not counted up", ("P3", "P1"), _standing_fence),
    Mutant("digest unchecked", ("P5",), _digest_unchecked),
    Mutant("digest without the version", ("P5",), _digest_without_version),
    Mutant("stale card", ("P5",), _stale_card),
    Mutant("approval that lasts", ("P6",), _approval_lasts),
    Mutant("anybody decides", ("P13",), _anybody),
    Mutant("a quorum of one person", ("P13",), _quorum_of_one),
    Mutant("resumed twice", ("P2",), _resumed_twice),
    Mutant("lost wake-up", ("P1",), _lost_wake_up),
)

AFTER_THE_LEASE = Mutant("effect after the lease", ("P3",), _asleep)
"""Found by a walk of its own: chance seldom comes to it."""

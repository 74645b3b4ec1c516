"""Statements about executions. Every change of status is a guarded UPDATE that reports whether it landed."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import (
    BigInteger,
    BindParameter,
    and_,
    bindparam,
    case,
    exists,
    insert,
    literal,
    literal_column,
    not_,
    null,
    or_,
    select,
    update,
)

from agent_runtime.core.execution import Execution
from agent_runtime.core.switches import ALL
from agent_runtime.store.rows import among, column_names
from agent_runtime.store.schema import executions, switches
from agent_runtime.store.statement import Q

_e = executions.c
_all = list(_e)
_by_id = _e.execution_id == bindparam("b_id")
_mine = and_(_by_id, _e.fence == bindparam("b_fence"), _e.status == "running")

INSERT_EXECUTION = Q(insert(executions), columns=column_names(executions))
GET_EXECUTION = Q(select(*_all).where(_by_id), Execution, quick=True)
LOCK_EXECUTION = Q(select(*_all).where(_by_id).with_for_update(), Execution)
BY_IDEMPOTENCY_KEY = Q(
    select(*_all).where(
        _e.requested_by == bindparam("b_requested_by"),
        _e.agent == bindparam("b_agent"),
        _e.idempotency_key == bindparam("b_key"),
    ),
    Execution,
)
EARLIER_TURNS = Q(
    select(_e.execution_id, _e.input, _e.result, _e.status)
    .where(
        _e.conversation_id == bindparam("b_conversation"), _e.agent == bindparam("b_agent"), _e.ended_at.is_not(None)
    )
    .order_by(_e.created_at.desc(), _e.execution_id.desc())
    .limit(bindparam("b_limit"))
)
OF_CONVERSATION = Q(
    select(*_all)
    .where(_e.conversation_id == bindparam("b_conversation"))
    .order_by(_e.created_at.desc(), _e.execution_id.desc())
    .limit(bindparam("b_limit")),
    Execution,
)


REQUESTED_BY = Q(
    select(*_all)
    .where(_e.requested_by == bindparam("b_requested_by"))
    .order_by(_e.created_at.desc(), _e.execution_id.desc())
    .limit(bindparam("b_limit")),
    Execution,
)
"""What one principal asked for, newest first."""

STANDING = Q(select(_e.agent, _e.status, _e.fence, _e.signals, _e.version).where(_by_id), quick=True)
"""How it is, in short."""

SHOWN = Q(
    select(
        _e.execution_id, _e.agent, _e.reasoner, _e.status, _e.input, _e.result, _e.error, _e.finish_reason, _e.version
    ).where(_by_id),
    quick=True,
)
"""What a program is shown of it."""

HOLDERS_AT_ONCE = 32
HOLDERS = Q(
    select(_e.execution_id, _e.worker_id).where(
        _e.execution_id.in_([bindparam(f"b_{n}") for n in range(HOLDERS_AT_ONCE)])
    )
)
"""The workers of the executions b_0, b_1, …; ids that there are too few of are empty."""

OPEN_CHILDREN = Q(
    select(*_all)
    .where(_e.parent_execution_id == bindparam("b_parent"), _e.ended_at.is_(None))
    .order_by(_e.execution_id)
    .with_for_update(),
    Execution,
)
CHILDREN = Q(
    select(_e.execution_id)
    .where(_e.parent_execution_id == bindparam("b_parent"))
    .order_by(_e.parent_position, _e.created_at, _e.execution_id),
    quick=True,
)
"""The executions that one started by `call()`, in the order of its calls."""


_stopped = exists(
    select(literal(1)).where(or_(switches.c.scope == ALL, switches.c.scope == literal("agent:").concat(_e.agent)))
)
_held_back = exists(select(literal(1)).where(switches.c.scope == _e.held_for))
_may_be_claimed = and_(
    not_(_stopped),
    or_(_e.held_for.is_(None), and_(_e.held_for.like(literal_column("'tool:%'")), not_(_held_back))),
)
"""Nobody has stopped its agent, or the tool that it came to; and no restore holds it."""


def claim_queued(agents: Sequence[str]) -> Q[Execution]:
    """Claims up to `b_limit` queued executions of `agents`, oldest first; each claim has a new fence."""
    queued = (
        select(_e.execution_id)
        .where(
            _e.status == "queued",
            _e.run_after <= bindparam("b_now"),
            among(_e.agent, agents),
            or_(_e.worker_id.is_(None), _e.worker_id == bindparam("b_worker"), _e.lease_until <= bindparam("b_now")),
            _may_be_claimed,
        )
        .order_by(_e.run_after, _e.execution_id)
        .limit(bindparam("b_limit"))
        .with_for_update(skip_locked=True)
        .cte("oldest")  # a plan may run a subquery several times, and so pass its limit
    )
    return Q(
        update(executions)
        .where(_e.execution_id.in_(select(queued.c.execution_id)))
        .values(
            status="running",
            held_for=null(),
            fence=_e.fence + 1,
            attempts=_e.attempts + 1,
            worker_id=bindparam("b_worker"),
            lease_until=bindparam("b_lease"),
            started_at=case((_e.started_at.is_(None), bindparam("b_now")), else_=_e.started_at),
            version=_e.version + 1,
        )
        .returning(*_all),
        Execution,
    )


HELD = Q(
    select(_e.execution_id, _e.fence, _e.signals).where(_e.worker_id == bindparam("b_worker"), _e.status == "running")
)
_unlocked = (
    select(_e.execution_id)
    .where(_e.worker_id == bindparam("b_worker"), _e.status == "running")
    .with_for_update(skip_locked=True)
    .cte("unlocked")
)
EXTEND_LEASES = Q(
    update(executions)
    .where(_e.execution_id.in_(select(_unlocked.c.execution_id)))
    .values(lease_until=bindparam("b_lease"))
    .returning(_e.execution_id)
)
"""One that is being written just now is passed over, as a heartbeat that waited could wait in a circle; the lease
outlives several.
"""

LAPSED = Q(
    select(*_all)
    .where(_e.status == "running", _e.lease_until <= bindparam("b_now"))
    .order_by(_e.lease_until)
    .limit(bindparam("b_limit"))
    .with_for_update(skip_locked=True),
    Execution,
)
OF_WORKER = Q(
    select(*_all)
    .where(_e.status == "running", _e.worker_id == bindparam("b_worker"))
    .with_for_update(skip_locked=True),
    Execution,
)
BUSY_WORKERS = Q(select(_e.worker_id).where(_e.status == "running").distinct())

PROGRESS = Q(
    update(executions)
    .where(_mine)
    .values(attempts=0, version=_e.version + 1, open_approvals=_e.open_approvals + bindparam("b_opened"))
    .returning(_e.signals, _e.status)
)
"""Something durable happened under this claim: guards the fence and counts new approvals."""

PROGRESS_LEASED = Q(
    update(executions)
    .where(_mine)
    .values(attempts=0, version=_e.version + 1, lease_until=bindparam("b_lease"))
    .returning(_e.signals, _e.status)
)
"""The same where an effect follows, for which the whole lease is needed."""

REOPEN = Q(
    update(executions)
    .where(_by_id)
    .values(open_approvals=_e.open_approvals + 1, version=_e.version + 1)
    .returning(_e.execution_id)
)
"""One more approval of this execution is open, whoever holds it."""

RECLAIM = Q(
    update(executions)
    .where(_by_id, _e.fence == bindparam("b_fence"), _e.worker_id == bindparam("b_worker"), _e.status == "waiting")
    .values(status="running", fence=_e.fence + 1, lease_until=bindparam("b_lease"), version=_e.version + 1)
    .returning(*_all),
    Execution,
)
"""The worker that parked a coroutine takes its execution back, as that has more to do."""

PARK = Q(
    update(executions)
    .where(_mine)
    .values(
        status=case((_e.signals == bindparam("b_seen"), literal("waiting")), else_=literal("queued")),
        open_approvals=_e.open_approvals + bindparam("b_opened"),
        worker_id=bindparam("b_keep"),
        lease_until=case((_e.signals == bindparam("b_seen"), null()), else_=bindparam("b_lease", type_=BigInteger)),
        attempts=0,
        version=_e.version + 1,
    )
    .returning(_e.status)
)
"""Waiting only where no resolution came in that the worker has not seen; else queued, so that no wake-up is lost.

`b_keep` is the worker that keeps a coroutine parked in memory: it may claim first, until `b_lease`."""

REQUEUE = Q(
    update(executions)
    .where(_mine)
    .values(
        status="queued",
        worker_id=null(),
        lease_until=null(),
        run_after=bindparam("b_run_after"),
        version=_e.version + 1,
    )
    .returning(_e.status)
)
HAND_OVER = Q(
    update(executions)
    .where(_mine)
    .values(
        status="queued",
        worker_id=null(),
        lease_until=null(),
        attempts=case((_e.attempts > 0, _e.attempts - 1), else_=0),
        version=_e.version + 1,
    )
    .returning(_e.status)
)
"""A graceful shutdown gives the claim back; that is no failed attempt."""

HOLD_BACK = Q(
    update(executions)
    .where(_mine)
    .values(
        status="queued",
        held_for=bindparam("b_held"),
        worker_id=null(),
        lease_until=null(),
        attempts=case((_e.attempts > 0, _e.attempts - 1), else_=0),
        version=_e.version + 1,
    )
    .returning(_e.status)
)
"""The stop switch gives the claim back. Held for a tool, it is not claimed before that goes on, or other news comes."""

COMPLETE = Q(
    update(executions)
    .where(_mine)
    .values(
        status=bindparam("b_status"),
        result=bindparam("b_result"),
        error=bindparam("b_error"),
        finish_reason=bindparam("b_finish_reason"),
        worker_id=null(),
        lease_until=null(),
        ended_at=bindparam("b_now"),
        version=_e.version + 1,
    )
    .returning(_e.open_approvals)
)
END_UNCLAIMED = Q(
    update(executions)
    .where(_by_id, _e.ended_at.is_(None))
    .values(
        status=bindparam("b_status"),
        error=bindparam("b_error"),
        finish_reason=bindparam("b_finish_reason"),
        worker_id=null(),
        lease_until=null(),
        fence=_e.fence + 1,
        ended_at=bindparam("b_now"),
        version=_e.version + 1,
    )
    .returning(_e.execution_id)
)
"""Ends it whoever holds it: the new fence refuses the holder's writes."""

END_CALLING = Q(
    update(executions)
    .where(_by_id, _e.ended_at.is_(None))
    .values(
        status=bindparam("b_status"),
        error=bindparam("b_error"),
        finish_reason=bindparam("b_finish_reason"),
        lease_until=bindparam("b_lease"),
        fence=_e.fence + 1,
        ended_at=bindparam("b_now"),
        version=_e.version + 1,
    )
    .returning(_e.execution_id)
)
"""The same for one whose worker runs a call now: whose it is stays known, until the call has said how it ended."""

CALLING_STILL = Q(
    select(*_all)
    .where(_e.ended_at.is_not(None), _e.lease_until.is_not(None), _e.lease_until <= bindparam("b_now"))
    .order_by(_e.lease_until)
    .limit(bindparam("b_limit"))
    .with_for_update(skip_locked=True),
    Execution,
)
"""Ended ones whose last calls had not said how they ended when it was looked last."""

CALLING_OF_WORKER = Q(
    select(*_all)
    .where(_e.ended_at.is_not(None), _e.lease_until.is_not(None), _e.worker_id == bindparam("b_worker"))
    .order_by(_e.lease_until)
    .with_for_update(skip_locked=True),
    Execution,
)

KEEP_WORKER = Q(update(executions).where(_by_id).values(lease_until=bindparam("b_lease")).returning(_e.execution_id))
FORGET_WORKER = Q(
    update(executions).where(_by_id).values(worker_id=null(), lease_until=null()).returning(_e.execution_id)
)

RELEASE_PARKED = Q(
    update(executions)
    .where(_e.worker_id == bindparam("b_worker"), among(_e.status, ["waiting", "queued"]))
    .values(worker_id=null(), lease_until=null())
    .returning(_e.execution_id)
)
_kept_unlocked = (
    select(_e.execution_id)
    .where(_e.worker_id == bindparam("b_worker"), among(_e.status, ["waiting", "queued"]))
    .with_for_update(skip_locked=True)
    .cte("unlocked")
)
RELEASE_UNLOCKED = Q(
    update(executions)
    .where(_e.execution_id.in_(select(_kept_unlocked.c.execution_id)))
    .values(worker_id=null(), lease_until=null())
    .returning(_e.execution_id)
)
"""The same, but those that are being written just now: nobody waits for it."""

RELEASE_ONE = Q(
    update(executions)
    .where(
        _by_id,
        _e.fence == bindparam("b_fence"),
        _e.worker_id == bindparam("b_worker"),
        among(_e.status, ["waiting", "queued"]),
    )
    .values(worker_id=null(), lease_until=null())
    .returning(_e.execution_id)
)
"""Parked coroutines that are gone: any worker may replay them."""

GATE_CLOSED_WAKES = Q(
    update(executions)
    .where(_by_id, _e.status == "waiting")
    .values(
        lease_until=case((_e.worker_id.is_(None), null()), else_=bindparam("b_lease", type_=BigInteger)),
        open_approvals=_e.open_approvals - 1,
        signals=_e.signals + 1,
        status="queued",
        run_after=bindparam("b_now"),
        version=_e.version + 1,
    )
    .returning(_e.status)
)
GATE_CLOSED = Q(
    update(executions)
    .where(_by_id)
    .values(
        open_approvals=_e.open_approvals - 1,
        signals=_e.signals + 1,
        held_for=case((_e.held_for.like(literal_column("'tool:%'")), null()), else_=_e.held_for),
        version=_e.version + 1,
    )
    .returning(_e.status)
)
"""Another call than the one that was stopped may run now."""


def list_executions(*, status: bool, agent: bool, after: bool) -> Q[Execution]:
    """A page, newest first, keyset-paged by (created_at, execution_id); the flags say which filters are bound."""
    query = select(*_all)
    if status:
        query = query.where(_e.status == bindparam("b_status"))
    if agent:
        query = query.where(_e.agent == bindparam("b_agent"))
    if after:
        at: BindParameter[int] = bindparam("b_at")
        eid: BindParameter[str] = bindparam("b_id")
        query = query.where(or_(_e.created_at < at, and_(_e.created_at == at, _e.execution_id < eid)))
    return Q(query.order_by(_e.created_at.desc(), _e.execution_id.desc()).limit(bindparam("b_limit")), Execution)

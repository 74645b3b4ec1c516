"""Claims executions of the agents that it has, runs them, and gives them back: lease, heartbeat, hand-over."""

from __future__ import annotations

import asyncio
import functools
import os
import secrets
import socket
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from agent_runtime.agent import Agent
from agent_runtime.core.canonical import canonical
from agent_runtime.core.duration import SECOND
from agent_runtime.core.execution import LEASE, Execution
from agent_runtime.core.policy import Defaults
from agent_runtime.engine.calls import RESULT_LIMIT, Calls
from agent_runtime.engine.conversation import Conversation
from agent_runtime.engine.functions import Functions
from agent_runtime.engine.journaled import Surroundings
from agent_runtime.engine.model import Model
from agent_runtime.engine.reasoners import Reasoners
from agent_runtime.engine.starting import Starting
from agent_runtime.engine.switchboard import Switchboard
from agent_runtime.errors import LostClaim, ModelUnavailable, Overloaded, Stopped, StoreUnavailable
from agent_runtime.operations.claim import Claim, claim, hand_over, heartbeat, hold_back, release_parked, retry_later
from agent_runtime.operations.restore import ask_after_restore
from agent_runtime.store.agents import BEAT, INSERT_WORKER
from agent_runtime.store.database import Database
from agent_runtime.store.executions import GET_EXECUTION, claim_queued
from agent_runtime.store.intake import Request
from agent_runtime.store.statement import Q
from agent_runtime.store.tx import Tx
from agent_runtime.trouble import report

log = structlog.get_logger(__name__)

CLAIMED_AT_ONCE = 64
PARKED_AT_MOST = 1000
"""Coroutines of reasoners that wait in memory; past it the oldest are dropped and later replayed."""

FIRST_PAUSE, LAST_PAUSE = SECOND, 60 * SECOND
"""Back-off after a passing fault, doubled with each attempt without progress."""


@functools.lru_cache(maxsize=16)
def _claimable(agents: tuple[str, ...]) -> Q[Execution]:
    """The claiming statement for these agents, compiled once."""
    return claim_queued(agents)


@dataclass(slots=True)
class Running:
    """One claimed execution on this worker; `session` ends when it parks or ends. `calling`: whether it runs tools."""

    fence: int
    signals: int
    session: asyncio.Task[None]
    calling: Callable[[], bool] = lambda: False


@dataclass
class Worker:
    """Runs executions of `agents` (by name; may grow while it runs), `concurrency` at once."""

    database: Database
    agents: Mapping[str, Agent]
    model: Model
    defaults: Defaults
    concurrency: int = 100
    worker_id: str = field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}")
    _running: dict[str, Running] = field(default_factory=dict)
    parked_at_most: int = PARKED_AT_MOST
    result_limit: int = RESULT_LIMIT
    _unattended: dict[str, int] = field(default_factory=dict)
    _stopping: bool = False
    _asked_after_restore: bool = False
    _claiming: asyncio.Lock = field(default_factory=asyncio.Lock)
    _along: dict[asyncio.Future[list[Claim]], int] = field(default_factory=dict)
    _drained: asyncio.Event = field(default_factory=asyncio.Event)
    _calls: Calls = field(init=False)
    _starting: Starting = field(init=False)
    _functions: Functions = field(init=False)
    switchboard: Switchboard = field(init=False)
    _reasoners: Reasoners = field(init=False)

    def __post_init__(self) -> None:
        self._functions = Functions()
        self.switchboard = Switchboard(self.database)
        self._starting = Starting(self.database, self.switchboard, self.worker_id, self.agents)
        self._calls = Calls(
            self.database,
            self.defaults,
            self._functions,
            self.switchboard,
            self._starting,
            result_limit=self.result_limit,
        )
        around = Surroundings(self.model, self.defaults, self._functions, self.switchboard)
        self._reasoners = Reasoners(self.database, self.worker_id, around, self.parked_at_most, self._go_on)

    @property
    def running(self) -> frozenset[str]:
        """Ids of the executions that it holds now."""
        return frozenset(self._running)

    async def run(self) -> None:
        """Claims and runs until `stop` has drained; a fault of the database is logged and waited out."""
        await self.database.write(register, self.worker_id, sorted(self.agents))
        await self.switchboard.look()
        beating = asyncio.create_task(self._beat(), name="countersign-heartbeat")
        looking = asyncio.create_task(self.switchboard.run(), name="countersign-switchboard")
        try:
            with (
                self.database.wakes.listen("queued") as woken,
                self.database.joined(self._claim_along),
                self.database.joined(self._starting.joining),
            ):
                while not self._stopping:
                    woken.clear()
                    try:
                        await self._ask_after_restore()
                        full = await self._claim()
                    except Exception as error:  # noqa: BLE001 - reported; the next round tries again
                        report(log, "worker: could not claim; trying again at the next wake", error)
                        full = False
                    if not full:
                        await woken.wait()
            await self._drained.wait()
        finally:
            beating.cancel()
            looking.cancel()
            await asyncio.gather(beating, looking, return_exceptions=True)

    async def stop(self, grace: float = 30.0) -> None:
        """Claims nothing more, lets what runs go on for `grace` seconds, then hands it over to whoever comes next."""
        self._stopping = True
        self.database.wakes.announce(["queued"])
        try:
            async with self._claiming:
                if self._along:
                    await asyncio.wait(self._along)
                sessions = [running.session for running in self._running.values()]
            if sessions:
                await asyncio.wait(sessions, timeout=grace)
            left = [running.session for running in self._running.values()]
            for session in left:
                session.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            await self._reasoners.drop_all()
            await asyncio.gather(*(running.session for running in self._running.values()), return_exceptions=True)
            await self.database.write(release_parked, self.worker_id)
        finally:
            self._functions.close()
            self._drained.set()

    async def _ask_after_restore(self) -> None:
        """Once: nobody restores a database that is served."""
        if not self._asked_after_restore:
            while await self.database.write(ask_after_restore, self.defaults):
                pass
            self._asked_after_restore = True

    async def _claim(self) -> bool:
        """Claims what it has room for; whether there may be more at once."""
        async with self._claiming:
            limit, wanted = self._room(), self._wanted()
            if self._stopping or limit == 0 or not wanted:
                return False
            claims = await self.database.write(claim, _claimable(wanted), self.worker_id, limit, self.defaults)
            for claimed in claims:
                self._hold(claimed.execution, self._session(claimed))
        return len(claims) == limit

    def _claim_along(self, ran: Sequence[Request], since: float) -> Sequence[Request]:
        """The same as part of the transaction that has just queued something; nothing where it must wait."""
        if not any("queued" in request.topics and request.operation is not claim for request in ran):
            return ()
        limit, wanted = self._room(), self._wanted()
        if self._stopping or self._claiming.locked() or not self._asked_after_restore or limit == 0 or not wanted:
            return ()
        claims: asyncio.Future[list[Claim]] = asyncio.get_running_loop().create_future()
        self._along[claims] = limit
        claims.add_done_callback(self._claimed_along)
        args = (_claimable(wanted), self.worker_id, limit, self.defaults)
        return [Request(claim, args, {}, claims, stands_for="queued")]

    def _claimed_along(self, claims: asyncio.Future[list[Claim]]) -> None:
        del self._along[claims]
        if (error := claims.exception()) is not None:
            assert isinstance(error, Exception)
            report(log, "worker: could not claim along with what was queued; trying again at the next wake", error)
            return
        for claimed in claims.result():
            self._hold(claimed.execution, self._session(claimed))

    def _room(self) -> int:
        """Executions that it may claim now."""
        return max(0, min(self.concurrency - len(self._running) - sum(self._along.values()), CLAIMED_AT_ONCE))

    def _wanted(self) -> tuple[str, ...]:
        """The agents whose executions it claims."""
        return tuple(name for name in sorted(self.agents) if not self.switchboard.covering(name))

    def _hold(self, execution: Execution, session: Coroutine[Any, Any, None]) -> None:
        """One session of an execution that this worker has claimed."""
        running = asyncio.create_task(self._run(execution, session), name=execution.execution_id)
        self._running[execution.execution_id] = Running(execution.fence, execution.signals, running)

    async def _session(self, claimed: Claim) -> None:
        """The LLM loop, or the reasoner: the coroutine that is parked here, or a new one."""
        execution = claimed.execution
        agent = self.agents[execution.agent]
        if execution.reasoner is None:
            conversation = Conversation.of(claimed, agent, self.database, self.model, self._calls)
            self._running[execution.execution_id].calling = conversation.calling
            return await conversation.run()
        return await self._reasoners.session(agent, execution)

    def _go_on(self, execution: Execution) -> None:
        """A reasoner that was parked here has claimed its execution by itself."""
        self._hold(execution, self._reasoners.session(self.agents[execution.agent], execution))

    async def _run(self, execution: Execution, session: Coroutine[Any, Any, None]) -> None:
        try:
            await session
        except LostClaim as lost:
            log.info("claim lost", execution_id=execution.execution_id, reason=lost.message)
            await self._give_back(execution, retry_later, delay=FIRST_PAUSE, reason=lost.message)
        except Stopped as stopped:
            log.info("stopped", execution_id=execution.execution_id, reason=stopped.message)
            await self._give_back(execution, hold_back, scope=str(stopped.details["scope"]))
        except ModelUnavailable as error:
            await self._retry(execution, error.message)
        except asyncio.CancelledError:
            await self._give_back(execution, hand_over)
            raise
        except Exception as error:
            log.exception("execution failed unexpectedly", execution_id=execution.execution_id)
            await self._retry(execution, f"{type(error).__name__}: {error}")
        finally:
            was_full = self._room() == 0
            held = self._running.get(execution.execution_id)
            if held is not None and held.fence == execution.fence:
                del self._running[execution.execution_id]
                self._starting.forget(execution)
                await self._reasoners.settle(execution.execution_id)
            if was_full:
                self.database.wakes.announce(["queued"])

    async def _retry(self, execution: Execution, reason: str) -> None:
        """Back to the queue after a pause; after MAX_ATTEMPTS without progress people are asked."""
        delay = min(LAST_PAUSE, FIRST_PAUSE << max(0, execution.attempts - 1))
        log.warning("execution postponed", execution_id=execution.execution_id, reason=reason, seconds=delay // SECOND)
        await self._give_back(execution, retry_later, delay=delay, reason=reason)

    async def _give_back(self, execution: Execution, operation: Callable[..., None], **how: Any) -> None:
        """Gives up the claim, where it is not lost already. This worker's heartbeat would keep it up for ever, so a
        database that is away is waited out.
        """
        while True:
            try:
                return await self.database.write(operation, execution, **how)
            except (StoreUnavailable, Overloaded) as error:
                log.warning("could not give back a claim", execution_id=execution.execution_id, reason=error.message)
                if self._stopping:
                    return None  # once this process has ended, its claims are taken over
                await asyncio.sleep(FIRST_PAUSE / SECOND)

    async def _beat(self) -> None:
        """Extends the leases, drops what was lost, and notices decisions that no wake-up announced."""
        while True:
            await asyncio.sleep(LEASE / SECOND / 5)
            try:
                await self._beat_once()
            except Exception as error:  # noqa: BLE001 - reported; the next round tries again
                report(log, "worker: heartbeat failed", error)

    async def _beat_once(self) -> None:
        began_before = list(self._running.items())
        held = await self.database.write(beat, self.worker_id, sorted(self.agents))
        for execution_id, running in began_before:
            fence, signals = held.get(execution_id, (None, 0))
            if fence != running.fence:
                await self._lost(execution_id, running)
            elif signals != running.signals:
                running.signals = signals
                self.database.wakes.announce([f"answers:{execution_id}"])
        await self._give_back_unattended({eid: fence for eid, (fence, _) in held.items() if eid not in self._running})
        await self._reasoners.check_parked()

    async def _give_back_unattended(self, unattended: dict[str, int]) -> None:
        """Claims that have no session here, two heartbeats running: the database was lost as they were won."""
        for execution_id, fence in unattended.items():
            execution = await self.database.one(GET_EXECUTION, b_id=execution_id)
            if self._unattended.get(execution_id) == fence and execution is not None and execution.fence == fence:
                reason = "the answer to a claim was lost"
                await self._give_back(execution, retry_later, delay=0, reason=reason)
        self._unattended = unattended

    async def _lost(self, execution_id: str, running: Running) -> None:
        """The claim is gone: at once, if another worker has it; a tool may finish, if the execution has ended."""
        execution = await self.database.one(GET_EXECUTION, b_id=execution_id)
        if execution is not None and execution.terminal and running.calling():
            self.database.wakes.announce([f"answers:{execution_id}"])
        elif not running.session.done():
            running.session.cancel()


def register(tx: Tx, worker_id: str, agents: list[str]) -> None:
    """The worker's row: whom it serves, and that it is alive."""
    tx.run(
        INSERT_WORKER,
        worker_id=worker_id,
        agents=canonical([*agents]),
        host=socket.gethostname(),
        pid=os.getpid(),
        started_at=tx.now,
        heartbeat_at=tx.now,
    )


def beat(tx: Tx, worker_id: str, agents: list[str]) -> dict[str, tuple[int, int]]:
    """A heartbeat: the worker's row, written anew where it was taken for dead, and its leases."""
    if tx.run(BEAT, b_worker=worker_id, b_now=tx.now, b_agents=canonical([*agents])) is None:
        register(tx, worker_id, agents)
    return heartbeat(tx, worker_id)

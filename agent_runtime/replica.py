"""One process's share of a deployment: database, worker, clockwork and surfaces, opened and closed in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from importlib.metadata import entry_points
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import structlog

from agent_runtime import failpoints
from agent_runtime.agent import Agent
from agent_runtime.audit.sealer import Sealer
from agent_runtime.core.policy import Approval, Checkpoint, Defaults
from agent_runtime.core.principal import LOCAL_OPERATOR, Actor, Via
from agent_runtime.engine.liveness import WorkerLock, lock_folder
from agent_runtime.engine.model import ChatModel, Model, Provider
from agent_runtime.engine.scheduler import Clockwork
from agent_runtime.engine.worker import Worker, beat
from agent_runtime.operations.deploy import deploy
from agent_runtime.operations.policy import note_policy
from agent_runtime.operations.start import Start, Started, start
from agent_runtime.policy_file import load_policy_file, policy_in_force
from agent_runtime.settings import Settings
from agent_runtime.store.clock import system_clock
from agent_runtime.store.database import Database

if TYPE_CHECKING:
    from agent_runtime.delivery.webhooks import Webhooks
    from agent_runtime.surface import Surface

log = structlog.get_logger(__name__)

SURFACES = "countersign.surfaces"
"""The entry-point group of what shows approvals to people."""

GRACE = 30.0
"""Seconds that running executions get when a replica closes."""


class Replica:
    """Runs agents on one database; an asynchronous context manager, on the loop that it is entered on.

    Args:
        settings: checked settings.
        env_file: a `.env` file for settings of surfaces that the environment leaves out.
        model: what answers the agents' turns; the chat API by default.
        surfaces: whether what is installed and configured to show approvals is opened; or what creates those that are.
        callbacks: whether outside agents' callbacks are sent from here also where nothing is signed; a server does.
        clock: epoch microseconds (SQLite only); for tests.

    Raises InvalidSetting, SchemaMismatch or StoreUnavailable on entry.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        env_file: str | None = None,
        model: Model | None = None,
        surfaces: bool | Sequence[Callable[[Database], Surface]] = True,
        callbacks: bool = False,
        clock: Any = system_clock,
    ) -> None:
        self.settings = settings
        self._env_file = env_file
        self._model = model
        self._surfaces = surfaces
        self._callbacks = callbacks
        self._clock = clock
        self.webhooks: Webhooks | None = None
        self.agents: dict[str, Agent] = {}
        self.surfaces: list[Surface] = []
        self._background: list[asyncio.Task[None]] = []
        self._grace = GRACE

    async def __aenter__(self) -> Self:
        failpoints.arm_from_environment()
        configured = configured_surfaces(self._env_file) if self._surfaces is True else self._surfaces or ()
        checkpoints = load_policy_file(self.settings.checkpoints).checkpoints  # a wrong one opens no database
        async with AsyncExitStack() as opening:
            self.database = await opening.enter_async_context(
                await Database.open(self.settings.database_url, clock=self._clock)
            )
            self.surfaces = [create(self.database) for create in configured]
            self.defaults = defaults(self.settings, checkpoints, self.surfaces)
            policy = {
                **policy_in_force(self.settings.checkpoints),
                "reviewers": [*(self.defaults.approval.reviewers or ())],
            }
            await self.database.write(note_policy, policy)
            self.model = self._model or chat_model(self.settings)
            opening.push_async_callback(self.model.close)
            self.worker = Worker(
                self.database,
                self.agents,
                self.model,
                self.defaults,
                concurrency=self.settings.concurrency,
                parked_at_most=self.settings.parked_at_most,
                result_limit=self.settings.tool_result_limit,
            )
            if (lock := self._hold_lock()) is not None:
                opening.enter_context(lock)
            if self._callbacks or self.settings.notify_secret is not None:
                from agent_runtime.delivery.webhooks import webhooks  # with an HTTP client, which is slow to import

                self.webhooks = await opening.enter_async_context(webhooks(self.database, self.settings))
            opening.push_async_callback(self._end_background)
            if self.webhooks is not None:
                self._spawn(self.webhooks.run(), "countersign-webhooks")
            for surface in self.surfaces:
                from agent_runtime.delivery.outbox import Outbox

                opening.push_async_callback(surface.stop)
                await surface.start()
                self._spawn(Outbox(self.database, surface.notifier).run(), "countersign-outbox")
            self.clockwork = Clockwork(self.database, self.defaults)
            self.clockwork.start()
            opening.push_async_callback(self.clockwork.stop)
            opening.push_async_callback(self._stop_worker)
            self._spawn(self.worker.run(), "countersign-worker")
            self._spawn(Sealer(self.database).run(), "countersign-sealer")
            if self.settings.audit_heads:
                from agent_runtime.audit.heads import HeadWriter

                self._spawn(HeadWriter.of(self.database, self.settings).run(), "countersign-audit-heads")
            self._open = opening.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self, grace: float = GRACE) -> None:
        """Stops claiming, drains what runs for `grace` seconds, hands the rest over; what waits stays waiting."""
        self._grace = grace
        await self._open.aclose()

    async def deploy(self, *agents: Agent, by: Actor = LOCAL_OPERATOR) -> None:
        """Stores the agents' definitions as the ones that start new executions, and runs them here."""
        served = set(self.agents)
        for agent in agents:
            changed = await self.database.write(deploy, agent.name, agent.version, agent.definition(), by=by)
            self.agents[agent.name] = agent
            if changed:
                log.info("agent deployed", agent=agent.name, version=agent.version)
        if served != set(self.agents):  # told at once, not at the next heartbeat
            await self.database.write(beat, self.worker.worker_id, sorted(self.agents))
        self.database.wakes.announce(["queued"])

    async def start_execution(self, wanted: Start, *, by: Actor = LOCAL_OPERATOR, via: Via = Via.sdk) -> Started:
        """Starts an execution of a deployed agent; see operations.start."""
        return await self.database.write(start, wanted, by=by, via=via)

    async def actor(self, principal: str) -> Actor | None:
        """Who a person is now, as the surface that knows them says; None where none does."""
        for surface in self.surfaces:
            known = await surface.actor(principal)
            if known is not None:
                return known
        return None

    def status(self) -> dict[str, Any]:
        """What /readyz tells: the worker, its agents, and the surfaces."""
        worker = next((task for task in self._background if task.get_name() == "countersign-worker"), None)
        return {
            "worker": worker is not None and not worker.done(),
            "agents": sorted(self.agents),
            "webhooks": {} if self.webhooks is None else dict(self.webhooks.counts),
            "surfaces": {
                **{entry.name: {"state": "unconfigured"} for entry in entry_points(group=SURFACES)},
                **{surface.name: dict(surface.status()) for surface in self.surfaces},
            },
        }

    def calls(self) -> dict[tuple[str, str, str], int]:
        """What /metrics tells of the surfaces' calls to their services: by surface, method and outcome."""
        return {(surface.name, *call): n for surface in self.surfaces for call, n in surface.calls().items()}

    async def _stop_worker(self) -> None:
        await self.worker.stop(self._grace)
        await self.database.write(beat, self.worker.worker_id, [])  # a stopped worker serves nobody

    def _hold_lock(self) -> WorkerLock | None:
        if self.database.url.get_backend_name() != "sqlite":
            return None
        return WorkerLock(lock_folder(Path(self.database.url.database or "")), self.worker.worker_id)

    async def _end_background(self) -> None:
        for background in self._background:
            background.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)

    def _spawn(self, running: Any, name: str) -> None:
        task = asyncio.create_task(running, name=name)
        task.add_done_callback(_report)
        self._background.append(task)


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("background work ended", name=task.get_name(), error=repr(error))


def configured_surfaces(env_file: str | None) -> list[Callable[[Database], Surface]]:
    """What is installed and configured to show approvals to people, to be created on a database; found by entry point,
    never by import. Raises InvalidSetting.
    """
    configured = (entry.load().configured(env_file=env_file) for entry in entry_points(group=SURFACES))
    return [create for create in configured if create is not None]


def defaults(settings: Settings, checkpoints: tuple[Checkpoint, ...], surfaces: Sequence[Surface]) -> Defaults:
    """The environment's answers for every approval: the surface's ladder, then the settings' reviewers."""
    if surfaces:
        return Defaults(surfaces[0].approval_defaults, checkpoints, notified=True, webhooks=bool(settings.notify_urls))
    return Defaults(Approval(reviewers=settings.reviewers or None), checkpoints, webhooks=bool(settings.notify_urls))


def chat_model(settings: Settings) -> ChatModel:
    """The chat API with the keys of the settings."""
    return ChatModel(_providers(settings), settings.model)


def _providers(settings: Settings) -> Mapping[str, Provider]:
    def key(secret: Any) -> str:
        return secret.get_secret_value() if secret is not None else ""

    return {
        "openai": Provider("OPENAI_API_KEY", key(settings.openai_api_key), settings.openai_base_url or None),
        "anthropic": Provider("ANTHROPIC_API_KEY", key(settings.anthropic_api_key), settings.anthropic_base_url),
    }

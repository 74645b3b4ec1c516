"""One server process, as a fork of the zygote runs it: a replica with the HTTP API on a free port."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import structlog
from pydantic import SecretStr

from agent_runtime import failpoints
from agent_runtime.conformance.agents import Model, agent
from agent_runtime.conformance.ledger import Ledger
from agent_runtime.conformance.reasoners import reasoners
from agent_runtime.engine.worker import PARKED_AT_MOST
from agent_runtime.replica import Replica, configured_surfaces
from agent_runtime.settings import Settings
from agent_runtime.store.database import Database
from agent_runtime.surface import Surface
from agent_runtime.web.app import create_app
from agent_runtime.web.listening import bind, listen, runner_of

GRACE = 0.1
"""Seconds that calls have to finish after a SIGTERM: seldom enough, so that they are handed over."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a server process is to be. `failpoints` as `agent_runtime.failpoints.arm` takes them; `parked` is how many
    coroutines it keeps in memory. With an `environment` the surfaces that it sets up are opened, and `channels` are
    where cards are shown; `unpaced`: as fast as they can be, not as fast as Slack takes them.
    """

    number: int
    database_url: str
    ledger: str
    failpoints: str = ""
    takes: float = 0.0
    webhook_secret: str = ""
    concurrency: int = 100
    tool_version: str = "1"
    parked: int = PARKED_AT_MOST
    environment: Mapping[str, str] = field(default_factory=dict)
    channels: Sequence[str] = ()
    unpaced: bool = False

    def as_line(self) -> str:
        return json.dumps(asdict(self)) + "\n"


def run(wanted: Wanted, told: int, lifeline: int) -> None:
    """Serves until the process is killed, gets a SIGTERM, or the zygote at the other end of `lifeline` is gone.

    Says on the descriptor `told` where it listens, once it is ready.
    """
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.LogfmtRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )  # lines as `countersign serve` writes them: what they cost is part of it
    asyncio.run(_serve(wanted, told, lifeline))


async def _serve(wanted: Wanted, told: int, lifeline: int) -> None:
    asyncio.get_running_loop().add_reader(lifeline, os._exit, 0)
    failpoints.arm(wanted.failpoints)
    told_to_end = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told_to_end.set)
    settings = _settings(wanted)
    async with Replica(settings, model=Model(), surfaces=_surfaces(wanted)) as replica:
        ledger = Ledger(Path(wanted.ledger))
        working = agent(ledger, takes=wanted.takes, version=wanted.tool_version, channels=wanted.channels)
        await replica.deploy(working, reasoners(ledger))
        app = create_app(
            replica.database,
            settings,
            defaults=replica.defaults,
            routes=[route for surface in replica.surfaces for route in surface.routes()],
            status=replica.status,
            people=replica.actor,
            calls=replica.calls,
        )
        runner = runner_of(app)
        await runner.setup()
        await listen(runner, await bind("127.0.0.1", 0), "127.0.0.1")
        ready = {"number": wanted.number, "port": runner.addresses[0][1], "worker": replica.worker.worker_id}
        os.write(told, (json.dumps(ready) + "\n").encode())
        await told_to_end.wait()
        await runner.cleanup()
        await replica.close(GRACE)


def _surfaces(wanted: Wanted) -> Sequence[Callable[[Database], Surface]]:
    """What the environment sets up."""
    configured = configured_surfaces(None) if wanted.environment else []
    return [functools.partial(_unpaced, create) for create in configured] if wanted.unpaced else configured


def _unpaced(create: Callable[[Database], Surface], database: Database) -> Surface:
    surface = create(database)
    surface.notifier.interval = 0.0
    return surface


def _settings(wanted: Wanted) -> Settings:
    """Settings for this purpose alone: no variable of the environment's reaches the servers."""
    for name in [name for name in os.environ if name.startswith(("COUNTERSIGN_", "SLACK_", "OPENAI_", "ANTHROPIC_"))]:
        del os.environ[name]
    os.environ.update(wanted.environment, COUNTERSIGN_CHECKPOINTS=os.devnull)
    return Settings(
        database_url=wanted.database_url,
        concurrency=wanted.concurrency,
        parked_at_most=wanted.parked,
        approval_webhook_secret=SecretStr(wanted.webhook_secret) if wanted.webhook_secret else None,
    )

"""What every fork would import or compile for itself: done once, before the first fork that needs it."""

from __future__ import annotations

import functools
import gc
import importlib
import os
import sys

from agent_runtime.replica import configured_surfaces
from agent_runtime.store.statement import Q

_SCHEDULER = ("apscheduler.executors.asyncio", "apscheduler.triggers.interval")
_POSTGRES = tuple(f"agent_runtime.store.postgres.{name}" for name in ("neighbours", "reader", "writer"))


@functools.cache
def database(kind: str) -> None:
    """The driver of "sqlite" or "postgresql", and the product's statements in its dialect."""
    for name in (*_SCHEDULER, *(_POSTGRES if kind == "postgresql" else ())):
        importlib.import_module(name)
    stores = [module for name, module in sys.modules.items() if name.startswith("agent_runtime.store.")]
    for statement in {one for module in stores for one in vars(module).values() if isinstance(one, Q)}:
        statement.compiled(kind)
    gc.freeze()


@functools.cache
def surfaces(environment: tuple[tuple[str, str], ...]) -> None:
    """Those that `environment` sets up: they take a second to import."""
    before = dict(os.environ)
    os.environ.update(environment)
    configured_surfaces(None)
    os.environ.clear()
    os.environ.update(before)
    gc.freeze()

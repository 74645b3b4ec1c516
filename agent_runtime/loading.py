"""Finds agents by `module:attr`, as the command line names them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from agent_runtime.agent import Agent
from agent_runtime.errors import InvalidDefinition


def load_agents(specs: Sequence[str]) -> list[Agent]:
    """The agents that `specs` name: an attribute that is an Agent or a list of them, or a module (all its agents).

    Raises InvalidDefinition naming the spec that cannot be loaded, and for two agents of one name.
    """
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    agents: dict[str, Agent] = {}
    for spec in specs:
        for agent in _load(spec):
            if agents.setdefault(agent.name, agent) is not agent:
                raise InvalidDefinition(f"--agents: two agents are called {agent.name!r}")
    return list(agents.values())


def _load(spec: str) -> list[Agent]:
    module_name, _, attribute = spec.partition(":")
    if not all(module_name.split(".")):
        raise InvalidDefinition(f"--agents {spec}: {module_name!r} is no module's name; write module:attr")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and not f"{module_name}.".startswith(f"{error.name}."):
            raise InvalidDefinition(f"--agents {spec}: it imports {error.name!r}, which is not installed") from error
        raise InvalidDefinition(f"--agents {spec}: there is no module {module_name!r}; write module:attr") from error
    found = _all_agents(module) if not attribute else _named(spec, module, attribute)
    if not found:
        raise InvalidDefinition(f"--agents {spec}: holds no Agent")
    return found


def _named(spec: str, module: ModuleType, attribute: str) -> list[Agent]:
    if not hasattr(module, attribute):
        raise InvalidDefinition(f"--agents {spec}: {module.__name__} has no attribute {attribute!r}")
    value = getattr(module, attribute)
    candidates = [value] if isinstance(value, Agent) else value
    if not isinstance(candidates, list | tuple) or not all(isinstance(item, Agent) for item in candidates):
        raise InvalidDefinition(f"--agents {spec}: must be an Agent or a list of them")
    return list(candidates)


def _all_agents(module: ModuleType) -> list[Agent]:
    return list(dict.fromkeys(value for value in vars(module).values() if isinstance(value, Agent)))

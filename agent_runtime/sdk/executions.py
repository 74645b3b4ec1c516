"""Where executions are, as handles and streams see it: this process's database, or a server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypedDict

from agent_runtime.agent import Agent
from agent_runtime.core.approval import Decision, Outcome
from agent_runtime.errors import InvalidRequest
from agent_runtime.sdk.snapshot import Snapshot


class StartOptions(TypedDict, total=False):
    """What may be said beside the agent and the prompt when an execution is started."""

    input: Mapping[str, Any]
    """The request as a JSON object, or the arguments of a reasoner; in place of the prompt."""
    reasoner: str
    """Which of the agent's reasoners runs; its only one, or the one tagged "entry", by default."""
    idempotency_key: str
    """The same key with the same request again returns the first execution."""


@dataclass(frozen=True, slots=True)
class WantedStart:
    """`given` is {"prompt": text} or {"input": object}."""

    agent: Agent | str
    given: Mapping[str, Any]
    reasoner: str | None = None
    idempotency_key: str | None = None

    @property
    def agent_name(self) -> str:
        return self.agent if isinstance(self.agent, str) else self.agent.name


def wanted_start(agent: Agent | str, prompt: str | None, options: StartOptions) -> WantedStart:
    """The request that `start(agent, prompt, **options)` makes. Raises InvalidRequest; TypeError for other options."""
    unknown = set(options) - set(StartOptions.__annotations__)
    if unknown:
        raise TypeError(
            f"unexpected options {', '.join(sorted(unknown))}; known are {', '.join(StartOptions.__annotations__)}"
        )
    given, reasoner = options.get("input"), options.get("reasoner")
    if isinstance(agent, str) and reasoner is None:
        agent, _, reasoner = agent.partition(".")
    if (prompt is None) == (given is None):
        raise InvalidRequest("give either a prompt (text) or an input (a mapping)")
    return WantedStart(
        agent,
        {"prompt": prompt} if given is None else {"input": dict(given)},
        reasoner or None,
        options.get("idempotency_key"),
    )


class Executions(Protocol):
    """The few things that the SDK's face is made of. Coroutines of one event loop."""

    async def deploy(self, *agents: Agent) -> None:
        """Stores definitions, and runs them here. Raises InvalidRequest where executions are a server's."""
        ...

    async def start(self, wanted: WantedStart) -> str:
        """The id of a new execution (the first one where the key came before). Deploys first where given an agent.

        Raises NotFound, InvalidRequest, Conflict.
        """
        ...

    async def look(self, execution_id: str) -> Snapshot:
        """The execution as it is. Raises NotFound."""
        ...

    async def changed(self, since: Snapshot) -> Snapshot:
        """Waits until the execution is other than `since`; the truth is looked at every second at least."""
        ...

    async def settled(self, execution_id: str, seconds: float) -> Snapshot:
        """The execution once it waits or is complete; as it is after `seconds`, or at once where it runs elsewhere."""
        ...

    async def ended(self, execution_id: str) -> Snapshot:
        """The execution once it is complete, however long people take. Raises NotFound."""
        ...

    async def decide(self, approval_request_id: str, decision: Decision) -> bool:
        """Decides by id; whether this very decision was made before. Raises as operations.resolve does."""
        ...

    async def settle(self, approval_request_id: str, outcome: Outcome, result: Any, evidence: str) -> None:
        """Settles a call in doubt. Raises as operations.settle does."""
        ...

    async def cancel(self, execution_id: str, reason: str) -> None:
        """Cancels. Raises NotFound, or Conflict where it has ended otherwise."""
        ...

    async def close(self) -> None:
        """Lets what runs here finish (30 s at most) and lets go of everything."""
        ...

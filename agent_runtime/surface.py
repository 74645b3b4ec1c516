"""What shows approvals to people and lets them decide, found by entry point: a notifier, routes and a lifespan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from agent_runtime.core.policy import Approval
from agent_runtime.core.principal import Actor
from agent_runtime.delivery.notifier import Notifier

if TYPE_CHECKING:
    from aiohttp import web


class Surface(Protocol):
    """One such place, open while the runtime is. An entry point's class also has `configured(env_file=…)`: what
    creates it on a database, or None where no setting asks for it; raises InvalidSetting.
    """

    name: str
    notifier: Notifier
    approval_defaults: Approval
    """The environment's answers for approvals that are shown here: reviewers, channel, ladder."""

    async def actor(self, principal: str) -> Actor | None:
        """Who a person of this place is now: all their names, or why they may decide nothing; None for anybody else."""
        ...

    def routes(self) -> Sequence[web.RouteDef]:
        """What it adds to the HTTP server."""
        ...

    async def start(self) -> None:
        """Opens it; being away is no error: it goes on trying in the background."""
        ...

    async def stop(self) -> None:
        """Closes it."""
        ...

    def calls(self) -> Mapping[tuple[str, str], int]:
        """How often it called its service since it was created, by method and outcome."""
        ...

    def status(self) -> Mapping[str, Any]:
        """What /readyz tells about it (JSON values)."""
        ...

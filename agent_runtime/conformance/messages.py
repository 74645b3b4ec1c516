"""P1, P10: servers are killed around each message to Slack; whatever was posted is found again, and shows the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from agent_runtime.conformance.agents import AGENT, posted_in
from agent_runtime.conformance.crashes import CrashRun, effects, kill_and_read
from agent_runtime.conformance.figures import Finding
from agent_runtime.conformance.points import Course
from agent_runtime.conformance.processes import Server
from agent_runtime.core.duration import DAY
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.delivery.holds import let_go
from agent_runtime.operations.start import Start, start
from agent_runtime.store.approvals import OF_EXECUTION
from agent_runtime.store.database import Database
from agent_runtime.store.outbox import DEAD_DELIVERIES, DUE_DELIVERIES, UNDELIVERED
from agent_runtime.store.tx import Tx

EVERYTHING = 100_000


class Workspace(Protocol):
    """Where messages are shown. `environment` are the settings of a server that shows them there, `channels` the ids
    of those that cards may be shown in.
    """

    environment: Mapping[str, str]
    channels: Sequence[str]

    def asked(self, number: int) -> Mapping[str, Any]:
        """Somebody asks there for an execution; its origin."""
        ...

    async def read(
        self, database: Database, execution_ids: Sequence[str], approval_request_ids: Sequence[str]
    ) -> Sequence[str]:
        """What is wrong with what is shown of these: twice, not at all, or not as they ended."""
        ...

    def messages(self) -> int:
        """How many messages were posted."""
        ...


OpenWorkspace = Callable[[], AbstractAsyncContextManager[Workspace]]


@dataclass
class MessageRun(CrashRun):
    """Kills at points of a deployment that shows its executions in a workspace, where they were asked for too."""

    workspace: Workspace = field(kw_only=True)

    async def fork(self, **wanted: Any) -> Server:
        environment, channels = dict(self.workspace.environment), list(self.workspace.channels)
        return await self.zygote.fork(**wanted, environment=environment, channels=channels, unpaced=True)

    def want(self, reference: str, course: Course) -> None:
        channel = len(self.people.wanted) % len(self.workspace.channels)
        self.people.want(reference, f"{reference} {posted_in(channel)}")

    async def all_done(self, url: str) -> bool:
        [left] = await self.database.all(UNDELIVERED)
        return left.n == 0 and await super().all_done(url)

    async def drain(self) -> float:
        """What the dead held is due at once: how long that takes by itself is not what is asked here."""
        await self.database.write(_let_everything_go)
        return await super().drain()

    async def _few_left(self) -> bool:
        """A row that a dead server held waits for longer than a life: each server gets something new to show."""
        return True

    def _working(self, server: Server, course: Course) -> asyncio.Task[None]:
        return asyncio.create_task(self._ask_and_work(server.url, course.people_take))

    async def _ask_and_work(self, url: str, take: float) -> None:
        """Slack's door writes to the database too; a start is acknowledged once that is committed."""
        for number, (reference, prompt) in enumerate(self.people.wanted.items()):
            if reference not in self.people.started:
                wanted = Start(
                    AGENT, {"prompt": prompt}, idempotency_key=reference, origin=self.workspace.asked(number)
                )
                begun = await self.database.write(start, wanted, by=LOCAL_OPERATOR, via=Via.slack)
                self.people.started[reference] = begun.execution.execution_id
        await self.people.work(url, take=take)


async def messages(run: MessageRun, points: Sequence[str], kills: int) -> list[Finding]:
    """Kills around what is shown of the LLM agent's executions."""
    finding, reading = await kill_and_read(run, points, kills, "of messages")
    executions = list(run.people.started.values())
    approvals = [
        approval.approval_request_id
        for execution_id in executions
        for approval in await run.database.all(OF_EXECUTION, b_execution=execution_id)
    ]
    wrong = await run.workspace.read(run.database, executions, approvals)
    [dead] = await run.database.all(DEAD_DELIVERIES)
    [left] = await run.database.all(UNDELIVERED)
    unsent = [f"{left.n + dead.n} messages were not delivered"] if left.n + dead.n else []
    shown = Finding(
        "P10",
        "messages in Slack after these kills",
        {
            "cards": len(approvals),
            "messages": run.workspace.messages(),
            "twice, missing or not as it ended": len(wrong),
            "not delivered": left.n + dead.n,
        },
        (*unsent, *wrong),
    )
    return [finding, shown, effects(reading, "of messages")[0]]


def _let_everything_go(tx: Tx) -> None:
    let_go(tx, [row.outbox_id for row in tx.all(DUE_DELIVERIES, b_now=tx.now + DAY, b_limit=EVERYTHING)])

"""P1, P8: thousands of parked executions, kill -9, and how soon the next server is ready."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from agent_runtime.conformance.agents import AGENT, Model
from agent_runtime.conformance.figures import Finding
from agent_runtime.conformance.people import People
from agent_runtime.conformance.processes import Zygote
from agent_runtime.conformance.reading import all_ended, read_all
from agent_runtime.conformance.waiting import stopped, until
from agent_runtime.core.policy import Defaults, Policy
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.engine.model import ModelRequest
from agent_runtime.operations.advance import ProposedCall, record_reply
from agent_runtime.operations.claim import Claim, claim, park
from agent_runtime.operations.start import Start, start
from agent_runtime.store.database import Database
from agent_runtime.store.executions import claim_queued

READY_WITHIN = 5.0
AT_ONCE = 64


@dataclass
class Parked:
    """Executions that wait for one decision each."""

    zygote: Zygote
    people: People
    database: Database

    async def run(self, executions: int, *, within: float) -> Finding:
        began = time.monotonic()
        await self._deploy()
        await self._park(executions)
        first = await self.zygote.fork()
        await self.zygote.kill(first)
        forked = time.monotonic()
        server = await self.zygote.fork()
        ready = time.monotonic() - forked
        working = asyncio.create_task(self.people.work(server.url))
        await until(
            lambda: all_ended(self.database, self.people, server.url), within=within
        )  # what has not is told by the reading
        await stopped(working)
        await self.zygote.kill(server)
        done = time.monotonic() - forked
        reading = await read_all(self.database, self.people, self.people.ledger)
        slow = (f"ready after {ready:.1f} s",) if ready > READY_WITHIN else ()
        return Finding(
            "P1",
            "parked, kill -9, start, decided",
            {
                "parked": executions,
                "s until ready": round(ready, 2),
                "decided and completed": reading.executions - len(reading.lost),
                "s until all were": round(done, 1),
                "lost": len(reading.lost),
            },
            (*slow, *reading.violations),
            time.monotonic() - began,
        )

    async def _deploy(self) -> None:
        """A server that has lived once has deployed the agent."""
        await self.zygote.kill(await self.zygote.fork())

    async def _park(self, executions: int) -> None:
        claimable = claim_queued([AGENT])
        for first in range(0, executions, AT_ONCE):
            numbers = range(first, min(executions, first + AT_ONCE))
            await asyncio.gather(*map(self._start, numbers))
            claims = await self.database.write(claim, claimable, "parked-by-conformance", AT_ONCE, Defaults())
            await asyncio.gather(*map(self._propose, claims))

    async def _start(self, number: int) -> None:
        reference = f"parked-{number}"
        prompt = f"{reference} unsafe"
        self.people.want(reference, prompt)
        started = await self.database.write(start, Start(AGENT, {"prompt": prompt}), by=LOCAL_OPERATOR, via=Via.sdk)
        self.people.started[reference] = started.execution.execution_id

    async def _propose(self, claimed: Claim) -> None:
        execution = claimed.execution
        reference = execution.input.split('"')[3].split()[0]
        request = ModelRequest("", [{"role": "user", "content": f"{reference} unsafe"}])
        reply = await Model().complete(request)
        call = ProposedCall(
            "call_unsafe", "unsafe", {"reference": reference}, effect="unsafe", policy=Policy(reviewers=())
        )
        await self.database.write(record_reply, execution, 0, 0, reply, [call])
        await self.database.write(park, execution, execution.signals)

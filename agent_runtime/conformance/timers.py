"""P7, P8: deadlines that pass while no server lives."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from agent_runtime.conformance.doors import Shown
from agent_runtime.conformance.doors import database as by_database
from agent_runtime.conformance.figures import Finding
from agent_runtime.conformance.people import LOOK_EVERY, People
from agent_runtime.conformance.processes import Zygote
from agent_runtime.core.approval import ApprovalRequest, ApprovalStatus
from agent_runtime.core.duration import SECOND
from agent_runtime.core.principal import Via
from agent_runtime.store.approvals import GET_APPROVAL
from agent_runtime.store.database import Database
from agent_runtime.store.events import EVENTS_OF_APPROVAL

FIRE_WITHIN = 5.0
"""Seconds after a start within which everything that is due happens."""

SOONEST = 2.0
"""Seconds from the request to the first deadline."""

EACH_SECOND = 500
"""Deadlines that pass in a second."""

LATE_DECISIONS = 50


@dataclass
class Timers:
    """Approvals of outsiders that all end while the server is dead."""

    zygote: Zygote
    people: People
    database: Database

    async def run(self, deadlines: int) -> list[Finding]:
        began = time.monotonic()
        asked = await self._ask(deadlines)
        last = max(approval.expires_at or 0 for approval in asked)
        await asyncio.sleep(max(0.0, (last - self.database.clock()) / SECOND) + 0.1)
        late = await self._decide_late(asked[:LATE_DECISIONS])
        server = await self.zygote.fork(ready=False)
        started = self.database.clock()
        await server.ready()
        ended = await self._all_ended(asked)
        await self.zygote.kill(server)
        fired = [approval for approval in ended if approval.status == ApprovalStatus.expired]
        slowest = max(((approval.resolved_at or 0) - started) / SECOND for approval in ended)
        twice = [one.approval_request_id for one in fired if await self._fired(one) != 1]
        missing = [one.approval_request_id for one in ended if one.status != ApprovalStatus.expired]
        violations = (
            *(f"{identifier}: expired more than once" for identifier in twice),
            *(f"{identifier}: did not expire" for identifier in missing),
            *((f"the slowest fired {slowest:.1f} s after the start",) if slowest > FIRE_WITHIN else ()),
        )
        return [
            Finding(
                "P8",
                "deadlines that passed while no server lived",
                {"deadlines": len(asked), "fired once": len(fired) - len(twice), "s after start": round(slowest, 2)},
                violations,
                time.monotonic() - began,
            ),
            Finding("P7", "decisions after the expiry", {"tried": LATE_DECISIONS, "accepted": len(late)}, tuple(late)),
        ]

    async def _ask(self, deadlines: int) -> list[ApprovalRequest]:
        server = await self.zygote.fork()

        async def one(number: int) -> ApprovalRequest:
            within = SOONEST + number / EACH_SECOND
            body = {"title": f"Deadline {number}", "expires_in_hours": within / 3600}
            status, told = await self.people.post(server.url, "/api/v1/approvals", body)
            if status != 201:
                raise RuntimeError(f"asking answered {status}: {told}")
            approval = await self.database.one(GET_APPROVAL, b_id=told["approval_request_id"])
            assert approval is not None
            return approval

        asked = await asyncio.gather(*map(one, range(deadlines)))
        await self.zygote.kill(server)
        return [approval for approval in asked if approval.expires_at is not None]

    async def _decide_late(self, asked: list[ApprovalRequest]) -> list[str]:
        """Nobody has noticed that they expired, and still no decision is taken."""
        door = by_database(self.database, Via.sdk)
        answers = [await door(Shown(one.approval_request_id, one.digest), "approved", "") for one in asked]
        pairs = zip(asked, answers, strict=True)
        return [f"{one.approval_request_id}: approved after it had expired" for one, answer in pairs if answer.won]

    async def _all_ended(self, asked: list[ApprovalRequest]) -> list[ApprovalRequest]:
        ended: dict[str, ApprovalRequest] = {}
        until = time.monotonic() + 4 * FIRE_WITHIN
        while True:
            for one in asked:
                if one.approval_request_id not in ended:
                    found = await self.database.one(GET_APPROVAL, b_id=one.approval_request_id)
                    if found is not None and (not found.pending or time.monotonic() > until):
                        ended[one.approval_request_id] = found
            if len(ended) == len(asked):
                return list(ended.values())
            await asyncio.sleep(LOOK_EVERY)

    async def _fired(self, approval: ApprovalRequest) -> int:
        events = await self.database.all(
            EVENTS_OF_APPROVAL, b_approval=approval.approval_request_id, b_after=0, b_limit=100
        )
        return sum(event.type == "approval.expired" for event in events)

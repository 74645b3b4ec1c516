"""P5: what was shown is what runs."""

from __future__ import annotations

import time
from dataclasses import dataclass

from agent_runtime.conformance.doors import Shown
from agent_runtime.conformance.doors import database as by_database
from agent_runtime.conformance.figures import Finding
from agent_runtime.conformance.people import Json, People
from agent_runtime.conformance.processes import Zygote
from agent_runtime.conformance.waiting import until
from agent_runtime.core.principal import Via
from agent_runtime.store.approvals import OF_EXECUTION
from agent_runtime.store.database import Database

PATIENCE = 30.0
CHANGED = "2"


@dataclass
class Changes:
    """Approvals whose call changes between the card and the run."""

    zygote: Zygote
    people: People
    database: Database

    async def run(self, executions: int) -> Finding:
        began = time.monotonic()
        server = await self.zygote.fork()
        for number in range(executions):
            self.people.want(f"changed-{number}", f"changed-{number} unsafe")
        await self.people.start_all(server.url)
        pending = await self._pending(server.url, executions)
        violations = await self._refused(server.url, pending)
        await self.zygote.kill(server)
        await self._approve(pending)
        server = await self.zygote.fork(tool_version=CHANGED)
        asked_again = await self._asked_again(violations)
        await self.zygote.kill(server)
        tried = 3 * len(pending)
        return Finding(
            "P5",
            "a stale digest, edits that are not allowed, a tool that changed after its approval",
            {
                "tried": tried + executions,
                "refused": tried + asked_again - len(violations),
                "ran changed": sum(self.people.ledger.count(reference, "unsafe") for reference in self.people.wanted),
            },
            tuple(violations),
            time.monotonic() - began,
        )

    async def _pending(self, url: str, wanted: int) -> list[Json]:
        found: list[Json] = []

        async def there() -> bool:
            listed = (await self.people.get(url, "/api/v1/approvals?status=pending&limit=200"))["items"]
            mine = set(self.people.started.values())
            found[:] = [one for one in listed if one["execution_id"] in mine]
            return len(found) == wanted

        if not await until(there, within=PATIENCE):
            raise RuntimeError(f"{len(found)} of {wanted} approvals were asked for")
        return found

    async def _refused(self, url: str, pending: list[Json]) -> list[str]:
        violations = []
        for number, approval in enumerate(pending):
            other = pending[number - 1]["digest"]
            tries: list[tuple[Json, int]] = [
                ({"decision": "approved", "digest": "0" * 64}, 409),
                ({"decision": "approved", "digest": other}, 409),
                ({"decision": "approved", "edited_arguments": {"reference": "somebody-else"}}, 422),
            ]
            for body, expected in tries:
                path = f"/api/v1/approvals/{approval['approval_request_id']}/decision"
                status, told = await self.people.post(url, path, body)
                if status != expected:
                    violations.append(f"{approval['approval_request_id']}: {body} answered {status}: {told}")
        return violations

    async def _approve(self, pending: list[Json]) -> None:
        door = by_database(self.database, Via.sdk)
        for approval in pending:
            await door(Shown(approval["approval_request_id"], approval["digest"]), "approved", "")

    async def _asked_again(self, violations: list[str]) -> int:
        """How many calls wait for a fresh approval of the changed tool."""
        asked = 0
        for reference, execution_id in list(self.people.started.items()):

            async def again(execution_id: str = execution_id, reference: str = reference) -> bool:
                approvals = await self.database.all(OF_EXECUTION, b_execution=execution_id)
                ran = self.people.ledger.count(reference, "unsafe")
                return bool(ran) or any(one.pending and one.tool_version.startswith(f"{CHANGED}+") for one in approvals)

            if not await until(again, within=PATIENCE) or self.people.ledger.count(reference, "unsafe"):
                violations.append(f"{reference}: another version of its tool than was approved was not asked about")
            else:
                asked += 1
        return asked

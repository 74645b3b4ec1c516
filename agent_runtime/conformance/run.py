"""Everything in turn on one scratch database: what `countersign conformance --database-url` does."""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from agent_runtime.conformance import doors
from agent_runtime.conformance.changes import Changes
from agent_runtime.conformance.crashes import CrashRun, crashes
from agent_runtime.conformance.dashboard import dashboard
from agent_runtime.conformance.doors import WEBHOOK_SECRET, Door
from agent_runtime.conformance.figures import Finding
from agent_runtime.conformance.flooded import OpenFloods
from agent_runtime.conformance.floods import Floods
from agent_runtime.conformance.ledger import Ledger
from agent_runtime.conformance.messages import MessageRun, OpenWorkspace, messages
from agent_runtime.conformance.parked import Parked
from agent_runtime.conformance.parts import PARTS
from agent_runtime.conformance.people import People, people
from agent_runtime.conformance.points import MESSAGE_POINTS, POINTS, REASONER_POINTS, SQLITE_POINTS
from agent_runtime.conformance.processes import Zygote, zygote
from agent_runtime.conformance.races import Races
from agent_runtime.conformance.replicas import Replicas, sleeper
from agent_runtime.conformance.sizes import FULL, Sizes
from agent_runtime.conformance.stops import stops
from agent_runtime.conformance.timers import Timers
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.errors import InvalidRequest
from agent_runtime.operations.tokens import Scope, create_token, revoke_token
from agent_runtime.store.approvals import list_approvals
from agent_runtime.store.database import Database
from agent_runtime.store.executions import list_executions

OpenDoor = Callable[[Database], AbstractAsyncContextManager[Door]]
"""Opens one more door on the database, such as Slack's."""


_ANY_EXECUTION = list_executions(status=False, agent=False, after=False)
_ANY_APPROVAL = list_approvals(pending=False, status=False, kind=False, after=False)


SELDOM = {"cli": 5}
"""A process for each decision: it takes part in every fifth round."""

Part = Callable[[Zygote, People, Database], Awaitable[Sequence[Finding]]]


@dataclass
class Conformance:
    """One run. `tell` gets each finding when it is made, `say` a line on how far the kills are. `more` opens doors
    beside those of the runtime; `workspace` opens one where messages are shown: without it no server is killed around
    them. `only` names the PARTS that are run.
    """

    database_url: str
    sizes: Sizes = FULL
    tell: Callable[[Finding], None] = lambda finding: None
    more: dict[str, OpenDoor] = field(default_factory=dict)
    floods: OpenFloods | None = None
    say: Callable[[str], None] = lambda line: None
    workspace: OpenWorkspace | None = None
    only: Sequence[str] = PARTS
    findings: list[Finding] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    """How long each part took."""

    async def run(self) -> Sequence[Finding]:
        """Everything that has a size. Raises InvalidRequest where the database is not empty."""
        with tempfile.TemporaryDirectory(prefix="countersign-conformance-") as folder:
            async with await Database.open(self.database_url) as database:
                await refuse_unless_empty(database)
                async with zygote(self.database_url, Path(folder) / "effects") as forking:
                    ledger = Ledger(Path(folder) / "effects")
                    parts = self._parts()
                    for name in (name for name in PARTS if name in self.only):
                        began = time.monotonic()
                        async with people(ledger) as present:
                            self._made(await parts[name](forking, present, database))
                        await forking.kill_all()
                        self.seconds[name] = time.monotonic() - began
        return self.findings

    def _parts(self) -> Mapping[str, Part]:
        return {
            "races": self._races,
            "timers": self._timers,
            "changes": self._changes,
            "replicas": self._replicas,
            "crashes": self._crashes,
            "reasoners": self._reasoners,
            "messages": self._messages,
            "sleepers": self._sleepers,
            "parked": self._parked,
            "floods": self._floods,
        }

    def _made(self, findings: Sequence[Finding]) -> None:
        for finding in findings:
            self.findings.append(finding)
            self.tell(finding)

    async def _races(self, forking: Zygote, present: People, database: Database) -> Sequence[Finding]:
        if not self.sizes.rounds:
            return ()
        servers = [await forking.fork(webhook_secret=WEBHOOK_SECRET) for _ in range(2)]
        urls = [server.url for server in servers]
        async with (
            _token(database) as token,
            people(present.ledger, token) as signed_in,
            _doors(forking, database, signed_in, urls, token, self.more) as opened,
        ):
            finding = await Races(database, signed_in, urls[0], opened, SELDOM).run(self.sizes.rounds)
        for server in servers:
            await forking.kill(server)
        return (finding,)

    async def _timers(self, forking: Zygote, present: People, database: Database) -> Sequence[Finding]:
        return await Timers(forking, present, database).run(self.sizes.deadlines) if self.sizes.deadlines else ()

    async def _changes(self, forking: Zygote, present: People, database: Database) -> Sequence[Finding]:
        return (await Changes(forking, present, database).run(self.sizes.changes),) if self.sizes.changes else ()

    async def _replicas(self, forking: Zygote, present: People, database: Database) -> Sequence[Finding]:
        if not self.sizes.replicas:
            return ()
        sizes, several = self.sizes, Replicas(forking, present, database)
        return await several.run(
            sizes.replicas, kill_every=sizes.kill_every, kills=sizes.replicas_killed, within=sizes.patience
        )

    async def _crashes(self, forking: Zygote, present: People, database: Database) -> Sequence[Finding]:
        on_sqlite = SQLITE_POINTS if database.url.get_backend_name() == "sqlite" else ()
        points = self._chosen((*POINTS, *on_sqlite))
        run = CrashRun(forking, present, database, self.say, self.sizes.leases)
        return await crashes(run, points, self.sizes.kills) if points else ()

    async def _reasoners(self, forking: Zygote, present: People, database: Database) -> Sequence[Finding]:
        points = self._chosen(REASONER_POINTS)
        run = CrashRun(forking, present, database, self.say, self.sizes.leases)
        return await crashes(run, points, self.sizes.kills, "of reasoners") if points else ()

    async def _messages(self, forking: Zygote, present: People, database: Database) -> Sequence[Finding]:
        points = self._chosen(MESSAGE_POINTS)
        if not points or self.workspace is None:
            return ()
        async with self.workspace() as workspace:
            run = MessageRun(forking, present, database, self.say, self.sizes.leases, workspace=workspace)
            return await messages(run, points, self.sizes.kills)

    def _chosen(self, points: Sequence[str]) -> Sequence[str]:
        """Those at which servers are to be killed."""
        if not self.sizes.kills:
            return ()
        return [point for point in points if point in self.sizes.points or not self.sizes.points]

    async def _sleepers(self, forking: Zygote, present: People, database: Database) -> Sequence[Finding]:
        if not self.sizes.sleepers:
            return ()
        slept = await sleeper(forking, present, database, self.sizes.sleepers)
        async with people(present.ledger) as others:
            return (slept, await stops(forking, others, database, self.sizes.sleepers))

    async def _parked(self, forking: Zygote, present: People, database: Database) -> Sequence[Finding]:
        if not self.sizes.parked:
            return ()
        parked = Parked(forking, present, database)
        return (await parked.run(self.sizes.parked, within=self.sizes.patience),)

    async def _floods(self, forking: Zygote, present: People, database: Database) -> Sequence[Finding]:
        if self.sizes.floods is None or self.floods is None:
            return ()
        return await Floods(forking, present, database, self.sizes.floods, self.floods).run()


async def refuse_unless_empty(database: Database) -> None:
    """A run fills the database with executions and kills whoever serves it. Raises InvalidRequest."""
    executions = await database.all(_ANY_EXECUTION, b_limit=1)
    approvals = await database.all(_ANY_APPROVAL, b_limit=1)
    if executions or approvals:
        raise InvalidRequest(
            "--database-url: this database is in use (it holds executions or approvals); name an empty one that may be "
            "thrown away, such as sqlite+aiosqlite:////tmp/conformance.db"
        )


@asynccontextmanager
async def _token(database: Database) -> AsyncIterator[str]:
    """With a token that may do what people do: while there is one, nobody is served without."""
    scopes = (Scope.start, Scope.read, Scope.decide)
    yield await database.write(create_token, "conformance", scopes, by=LOCAL_OPERATOR, via=Via.cli)
    await database.write(revoke_token, "conformance", by=LOCAL_OPERATOR, via=Via.cli)


@asynccontextmanager
async def _doors(
    forking: Zygote,
    database: Database,
    present: People,
    urls: Sequence[str],
    token: str,
    more: dict[str, OpenDoor],
) -> AsyncIterator[Sequence[tuple[str, Door]]]:
    """Every door, in the order in which resolvers are dealt to them."""
    async with AsyncExitStack() as opening:
        opened = [
            *((f"api {number}", doors.api(present.http, url)) for number, url in enumerate(urls, start=1)),
            ("webhook", doors.webhook(present.http, urls[0])),
            ("sdk", doors.database(database, Via.sdk)),
            ("dashboard", await opening.enter_async_context(dashboard(urls[-1], token))),
            ("cli", doors.command_line(forking)),
        ]
        for name, door in more.items():
            opened.append((name, await opening.enter_async_context(door(database))))
        yield opened

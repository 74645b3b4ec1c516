"""The API over real HTTP on a free port, with a database in a temporary file."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from agent_runtime.core.approval import ApprovalRequest, Decision, parse_verdict
from agent_runtime.core.execution import Execution, ExecutionStatus
from agent_runtime.core.policy import Defaults, Policy
from agent_runtime.core.principal import LOCAL_OPERATOR, Actor, Via
from agent_runtime.engine.worker import register
from agent_runtime.operations.advance import ProposedCall, complete, record_reply
from agent_runtime.operations.calls import ask_in_doubt, start_call
from agent_runtime.operations.claim import claim, park
from agent_runtime.operations.deploy import deploy
from agent_runtime.operations.resolve import resolve
from agent_runtime.operations.start import Start, start
from agent_runtime.operations.tokens import create_token
from agent_runtime.settings import Settings
from agent_runtime.store.approvals import GET_APPROVAL, OF_EXECUTION
from agent_runtime.store.database import Database
from agent_runtime.store.executions import GET_EXECUTION, claim_queued
from agent_runtime.web.app import create_app
from tests.clock import Clock

AGENT = "refund_agent"
REFUND = {"customer_id": "cust_001", "amount": 250, "api_key": "not-for-eyes", "iban": "DE89370400440532013000"}
WEBHOOK_SECRET = "a-webhook-secret-of-sufficient-length"


@dataclass(slots=True)
class Answer:
    """What a request got."""

    status: int
    headers: Any
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass(slots=True)
class Api:
    """A client of one served application."""

    url: str
    session: aiohttp.ClientSession
    app: web.Application

    async def get(self, path: str, **kwargs: Any) -> Answer:
        return await self.send("GET", path, **kwargs)

    async def post(self, path: str, body: Any = None, **kwargs: Any) -> Answer:
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        return await self.send("POST", path, data=data, **kwargs)

    async def send(self, method: str, path: str, **kwargs: Any) -> Answer:
        async with self.session.request(method, self.url + path, allow_redirects=False, **kwargs) as response:
            return Answer(response.status, response.headers, await response.text())


@pytest.fixture
async def database(database: Database) -> Database:
    """The test's database, with an agent deployed."""
    await database.write(deploy, AGENT, "1", {"name": AGENT}, by=LOCAL_OPERATOR)
    return database


Serve = Callable[..., Awaitable[Api]]


@pytest.fixture
async def serve(database: Database) -> AsyncIterator[Serve]:
    """Serves an application on a free port: `await serve(routes=…, status=…, webhook_signatures=…)`."""
    async with AsyncExitStack() as stack:

        async def served(
            *,
            routes: Any = (),
            status: Any = dict,
            calls: Any = dict,
            host: str = "127.0.0.1",
            agents: Any = None,
            defaults: Any = None,
            **settings: Any,
        ) -> Api:
            settings.setdefault("approval_webhook_secret", WEBHOOK_SECRET)
            app = create_app(
                database,
                Settings(**settings),
                defaults=defaults,
                routes=routes,
                status=status,
                calls=calls,
                agents=agents,
            )
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, host, 0).start()
            session = await stack.enter_async_context(aiohttp.ClientSession())
            return Api(f"http://127.0.0.1:{runner.addresses[0][1]}", session, app)

        yield served


@pytest.fixture
async def api(serve: Serve) -> Api:
    return await serve()


@dataclass(slots=True)
class World:
    """Brings executions and approvals about, as an engine would."""

    database: Database
    clock: Clock

    async def worker(self) -> None:
        await self.database.write(register, "worker-1", [AGENT])

    async def token(self, *scopes: str, **options: Any) -> dict[str, str]:
        """A new token, as the header that carries it."""
        name = options.pop("name", "token-" + "-".join(scopes))
        secret = await self.database.write(create_token, name, scopes, by=LOCAL_OPERATOR, via=Via.cli, **options)
        return {"Authorization": f"Bearer {secret}"}

    async def started(self, prompt: str = "refund cust_001", by: Actor = LOCAL_OPERATOR) -> Execution:
        await self.clock.advance(1)
        begun = await self.database.write(start, Start(AGENT, {"prompt": prompt}), by=by, via=Via.api)
        return begun.execution

    async def claimed(self, execution: Execution | None = None) -> Execution:
        """`execution`, or the only queued one, claimed; so is whatever else is queued."""
        claims = await self.database.write(claim, claim_queued([AGENT]), "worker-1", 100, Defaults())
        found = {claimed.execution.execution_id: claimed.execution for claimed in claims}
        if execution is not None:
            return found[execution.execution_id]
        (only,) = found.values()
        return only

    async def gated(self, execution: Execution, arguments: Any = None, **policy: Any) -> ApprovalRequest:
        """A claimed execution proposes one gated call and waits; its approval."""
        call = ProposedCall("call_1", "refund", arguments or REFUND, policy=Policy(**policy))
        message = {"role": "assistant", "content": "I will refund it."}
        await self.database.write(record_reply, execution, 0, 0, {"message": message}, [call])
        await self.database.write(park, execution, execution.signals)
        return (await self.database.all(OF_EXECUTION, b_execution=execution.execution_id))[0]

    async def waiting(self, *, by: Actor = LOCAL_OPERATOR, arguments: Any = None, **policy: Any) -> ApprovalRequest:
        """The approval that a new execution waits for."""
        execution = await self.started(by=by)
        return await self.gated(await self.claimed(execution), arguments, **policy)

    async def in_doubt(self, **policy: Any) -> ApprovalRequest:
        """An approved call of which nobody knows whether it happened; the question about it."""
        asked = await self.waiting(**policy)
        await self.decide(asked, "approved")
        execution = await self.claimed()
        begun = await self.database.write(start_call, execution, 1, "1")
        await self.database.write(ask_in_doubt, execution, begun, "its process died", Defaults())
        await self.database.write(park, execution, execution.signals)
        asked_about = await self.database.all(OF_EXECUTION, b_execution=execution.execution_id)
        return next(approval for approval in asked_about if approval.kind == "in_doubt")

    async def decide(self, approval: ApprovalRequest, verdict: str, via: Via = Via.cli) -> None:
        decision = Decision(parse_verdict(verdict))
        await self.database.write(resolve, approval.approval_request_id, decision, by=LOCAL_OPERATOR, via=via)

    async def completed(self, execution: Execution, result: Any = "done") -> None:
        await self.database.write(
            complete, execution, ExecutionStatus.succeeded, output={"result": result}, finish_reason="STOP"
        )

    async def approval(self, approval: ApprovalRequest) -> ApprovalRequest:
        found = await self.database.one(GET_APPROVAL, b_id=approval.approval_request_id)
        assert found is not None
        return found

    async def execution(self, approval: ApprovalRequest) -> Execution:
        found = await self.database.one(GET_EXECUTION, b_id=approval.execution_id)
        assert found is not None
        return found

    def database_files(self) -> list[Path]:
        """The files that hold a SQLite database."""
        path = Path(self.database.url.database or "")
        return sorted(path.parent.glob(f"{path.name}*"))


@pytest.fixture
def world(database: Database, clock: Clock) -> World:
    return World(database, clock)

"""Starting executions: at once, or answered when they complete or wait."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass, replace

from aiohttp import web

from agent_runtime.core.execution import Execution, ExecutionStatus
from agent_runtime.core.principal import Via
from agent_runtime.errors import InvalidRequest, NotFound, Overloaded
from agent_runtime.operations.start import Start, start
from agent_runtime.operations.tokens import Scope
from agent_runtime.store.agents import LATEST_DEFINITION
from agent_runtime.store.executions import GET_EXECUTION, STANDING
from agent_runtime.store.serving import no_worker
from agent_runtime.web.answers import ExecutionWithSteps, StartedAnswer
from agent_runtime.web.authentication import DATABASE, Identity
from agent_runtime.web.bodies import StartBody, body_of
from agent_runtime.web.endpoint import Endpoint, answered
from agent_runtime.web.queries import LONGEST_WAIT
from agent_runtime.web.views import execution_with_steps
from agent_runtime.web.waiting import wait_until

_TARGET = re.compile(r"(?P<agent>[A-Za-z_][\w-]*)(?:\.(?P<reasoner>[A-Za-z_][\w-]*))?", re.ASCII)
_KEY = re.compile(r"[!-~]{1,255}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Target:
    """What a path asks to run."""

    agent: str
    reasoner: str | None


async def target(request: web.Request) -> Target:
    """The deployed agent, and its reasoner where one is named; raises NotFound."""
    match = _TARGET.fullmatch(request.match_info["target"])
    definition = None
    if match is not None:
        definition = await request.app[DATABASE].one(LATEST_DEFINITION, b_agent=match["agent"])
    if match is None or definition is None:
        raise NotFound("no agent of this name is deployed; start `countersign serve --agents …` with it")
    reasoners = json.loads(definition.definition).get("reasoners", [])
    if match["reasoner"] is not None and match["reasoner"] not in {reasoner["name"] for reasoner in reasoners}:
        raise NotFound(f"the agent {match['agent']} has no reasoner of this name")
    return Target(match["agent"], match["reasoner"])


async def start_queued(request: web.Request, identity: Identity, wanted: Target) -> web.StreamResponse:
    execution = await _start(request, identity, wanted)
    return await _started(request, await execution_with_steps(request.app[DATABASE], execution), 202)


async def start_and_wait(request: web.Request, identity: Identity, wanted: Target) -> web.StreamResponse:
    database = request.app[DATABASE]
    execution = await _start(request, identity, wanted)
    shown: ExecutionWithSteps | None = None

    async def at_rest() -> bool:
        nonlocal shown
        now = await database.one(STANDING, b_id=execution.execution_id)
        if now is None or now.status == ExecutionStatus.running:
            return False
        if now.status == ExecutionStatus.queued:
            return await no_worker(database, execution.agent)
        shown = await _now(request, execution)
        return shown.is_complete or shown.is_waiting

    with suppress(Overloaded):  # it is started: who asked is told so, and polls
        await wait_until(request, f"rest:{execution.execution_id}", at_rest, seconds=LONGEST_WAIT)
    if shown is None or not (shown.is_complete or shown.is_waiting):
        shown = await _now(request, execution)
    return await _started(request, shown, 200 if shown.is_complete or shown.is_waiting else 202)


async def _now(request: web.Request, execution: Execution) -> ExecutionWithSteps:
    """The execution as it is now."""
    database = request.app[DATABASE]
    now = await database.one(GET_EXECUTION, b_id=execution.execution_id)
    return await execution_with_steps(database, now or execution)


async def _start(request: web.Request, identity: Identity, wanted: Target) -> Execution:
    key = _idempotency_key(request)
    body = await body_of(request, StartBody)
    started = await request.app[DATABASE].write(
        start,
        Start(wanted.agent, body.given(), reasoner=wanted.reasoner, idempotency_key=key),
        by=identity.actor,
        via=Via.api,
    )
    return started.execution


async def _started(request: web.Request, shown: ExecutionWithSteps, status: int) -> web.Response:
    unserved = not shown.is_complete and await no_worker(request.app[DATABASE], shown.agent)
    return answered(
        StartedAnswer(**dict(shown), no_worker=unserved),
        status,
        {"Location": f"/api/v1/executions/{shown.execution_id}"},
    )


def _idempotency_key(request: web.Request) -> str | None:
    keys = request.headers.getall("Idempotency-Key", [])
    if not keys:
        return None
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        raise InvalidRequest("Idempotency-Key: must be given once, as 1 to 255 visible ASCII characters")
    return keys[0]


QUEUED = Endpoint(
    method="POST",
    path="/api/v1/execute/async/{target}",
    summary="Starts an execution of an agent (or `agent.reasoner`) and answers at once",
    find=target,
    scope=Scope.start,
    answer=start_queued,
    body=StartBody,
    headers={"Idempotency-Key": "the same key and body again return the first execution; per principal and agent"},
    answers={202: StartedAnswer},
    refusals=(403, 404, 409, 413, 422),
)

ENDPOINTS = (
    QUEUED,
    replace(
        QUEUED,
        path="/api/v1/execute/{target}",
        summary="The same, answered when it completes or waits for a decision; after 60 s with 202",
        answer=start_and_wait,
        answers={200: StartedAnswer, 202: StartedAnswer},
    ),
)

"""The stop switch over HTTP."""

from __future__ import annotations

from aiohttp import web

from agent_runtime.core.duration import rfc3339
from agent_runtime.core.principal import Via
from agent_runtime.core.switches import Switch
from agent_runtime.operations.stop import resume, stop
from agent_runtime.operations.tokens import Scope
from agent_runtime.store.switches import SWITCHES
from agent_runtime.web.answers import SwitchAnswer, SwitchList
from agent_runtime.web.authentication import DATABASE, Identity
from agent_runtime.web.bodies import SwitchBody, body_of
from agent_runtime.web.endpoint import Endpoint, answered, nothing


async def listed(request: web.Request, identity: Identity, _: None) -> web.StreamResponse:
    return answered(SwitchList(items=[_shown(one) for one in await request.app[DATABASE].all(SWITCHES)]))


async def switched(request: web.Request, identity: Identity, _: None) -> web.StreamResponse:
    body = await body_of(request, SwitchBody)
    operation = stop if body.stopped else resume
    switch = await request.app[DATABASE].write(
        operation, body.name, kind=body.kind, by=identity.actor, via=Via.api, reason=body.reason
    )
    return answered(_shown(switch, stopped=body.stopped))


def _shown(switch: Switch, *, stopped: bool = True) -> SwitchAnswer:
    return SwitchAnswer(
        scope=switch.scope,
        stopped=stopped,
        by=switch.principal,
        via=switch.via,
        reason=switch.reason,
        stopped_at=rfc3339(switch.stopped_at) or "",
    )


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/v1/switches",
        summary="What is stopped: everything, agents, tools",
        find=nothing,
        scope=Scope.admin,
        answer=listed,
        answers={200: SwitchList},
        refusals=(403,),
    ),
    Endpoint(
        method="POST",
        path="/api/v1/switches",
        summary="Stops or resumes everything, an agent or a tool; what waits keeps waiting, and nothing fails",
        find=nothing,
        scope=Scope.admin,
        answer=switched,
        body=SwitchBody,
        answers={200: SwitchAnswer},
        refusals=(403, 404, 409, 413, 422),
    ),
)

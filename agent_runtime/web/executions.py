"""Executions: list, one, cancel."""

from __future__ import annotations

import functools
from typing import Any

from aiohttp import web

from agent_runtime.core.execution import Execution
from agent_runtime.core.principal import Via
from agent_runtime.errors import NotAuthorized
from agent_runtime.operations.cancel import cancel
from agent_runtime.operations.tokens import Scope
from agent_runtime.store.executions import list_executions
from agent_runtime.web import find
from agent_runtime.web.answers import ExecutionPage, ExecutionWithSteps
from agent_runtime.web.authentication import DATABASE, Identity
from agent_runtime.web.bodies import CancelBody, body_of
from agent_runtime.web.endpoint import Endpoint, answered, nothing
from agent_runtime.web.queries import ExecutionsQuery, cursor_of, next_cursor, query_of
from agent_runtime.web.views import execution_answer, execution_with_steps

_page = functools.cache(list_executions)


async def listed(request: web.Request, identity: Identity, _: None) -> web.StreamResponse:
    database = request.app[DATABASE]
    query = query_of(request, ExecutionsQuery)
    binds: dict[str, Any] = {"b_limit": query.limit + 1}
    if query.status is not None:
        binds["b_status"] = query.status
    if query.agent is not None:
        binds["b_agent"] = query.agent
    if query.cursor is not None:
        cursor = cursor_of(query.cursor, "executions")
        binds |= {"b_at": cursor.at, "b_id": cursor.id}
    rows = await database.all(
        _page(status="b_status" in binds, agent="b_agent" in binds, after=query.cursor is not None), **binds
    )
    page = ExecutionPage(
        items=[await execution_answer(database, row) for row in rows[: query.limit]],
        next_cursor=next_cursor("executions", [(row.created_at, row.execution_id) for row in rows], query.limit),
    )
    return answered(page)


async def one(request: web.Request, identity: Identity, execution: Execution) -> web.StreamResponse:
    return answered(await execution_with_steps(request.app[DATABASE], execution))


async def cancelled(request: web.Request, identity: Identity, execution: Execution) -> web.StreamResponse:
    database = request.app[DATABASE]
    if execution.requested_by != identity.actor.principal and not identity.actor.operator:
        raise NotAuthorized("somebody else started this execution; cancelling it needs a token with the scope decide")
    body = await body_of(request, CancelBody, optional=True)
    ended = await database.write(cancel, execution.execution_id, by=identity.actor, via=Via.api, reason=body.reason)
    return answered(await execution_with_steps(database, ended))


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/v1/executions",
        summary="Executions, newest first",
        find=nothing,
        scope=Scope.read,
        answer=listed,
        query=ExecutionsQuery,
        answers={200: ExecutionPage},
        refusals=(403, 422),
    ),
    Endpoint(
        method="GET",
        path="/api/v1/executions/{execution_id}",
        summary="One execution: its status, result, pending approvals and steps",
        find=find.execution,
        scope=Scope.read,
        answer=one,
        answers={200: ExecutionWithSteps},
        refusals=(403, 404),
    ),
    Endpoint(
        method="POST",
        path="/api/v1/executions/{execution_id}/cancel",
        summary="Cancels an execution and withdraws what it asks; a call that runs now is let finish",
        find=find.execution,
        scope=Scope.start,
        answer=cancelled,
        body=CancelBody,
        body_optional=True,
        answers={200: ExecutionWithSteps},
        refusals=(403, 404, 409, 413, 422),
    ),
)

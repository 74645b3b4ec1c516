"""Approvals: list, one (also awaited), decide, settle."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from agent_runtime.agent import Agent
from agent_runtime.core.approval import ApprovalRequest, Decision, Outcome, parse_verdict
from agent_runtime.core.canonical import canonical
from agent_runtime.core.policy import may_decide
from agent_runtime.core.principal import Actor, Via
from agent_runtime.core.redaction import REDACTED
from agent_runtime.errors import InvalidRequest
from agent_runtime.operations.edits import fitting
from agent_runtime.operations.resolve import Resolution, resolve
from agent_runtime.operations.settle import settle
from agent_runtime.operations.tokens import Scope
from agent_runtime.store.approvals import GET_APPROVAL, list_approvals
from agent_runtime.store.database import Database
from agent_runtime.web import find
from agent_runtime.web.answers import ApprovalAnswer, ApprovalPage, DecidedAnswer
from agent_runtime.web.authentication import DATABASE, Identity
from agent_runtime.web.bodies import DecisionBody, SettleBody, body_of
from agent_runtime.web.endpoint import Endpoint, answered, nothing
from agent_runtime.web.queries import ApprovalQuery, ApprovalsQuery, cursor_of, next_cursor, query_of
from agent_runtime.web.views import approval_answer
from agent_runtime.web.waiting import wait_until

AGENTS: web.AppKey[Mapping[str, Agent]] = web.AppKey("agents")
"""Those that this process runs; their tools check edited arguments."""

_page = functools.cache(list_approvals)


async def listed(request: web.Request, identity: Identity, _: None) -> web.StreamResponse:
    database = request.app[DATABASE]
    query = query_of(request, ApprovalsQuery)
    pending = query.status == "pending"
    order = "approvals:oldest" if pending else "approvals:newest"
    binds: dict[str, Any] = {"b_limit": query.limit + 1}
    if query.status is not None and not pending:
        binds["b_status"] = query.status
    if query.kind is not None:
        binds["b_kind"] = query.kind
    if query.cursor is not None:
        cursor = cursor_of(query.cursor, order)
        binds |= {"b_at": cursor.at, "b_id": cursor.id}
    rows = await database.all(
        _page(pending=pending, status="b_status" in binds, kind="b_kind" in binds, after=query.cursor is not None),
        **binds,
    )
    page = ApprovalPage(
        items=[await approval_answer(database, row) for row in rows[: query.limit]],
        next_cursor=next_cursor(order, [(row.created_at, row.approval_request_id) for row in rows], query.limit),
    )
    return answered(page)


async def one(request: web.Request, identity: Identity, approval: ApprovalRequest) -> web.StreamResponse:
    database = request.app[DATABASE]
    query = query_of(request, ApprovalQuery)

    async def decided() -> bool:
        nonlocal approval
        approval = await database.one(GET_APPROVAL, b_id=approval.approval_request_id) or approval
        return not approval.pending

    if query.wait and approval.pending:
        await wait_until(request, f"approval:{approval.approval_request_id}", decided, seconds=query.wait)
    return answered(await approval_answer(database, approval))


async def decision(request: web.Request, identity: Identity, approval: ApprovalRequest) -> web.StreamResponse:
    database = request.app[DATABASE]
    require_eligible(approval, identity.actor, Via.api)
    body = await body_of(request, DecisionBody)
    made = Decision(
        parse_verdict(body.decision),
        body.feedback or "",
        edited_arguments=_edited(body, approval),
        digest=body.digest,
    )
    resolution = await database.write(
        resolve, approval.approval_request_id, made, by=identity.actor, via=Via.api, fits=fitting(request.app[AGENTS])
    )
    return answered(await decided_answer(database, resolution))


async def settled(request: web.Request, identity: Identity, approval: ApprovalRequest) -> web.StreamResponse:
    database = request.app[DATABASE]
    require_eligible(approval, identity.actor, Via.api)
    body = await body_of(request, SettleBody)
    resolution = await database.write(
        settle,
        approval.approval_request_id,
        Outcome(body.outcome),
        by=identity.actor,
        via=Via.api,
        result=body.result,
        evidence=body.evidence or "",
    )
    return answered(await decided_answer(database, resolution))


def require_eligible(approval: ApprovalRequest, by: Actor, via: Via) -> None:
    """Raises NotAuthorized before the body is looked at; the operation asks again, under its lock."""
    may_decide(approval.policy, requested_by=approval.requested_by, by=by, via=via, widened=bool(approval.widened))


async def decided_answer(database: Database, resolution: Resolution) -> DecidedAnswer:
    """The approval as it is now, and whether it was so before."""
    shown = await approval_answer(database, resolution.approval)
    return DecidedAnswer(**dict(shown), already_processed=resolution.already_processed)


def _edited(body: DecisionBody, approval: ApprovalRequest) -> str | None:
    """The edited arguments as canonical text; a mask taken from an answer is not mistaken for a value."""
    if body.edited_arguments is None:
        return None
    edited = canonical(body.edited_arguments, name="edited_arguments")
    mask = json.dumps(REDACTED)[1:-1]
    if mask in edited and mask not in approval.arguments:
        raise InvalidRequest(f"edited_arguments: hold {REDACTED}, the mask of a secret; send the true value instead")
    return edited


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/v1/approvals",
        summary="Approvals, newest first; pending ones oldest first",
        find=nothing,
        scope=Scope.read,
        answer=listed,
        query=ApprovalsQuery,
        answers={200: ApprovalPage},
        refusals=(403, 422),
    ),
    Endpoint(
        method="GET",
        path="/api/v1/approvals/{approval_request_id}",
        summary="One approval, answered at once or when it is decided",
        find=find.approval,
        scope=Scope.read,
        answer=one,
        query=ApprovalQuery,
        answers={200: ApprovalAnswer},
        refusals=(403, 404, 422, 503),
    ),
    Endpoint(
        method="POST",
        path="/api/v1/approvals/{approval_request_id}/decision",
        summary="Decides; the same decision again changes nothing",
        find=find.approval,
        scope=Scope.decide,
        answer=decision,
        body=DecisionBody,
        answers={200: DecidedAnswer},
        refusals=(403, 404, 409, 413, 422),
    ),
    Endpoint(
        method="POST",
        path="/api/v1/approvals/{approval_request_id}/settle",
        summary="Says what became of a call in doubt",
        find=find.approval,
        scope=Scope.decide,
        answer=settled,
        body=SettleBody,
        answers={200: DecidedAnswer},
        refusals=(403, 404, 409, 413, 422),
    ),
)

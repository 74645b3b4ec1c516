"""The reviewer's pages: what waits and what was decided, one approval with all that is known, and settling a doubt.

Decisions are posted to `/approve/{request_id}` (pending.py). A GET decides nothing.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Literal

from aiohttp import web
from pydantic import Field

from agent_runtime.core.approval import ApprovalRequest, Outcome
from agent_runtime.core.canonical import parse_json
from agent_runtime.core.display import shorten, visible
from agent_runtime.core.execution import Execution
from agent_runtime.core.journal import prompt_of
from agent_runtime.core.principal import Via
from agent_runtime.core.redaction import redact_shown
from agent_runtime.core.shown import masked
from agent_runtime.delivery.views import approval_view
from agent_runtime.errors import InvalidRequest
from agent_runtime.operations.settle import settle
from agent_runtime.operations.tokens import Scope
from agent_runtime.store.approvals import DECIDED, list_approvals
from agent_runtime.store.database import Database
from agent_runtime.store.events import EVENTS_OF_APPROVAL
from agent_runtime.store.executions import list_executions
from agent_runtime.web import find
from agent_runtime.web.answers import DecidedAnswer
from agent_runtime.web.approvals import decided_answer, require_eligible
from agent_runtime.web.authentication import DATABASE, Identity
from agent_runtime.web.bodies import Body, Words
from agent_runtime.web.cards import Card, card_of, moment, steps_of
from agent_runtime.web.csrf import from_browser
from agent_runtime.web.endpoint import Endpoint, answered, nothing
from agent_runtime.web.feed import RECENT, SHOWN, mark
from agent_runtime.web.forms import body_of_either
from agent_runtime.web.pages import page, wants_page
from agent_runtime.web.queries import Query, query_of
from agent_runtime.web.snapshots import agent_context
from agent_runtime.web.views import event_answers

EVENTS_SHOWN = 200

_OLDEST_PENDING = list_approvals(pending=True, status=False, kind=False, after=False)
_WAITING_EXECUTIONS = list_executions(status=True, agent=False, after=False)
_MAY_NOT_DECIDE = "you may look, but this token lacks the scope decide"


class ReviewsQuery(Query):
    """Whether the whole page, or what changes on it."""

    part: Literal["list"] | None = Field(None, description="list: only what changes")


class SettlementBody(Body):
    """What became of a call in doubt, as a form says it."""

    outcome: Literal["happened", "not_happened", "stop"] = Field(
        description="happened (with its result), not_happened (ask afresh, then run), or stop"
    )
    result: str | None = Field(None, description="the call's result as JSON; only with happened")
    evidence: Words | None = Field(None, description="how that is known, for the record")


async def listed(request: web.Request, identity: Identity, _: None) -> web.StreamResponse:
    """Everything that waits, oldest first, and what was decided last."""
    database = request.app[DATABASE]
    part = query_of(request, ReviewsQuery).part
    # First the mark: what changes while the rest is read shows at the next look.
    now, _waiting = await mark(database)
    waiting = await database.all(_OLDEST_PENDING, b_limit=SHOWN + 1)
    executions = await database.all(_WAITING_EXECUTIONS, b_status="waiting", b_limit=SHOWN + 1)
    return page(
        request,
        "list.html" if part else "reviews.html",
        mark=now,
        now=database.clock() // 1000,
        waiting=await cards(database, waiting[:SHOWN], identity),
        more=len(waiting) > SHOWN,
        executions=[_execution(execution) for execution in executions[:SHOWN]],
        more_executions=len(executions) > SHOWN,
        decided=await cards(database, await database.all(DECIDED, b_limit=RECENT), identity),
    )


async def one(request: web.Request, identity: Identity, approval: ApprovalRequest) -> web.StreamResponse:
    """All that is known of one approval: whole arguments, what the agent knew, and what happened to it."""
    database = request.app[DATABASE]
    part = query_of(request, ReviewsQuery).part
    events = await database.all(
        EVENTS_OF_APPROVAL, b_approval=approval.approval_request_id, b_after=0, b_limit=EVENTS_SHOWN
    )
    [card] = await cards(database, [approval], identity, whole=True)
    return page(
        request,
        "one.html" if part else "review.html",
        mark="",
        now=database.clock() // 1000,
        card=card,
        context=steps_of(await agent_context(database, approval)),
        events=[_event(event) for event in await event_answers(database, events)],
    )


async def cards(database: Database, approvals: Any, identity: Identity, *, whole: bool = False) -> list[Card]:
    """The approvals as cards for whoever looks."""
    refusal = "" if Scope.decide in identity.scopes else _MAY_NOT_DECIDE
    found = []
    for approval in approvals:
        view = await approval_view(database, approval.approval_request_id)
        if view is not None:
            found.append(card_of(view, by=identity.actor, refusal=refusal, now=database.clock(), whole=whole))
    return found


async def settled(request: web.Request, identity: Identity, approval: ApprovalRequest) -> web.StreamResponse:
    """As the API's settlement, through the pages' door."""
    database = request.app[DATABASE]
    via = Via.dashboard if from_browser(request) else Via.api
    require_eligible(approval, identity.actor, via)
    body = await body_of_either(request, SettlementBody)
    resolution = await database.write(
        settle,
        approval.approval_request_id,
        Outcome(body.outcome),
        by=identity.actor,
        via=via,
        result=_result(body),
        evidence=body.evidence or "",
    )
    if wants_page(request):
        return web.Response(status=303, headers={"Location": f"/reviews/{approval.approval_request_id}"})
    return answered(await decided_answer(database, resolution))


def _result(body: SettlementBody) -> Any:
    if body.result is None:
        return None
    if body.outcome != Outcome.happened:
        raise InvalidRequest("result: only a call that happened has one; leave it out")
    try:
        return parse_json(body.result.encode())
    except InvalidRequest as error:
        raise InvalidRequest(f'result: is no JSON ({error.message}); write a text in quotes, like "done"') from error


def _execution(execution: Execution) -> dict[str, Any]:
    prompt = redact_shown(prompt_of(masked(json.loads(execution.input))))
    return {
        "id": execution.execution_id,
        "agent": visible(execution.agent),
        "prompt": shorten(visible(prompt), 160)[0],
        "asks": execution.open_approvals,
        "since": moment(execution.created_at),
    }


def _event(event: Any) -> dict[str, str]:
    return {
        "at": f"{event.at[:19].replace('T', ' ')} UTC",
        "type": event.type,
        "by": visible(event.by),
        "via": event.via,
        "why": shorten(visible(event.why), 400)[0],
    }


_PAGE = Endpoint(
    method="GET",
    path="/reviews",
    summary="The reviewer's page: what waits for a decision, and what was decided last",
    find=nothing,
    scope=Scope.read,
    answer=listed,
    query=ReviewsQuery,
    answers={200: "text/html"},
    refusals=(403, 422),
)

ENDPOINTS = (
    _PAGE,
    replace(_PAGE, path="/", summary="The same page"),
    Endpoint(
        method="GET",
        path="/reviews/{approval_request_id}",
        summary="A page with all that is known of one approval",
        find=find.approval,
        scope=Scope.read,
        answer=one,
        query=ReviewsQuery,
        answers={200: "text/html"},
        refusals=(403, 404, 422),
    ),
    Endpoint(
        method="POST",
        path="/reviews/{approval_request_id}/settle",
        summary="Says on the page what became of a call in doubt",
        find=find.approval,
        scope=Scope.decide,
        answer=settled,
        body=SettlementBody,
        answers={200: DecidedAnswer, 303: ""},
        refusals=(403, 404, 409, 413, 422),
        browser=True,
    ),
)

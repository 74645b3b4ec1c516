"""The generic approval service: `POST /pending`, `GET /pending`, `POST /approve/{request_id}`.

The same operations as the API's, in other words: a request id is an approval_request_id, and `waiting` is pending.
"""

from __future__ import annotations

from typing import Annotated, Any

from aiohttp import web
from pydantic import Field, field_validator

from agent_runtime.core.approval import ApprovalRequest, ApprovalStatus, Decision, parse_verdict
from agent_runtime.core.canonical import parse_json
from agent_runtime.core.duration import rfc3339
from agent_runtime.core.ids import APPROVAL_REQUEST_ID, APPROVAL_REQUEST_ID_RULE
from agent_runtime.core.principal import Via
from agent_runtime.core.redaction import redact_shown
from agent_runtime.errors import InvalidRequest
from agent_runtime.operations.ask import Asked, ask
from agent_runtime.operations.resolve import resolve
from agent_runtime.operations.tokens import Scope
from agent_runtime.store.approvals import list_approvals
from agent_runtime.store.database import Database
from agent_runtime.web import find
from agent_runtime.web.answers import Answer
from agent_runtime.web.approvals import require_eligible
from agent_runtime.web.asking import DEFAULTS, LONGEST_TITLE
from agent_runtime.web.authentication import DATABASE, Identity
from agent_runtime.web.bodies import Body, Text, Verdicts, Words
from agent_runtime.web.csrf import from_browser
from agent_runtime.web.endpoint import Endpoint, answered, nothing
from agent_runtime.web.forms import FORM, body_of_either
from agent_runtime.web.pages import wants_page
from agent_runtime.web.queries import Page, cursor_of, next_cursor, query_of
from agent_runtime.web.snapshots import agent_context, timestamp

WAITING = "waiting"

_ORDER = "approvals:oldest"
_FIRST = list_approvals(pending=True, status=False, kind=False, after=False)
_AFTER = list_approvals(pending=True, status=False, kind=False, after=True)


class PendingBody(Body):
    """An agent asks people before it acts."""

    request_id: str = Field(description="an id of your own for this request, used once")
    action_description: Annotated[Text, Field(max_length=LONGEST_TITLE)] = Field(
        description="what would happen, in a sentence"
    )
    agent_context: Any = Field(None, description="the agent's state: any JSON value")
    timestamp: Text | int | float | None = Field(None, description="when the agent asked, as it says")

    @field_validator("request_id")
    @classmethod
    def _id(cls, given: str) -> str:
        if not APPROVAL_REQUEST_ID.fullmatch(given):
            raise ValueError(APPROVAL_REQUEST_ID_RULE)
        return given

    @field_validator("action_description")
    @classmethod
    def _not_empty(cls, description: str) -> str:
        if not description.strip():
            raise ValueError("is empty; say in one sentence what would happen")
        return description

    def asked(self) -> Asked:
        """What operations.ask takes."""
        context = {"agent_context": self.agent_context, "timestamp": self.timestamp}
        context = {name: value for name, value in context.items() if value is not None}
        return Asked(title=self.action_description, context=context or None, approval_request_id=self.request_id)


class ApproveBody(Body):
    """A person's decision."""

    decision: Verdicts = Field(description="approved, rejected or request_changes")
    feedback: Words | None = Field(None, description="what the agent is told, verbatim")
    digest: str | None = Field(None, max_length=200, description="that of what was shown; a stale one is refused")


class PendingAnswer(Answer):
    """One request, as whoever asked polls it."""

    request_id: str
    action_description: str
    agent_context: Any = Field(description="what the agent sent, or its state when it asked; secrets masked")
    timestamp: str
    status: str = Field(description="waiting; then approved, rejected, request_changes, expired or cancelled")
    feedback: str
    decided_by: str | None
    expires_at: str | None


class ReviewedAnswer(PendingAnswer):
    """One request after a decision; `already_processed` where the same decision was made before."""

    already_processed: bool


class PendingPage(Answer):
    """A page of what waits, oldest first."""

    items: list[PendingAnswer]
    next_cursor: str | None


async def asked(request: web.Request, identity: Identity, _: None) -> web.StreamResponse:
    """The same request again is answered as before; another one under the same id is refused as 409."""
    database = request.app[DATABASE]
    body = await body_of_either(request, PendingBody)
    if request.content_type == FORM and isinstance(body.agent_context, str):
        body = body.model_copy(update={"agent_context": _json_or_text(body.agent_context)})
    asking = await database.write(ask, body.asked(), request.app[DEFAULTS], by=identity.actor, via=_door(request))
    approval_request_id = asking.approval.approval_request_id
    return answered(await _row(database, asking.approval), 201, {"Location": f"/pending/{approval_request_id}"})


def _json_or_text(text: str) -> Any:
    """A form knows texts alone; what reads as JSON is meant as JSON."""
    try:
        return parse_json(text.encode())
    except InvalidRequest:
        return text


async def listed(request: web.Request, identity: Identity, _: None) -> web.StreamResponse:
    database = request.app[DATABASE]
    query = query_of(request, Page)
    if query.cursor is None:
        rows = await database.all(_FIRST, b_limit=query.limit + 1)
    else:
        cursor = cursor_of(query.cursor, _ORDER)
        rows = await database.all(_AFTER, b_limit=query.limit + 1, b_at=cursor.at, b_id=cursor.id)
    found = PendingPage(
        items=[await _row(database, approval) for approval in rows[: query.limit]],
        next_cursor=next_cursor(_ORDER, [(row.created_at, row.approval_request_id) for row in rows], query.limit),
    )
    return answered(found)


async def one(request: web.Request, identity: Identity, approval: ApprovalRequest) -> web.StreamResponse:
    return answered(await _row(request.app[DATABASE], approval))


async def decided(request: web.Request, identity: Identity, approval: ApprovalRequest) -> web.StreamResponse:
    """One decision through the single resume path; from a page, through the dashboard's door."""
    database = request.app[DATABASE]
    via = _door(request)
    require_eligible(approval, identity.actor, via)
    body = await body_of_either(request, ApproveBody)
    made = Decision(parse_verdict(body.decision), body.feedback or "", digest=body.digest)
    resolution = await database.write(resolve, approval.approval_request_id, made, by=identity.actor, via=via)
    if wants_page(request):
        return web.Response(status=303, headers={"Location": f"/reviews/{approval.approval_request_id}"})
    row = await _row(database, resolution.approval)
    return answered(ReviewedAnswer(**dict(row), already_processed=resolution.already_processed))


def _door(request: web.Request) -> Via:
    return Via.dashboard if from_browser(request) else Via.api


async def _row(database: Database, approval: ApprovalRequest) -> PendingAnswer:
    return PendingAnswer(
        request_id=approval.approval_request_id,
        action_description=redact_shown(approval.title),
        agent_context=await agent_context(database, approval),
        timestamp=timestamp(approval) or rfc3339(approval.created_at) or "",
        status=WAITING if approval.status == ApprovalStatus.pending else approval.status,
        feedback=approval.feedback,
        decided_by=approval.decided_by or None,
        expires_at=rfc3339(approval.expires_at),
    )


async def _called(request: web.Request) -> ApprovalRequest:
    return await find.approval_called(request.app[DATABASE], request.match_info["request_id"])


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/pending",
        summary="An agent asks people before it acts; the same request again is answered as before",
        find=nothing,
        scope=Scope.start,
        answer=asked,
        body=PendingBody,
        answers={201: PendingAnswer},
        refusals=(403, 409, 413, 422),
        browser=True,
    ),
    Endpoint(
        method="GET",
        path="/pending",
        summary="What waits for a decision, oldest first",
        find=nothing,
        scope=Scope.read,
        answer=listed,
        query=Page,
        answers={200: PendingPage},
        refusals=(403, 422),
    ),
    Endpoint(
        method="GET",
        path="/pending/{request_id}",
        summary="One request, for whoever polls it",
        find=_called,
        scope=Scope.read,
        answer=one,
        answers={200: PendingAnswer},
        refusals=(403, 404),
    ),
    Endpoint(
        method="POST",
        path="/approve/{request_id}",
        summary="Decides on a request; the same decision again changes nothing",
        find=_called,
        scope=Scope.decide,
        answer=decided,
        body=ApproveBody,
        answers={200: ReviewedAnswer, 303: ""},
        refusals=(403, 404, 409, 413, 422),
        browser=True,
    ),
)

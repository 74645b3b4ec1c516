"""Outside agents use their approvals: claim a permit, run the call, report what became of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import Field

from agent_runtime.core.approval import ApprovalRequest
from agent_runtime.core.duration import SECOND, rfc3339
from agent_runtime.core.permit import DEFAULT_LIFE, LONGEST_LIFE, PermitStatus
from agent_runtime.core.principal import Via
from agent_runtime.operations.consume import check_consumer, claim_approval, report_result
from agent_runtime.operations.tokens import Scope
from agent_runtime.web import find
from agent_runtime.web.answers import ClaimAnswer, PermitAnswer
from agent_runtime.web.authentication import DATABASE, Identity
from agent_runtime.web.bodies import Body, Text, body_of
from agent_runtime.web.endpoint import Endpoint, answered
from agent_runtime.web.views import of_permit

_STATUSES = {
    "succeeded": PermitStatus.succeeded,
    "failed": PermitStatus.failed,
    "unknown": PermitStatus.in_doubt,
}


class ClaimBody(Body):
    """Claims an approval, once."""

    digest: str = Field(description="the approval's digest, or its edited_digest", min_length=1, max_length=200)
    attempt_key: Annotated[Text, Field(min_length=1, max_length=200)] = Field(
        description="a key of this attempt; hard to guess, as the same key gets the same permit"
    )
    runs_for_seconds: Annotated[int, Field(ge=1, le=LONGEST_LIFE // SECOND)] = Field(
        DEFAULT_LIFE // SECOND, description="how long the call may run before it is in doubt"
    )


class ResultBody(Body):
    """What became of a claimed call."""

    permit: str = Field(description="what the claim answered", min_length=1, max_length=200)
    status: Literal["succeeded", "failed", "unknown"] = Field(description="succeeded, failed or unknown (in doubt)")
    result: Any = Field(None, description="what it returned, or why it failed; any JSON value")


async def claimed(request: web.Request, identity: Identity, approval: ApprovalRequest) -> web.StreamResponse:
    check_consumer(approval, identity.actor)
    body = await body_of(request, ClaimBody)
    granted = await request.app[DATABASE].write(
        claim_approval,
        approval.approval_request_id,
        digest=body.digest,
        attempt_key=body.attempt_key,
        life=body.runs_for_seconds * SECOND,
        by=identity.actor,
        via=Via.api,
    )
    return answered(
        ClaimAnswer(
            permit=granted.secret, expires_at=rfc3339(granted.permit.expires_at) or "", arguments=granted.arguments
        )
    )


async def reported(request: web.Request, identity: Identity, approval: ApprovalRequest) -> web.StreamResponse:
    check_consumer(approval, identity.actor)
    body = await body_of(request, ResultBody)
    permit = await request.app[DATABASE].write(
        report_result,
        approval.approval_request_id,
        permit=body.permit,
        status=_STATUSES[body.status],
        result=body.result,
        by=identity.actor,
        via=Via.api,
    )
    return answered(of_permit(permit))


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/api/v1/approvals/{approval_request_id}/claim",
        summary="An outside agent claims its approval, once; the same key gets the same permit",
        find=find.approval,
        scope=Scope.start,
        answer=claimed,
        body=ClaimBody,
        answers={200: ClaimAnswer},
        refusals=(403, 404, 409, 413, 422),
    ),
    Endpoint(
        method="POST",
        path="/api/v1/approvals/{approval_request_id}/result",
        summary="An outside agent says what became of the call that it claimed",
        find=find.approval,
        scope=Scope.start,
        barred_too=True,
        answer=reported,
        body=ResultBody,
        answers={200: PermitAnswer},
        refusals=(403, 404, 409, 413, 422),
    ),
)

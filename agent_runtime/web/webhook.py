"""Decisions by a signed webhook."""

from __future__ import annotations

from aiohttp import web

from agent_runtime.core.approval import Decision, parse_verdict
from agent_runtime.core.duration import SECOND
from agent_runtime.core.principal import Actor, Via
from agent_runtime.errors import CountersignError, InvalidRequest, NotAuthorized
from agent_runtime.operations.resolve import resolve
from agent_runtime.web import find
from agent_runtime.web.answers import DecidedAnswer
from agent_runtime.web.approvals import decided_answer, require_eligible
from agent_runtime.web.authentication import DATABASE, WEBHOOK, Identity
from agent_runtime.web.bodies import WebhookBody, parse_object, raw_body, validated
from agent_runtime.web.endpoint import Endpoint, answered, nothing, remember
from agent_runtime.web.signatures import BODY_SIGNATURE, STANDARD, WebhookKeys

SENDER = Actor("webhook:approval-response", operator=True)
KEYS = web.AppKey("webhook_keys", WebhookKeys)


class WebhookOff(CountersignError):
    """The webhook has no secret; set COUNTERSIGN_APPROVAL_WEBHOOK_SECRET, as `openssl rand -hex 32` makes one."""

    status, slug = 503, "webhook-off"


async def received(request: web.Request, identity: Identity, _: None) -> web.StreamResponse:
    """503 without a secret, 401 on the signature, then as a decision by the API. A replay changes nothing."""
    keys = request.app.get(KEYS)
    if keys is None:
        raise WebhookOff()
    database = request.app[DATABASE]
    raw = await raw_body(request)
    keys.check(request.headers, raw, database.clock() // SECOND)
    sent = parse_object(raw)
    wanted = sent.get("requestId")
    if not isinstance(wanted, str):
        raise InvalidRequest("requestId: must be the approval_request_id, a text")
    approval = await find.approval_called(database, wanted)
    try:
        require_eligible(approval, SENDER, Via.webhook)
    except NotAuthorized as refused:
        await remember(request, approval, refused, by=SENDER, via=Via.webhook)
        raise
    body = validated(sent, WebhookBody)
    made = Decision(parse_verdict(body.decision), body.feedback or "")
    resolution = await database.write(resolve, approval.approval_request_id, made, by=SENDER, via=Via.webhook)
    return answered(await decided_answer(database, resolution))


ENDPOINTS = (
    Endpoint(
        method="POST",
        path=WEBHOOK,
        summary="A decision by a signed webhook; a replay changes nothing",
        find=nothing,
        scope=None,
        answer=received,
        body=WebhookBody,
        headers={
            BODY_SIGNATURE: "sha256= and the hexadecimal HMAC-SHA256 of the raw body",
            **dict.fromkeys(STANDARD, "Standard Webhooks 1.0.0"),
        },
        answers={200: DecidedAnswer},
        refusals=(401, 403, 404, 409, 413, 422, 503),
    ),
)

"""The Bolt app that both transports dispatch to."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from slack_bolt.async_app import AsyncApp, AsyncBoltRequest
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from agent_runtime.errors import Overloaded
from bot.listeners import register
from bot.listeners.answers import tell
from bot.listeners.context import Context
from bot.ui.refusals import message

log = structlog.get_logger(__name__)

_WENT_WRONG = "⚠️ Something went wrong on our side, and nothing is known to have changed. Click again in a moment."


def bolt_app(context: Context) -> AsyncApp:
    """The app with every listener.

    Slack is answered after the listener has committed (`process_before_response`), so that what fails is delivered
    again. Signatures are checked before Bolt sees a request, and nobody is asked whose token it is at each one.
    """
    logger = logging.getLogger("countersign.bolt")
    # Below, Bolt logs whole payloads, and a note about the token in the environment.
    logger.setLevel(logging.ERROR)
    app = AsyncApp(
        name="countersign",
        logger=logger,
        client=AsyncWebClient(base_url=context.settings.slack_api_url, retry_handlers=[]),
        signing_secret="",
        process_before_response=True,
        request_verification_enabled=False,
        ssl_check_enabled=False,
        before_authorize=_only_when_ready(context),
        authorize=_authorize(context),
    )
    app.error(_report(context))
    register(app, context)
    return app


def _only_when_ready(context: Context) -> Callable[..., Awaitable[BoltResponse]]:
    async def only_when_ready(req: AsyncBoltRequest, next: Callable[[], Awaitable[BoltResponse]]) -> BoltResponse:
        if req.body.get("type") != "url_verification":
            try:
                context.identity()
            except LookupError:
                return BoltResponse(status=503, body="starting")
        return await next()

    return only_when_ready


def _authorize(context: Context) -> Callable[..., Awaitable[AuthorizeResult]]:
    async def authorize() -> AuthorizeResult:
        identity = context.identity()
        return AuthorizeResult(
            enterprise_id=identity.enterprise_id or None,
            team_id=identity.team_id,
            bot_user_id=identity.bot_user_id,
            bot_id=identity.bot_id,
        )

    return authorize


def _report(context: Context) -> Callable[..., Awaitable[BoltResponse]]:
    """A listener failed: it is logged, without the payload; Slack delivers an event again, a person is told.

    Where that is too much at once nothing is acknowledged: Slack itself tells whoever clicked that it did not work.
    """

    async def report(error: Exception, body: dict[str, Any]) -> BoltResponse:
        if isinstance(error, Overloaded):
            log.warning("slack: not acknowledged", type=body.get("type"), reason=error.message)
            return BoltResponse(status=503, headers={"Retry-After": "1"})
        log.error("slack: a listener failed", type=body.get("type"), exc_info=error)
        if body.get("type") != "block_actions":
            return BoltResponse(status=500)
        container = body.get("container") or {}
        try:
            tell(
                context,
                str(body["user"]["id"]),
                message(_WENT_WRONG),
                channel=str(container.get("channel_id") or ""),
                thread_ts=container.get("thread_ts"),
            )
        except Overloaded:
            return BoltResponse(status=503)
        return BoltResponse(status=200)

    return report

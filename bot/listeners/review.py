"""Review: everything in a modal, and approval there, for calls that a card cannot show at a glance."""

from __future__ import annotations

from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from agent_runtime.core.approval import Decision, Verdict
from agent_runtime.delivery.views import approval_view
from agent_runtime.errors import CountersignError, NotFound
from bot.listeners.context import Context
from bot.listeners.deciding import refuse
from bot.listeners.decision import decide_by_form, would_refuse
from bot.listeners.interaction import person_behind, read_click, read_submission, typed
from bot.listeners.opening import open_view
from bot.ui import actions, modals


def register(app: AsyncApp, context: Context) -> None:
    @app.action(actions.REVIEW)
    async def review(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        interaction = read_click(body)
        if interaction.shown is None:
            return
        person = await person_behind(context, interaction)
        try:
            view = await approval_view(context.database, interaction.shown.approval_request_id)
            if view is None:
                raise NotFound()
            refused = await would_refuse(context, interaction, person)
            if refused is not None:
                raise refused
        except CountersignError as error:
            await refuse(context, interaction, person, error)
            return
        now = context.database.clock()
        open_view(context, interaction, modals.review(view, context.workspace(), interaction.shown, now))

    @app.view(actions.REVIEW_SUBMIT)
    async def approve(ack: AsyncAck, body: dict[str, Any]) -> None:
        interaction = read_submission(body)
        if interaction.shown is None:
            await ack()
            return
        await decide_by_form(context, ack, interaction, Decision(Verdict.approved, typed(body, modals.INPUT)))

"""A call in doubt is settled: it happened (with its result), it did not, or the execution stops."""

from __future__ import annotations

import json
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from agent_runtime.core.approval import Outcome
from agent_runtime.core.canonical import parse_json
from agent_runtime.core.principal import Via
from agent_runtime.delivery.views import approval_view
from agent_runtime.errors import CountersignError, InvalidRequest, NotFound
from agent_runtime.operations.settle import settle
from bot.listeners.context import Context
from bot.listeners.deciding import NotConfirmed, refuse, say_not_confirmed, within_time
from bot.listeners.decision import would_refuse
from bot.listeners.interaction import Interaction, person_behind, read_click, read_submission, typed
from bot.listeners.opening import open_view
from bot.ui import actions, modals
from bot.ui.refusals import NOT_CONFIRMED, refusal_in_form


def register(app: AsyncApp, context: Context) -> None:
    @app.action(actions.HAPPENED)
    async def ask_what_happened(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        interaction = read_click(body)
        if interaction.shown is None:
            return
        person = await person_behind(context, interaction)
        try:
            view = await approval_view(context.database, interaction.shown.approval_request_id)
            refused = await would_refuse(context, interaction, person)
            if view is None or refused is not None:
                raise refused or NotFound()
        except CountersignError as error:
            await refuse(context, interaction, person, error)
            return
        open_view(context, interaction, modals.happened(interaction.shown, view.approval.tool_name))

    @app.action(actions.NOT_HAPPENED)
    async def not_happened(ack: AsyncAck, body: dict[str, Any]) -> None:
        await _settle_by_click(context, read_click(body), Outcome.not_happened)
        await ack()

    @app.action(actions.STOP)
    async def stop(ack: AsyncAck, body: dict[str, Any]) -> None:
        await _settle_by_click(context, read_click(body), Outcome.stop)
        await ack()

    @app.view(actions.HAPPENED_SUBMIT)
    async def happened(ack: AsyncAck, body: dict[str, Any]) -> None:
        await _settle_by_form(context, ack, body)


async def _settle_by_click(context: Context, interaction: Interaction, outcome: Outcome) -> None:
    if interaction.shown is None:
        return
    person = await person_behind(context, interaction)
    try:
        await within_time(
            context,
            interaction,
            person,
            settle,
            interaction.shown.approval_request_id,
            outcome,
            by=person.actor,
            via=Via.slack,
        )
    except NotConfirmed:
        say_not_confirmed(context, interaction)
    except CountersignError as error:
        await refuse(context, interaction, person, error)


async def _settle_by_form(context: Context, ack: AsyncAck, body: dict[str, Any]) -> None:
    interaction = read_submission(body)
    if interaction.shown is None:
        await ack()
        return
    person = await person_behind(context, interaction)
    try:
        await within_time(
            context,
            interaction,
            person,
            settle,
            interaction.shown.approval_request_id,
            Outcome.happened,
            by=person.actor,
            via=Via.slack,
            result=_result(typed(body, modals.INPUT)),
            evidence=typed(body, modals.EVIDENCE),
        )
    except NotConfirmed:
        await ack(response_action="errors", errors={modals.INPUT: NOT_CONFIRMED})
    except CountersignError as error:
        await ack(response_action="errors", errors={modals.INPUT: refusal_in_form(error, None)})
        await refuse(context, interaction, person, error)
    else:
        await ack()


def _result(text: str) -> Any:
    """JSON where it is JSON, else the text itself. Raises InvalidRequest for JSON that could not be kept as it is."""
    try:
        json.loads(text)
    except ValueError:
        return text
    try:
        return parse_json(text.encode())
    except InvalidRequest as error:
        raise InvalidRequest(f"the result cannot be recorded: {error.message}") from error

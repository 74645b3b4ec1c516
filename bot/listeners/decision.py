"""Approve, reject, request changes: each click or submitted modal is one `resolve`, through the door `slack`."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from agent_runtime.core.approval import ApprovalRequest, Decision, Verdict, already_resolved
from agent_runtime.core.policy import may_decide
from agent_runtime.core.principal import Via
from agent_runtime.delivery.views import approval_view
from agent_runtime.errors import AlreadyResolved, CountersignError, NotFound, Overloaded, StaleDigest
from agent_runtime.operations.resolve import Resolution, resolve
from bot.listeners.context import Context
from bot.listeners.deciding import NotConfirmed, refuse, say, say_not_confirmed, within_time
from bot.listeners.interaction import Interaction, person_behind, read_click, read_submission, typed
from bot.listeners.opening import open_view
from bot.slack.directory import Person
from bot.ui import actions, modals
from bot.ui.refusals import NOT_CONFIRMED, refusal_in_form

CHECK_BUDGET = 0.8
"""Seconds to find out, before a modal opens, whether its submission would be refused; past it the modal opens."""


def register(app: AsyncApp, context: Context) -> None:
    @app.action(actions.APPROVE)
    async def approve(ack: AsyncAck, body: dict[str, Any]) -> None:
        interaction = read_click(body)
        if interaction.shown is not None:
            await _decide_by_click(context, interaction, Verdict.approved)
        await ack()

    @app.action(actions.REJECT)
    async def ask_why(ack: AsyncAck, body: dict[str, Any]) -> None:
        await _open_unless_refused(context, read_click(body), modals.reject)
        await ack()

    @app.action(actions.REQUEST_CHANGES)
    async def ask_which_changes(ack: AsyncAck, body: dict[str, Any]) -> None:
        await _open_unless_refused(context, read_click(body), modals.request_changes)
        await ack()

    @app.view(actions.REJECT_SUBMIT)
    async def reject(ack: AsyncAck, body: dict[str, Any]) -> None:
        await _decide_by_form(context, ack, body, Verdict.rejected)

    @app.view(actions.REQUEST_CHANGES_SUBMIT)
    async def request_changes(ack: AsyncAck, body: dict[str, Any]) -> None:
        await _decide_by_form(context, ack, body, Verdict.request_changes)


async def _decide_by_click(context: Context, interaction: Interaction, verdict: Verdict) -> None:
    person = await person_behind(context, interaction)
    try:
        resolution = await decide(context, interaction, person, Decision(verdict))
    except NotConfirmed:
        say_not_confirmed(context, interaction)
    except CountersignError as error:
        await refuse(context, interaction, person, error)
    else:
        if resolution.already_processed:
            say(context, interaction, "✅ You have approved this already; nothing was changed.")


async def _decide_by_form(context: Context, ack: AsyncAck, body: dict[str, Any], verdict: Verdict) -> None:
    interaction, feedback = read_submission(body), typed(body, modals.INPUT)
    if interaction.shown is None or not feedback:
        await ack(response_action="errors", errors={modals.INPUT: "Write a few words, so that it can be acted upon."})
        return
    await decide_by_form(context, ack, interaction, Decision(verdict, feedback))


async def decide_by_form(context: Context, ack: AsyncAck, interaction: Interaction, decision: Decision) -> None:
    """Decides by a submitted modal: it closes, or says at its input why nothing changed."""
    person = await person_behind(context, interaction)
    try:
        await decide(context, interaction, person, decision)
    except NotConfirmed:
        await ack(response_action="errors", errors={modals.INPUT: NOT_CONFIRMED})
    except CountersignError as error:
        words = refusal_in_form(error, await _as_it_is(context, interaction, error))
        await ack(response_action="errors", errors={modals.INPUT: words})
        with suppress(Overloaded):  # the form has said it
            await refuse(context, interaction, person, error)
    else:
        await ack()


async def decide(context: Context, interaction: Interaction, person: Person, decision: Decision) -> Resolution:
    """One decision on what was shown. Raises what `resolve` raises, or NotConfirmed."""
    assert interaction.shown is not None
    bound = Decision(decision.verdict, decision.feedback, digest=interaction.shown.digest)
    return await within_time(
        context,
        interaction,
        person,
        resolve,
        interaction.shown.approval_request_id,
        bound,
        by=person.actor,
        via=Via.slack,
    )


async def _as_it_is(context: Context, interaction: Interaction, error: CountersignError) -> ApprovalRequest | None:
    """The approval that ended before, for words about its end; None where the refusal is about something else."""
    if not isinstance(error, AlreadyResolved) or interaction.shown is None:
        return None
    view = await approval_view(context.database, interaction.shown.approval_request_id)
    return None if view is None else view.approval


async def _open_unless_refused(context: Context, interaction: Interaction, form: Any) -> None:
    """Opens the modal, or says at once what its submission would be told; the submission is checked in any case."""
    if interaction.shown is None:
        return
    try:
        async with asyncio.timeout(CHECK_BUDGET):
            person = await person_behind(context, interaction)
            refused = await would_refuse(context, interaction, person)
    except TimeoutError:
        open_view(context, interaction, form(interaction.shown))
        return
    if refused is None:
        open_view(context, interaction, form(interaction.shown))
    else:
        await refuse(context, interaction, person, refused)


async def would_refuse(context: Context, interaction: Interaction, person: Person) -> CountersignError | None:
    """Why a decision on what was shown would be refused now, or None."""
    assert interaction.shown is not None
    view = await approval_view(context.database, interaction.shown.approval_request_id)
    if view is None:
        return NotFound()
    approval = view.approval
    try:
        may_decide(
            approval.policy,
            requested_by=approval.requested_by,
            by=person.actor,
            via=Via.slack,
            widened=bool(approval.widened),
        )
    except CountersignError as error:
        return error
    if not approval.pending:
        return already_resolved(approval)
    if interaction.shown.digest != approval.digest:
        return StaleDigest()
    return None

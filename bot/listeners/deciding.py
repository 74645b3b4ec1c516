"""Decide, then acknowledge: one operation within the time that a click has, and an answer where it changed nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

import structlog

from agent_runtime.core.approval import ApprovalRequest
from agent_runtime.core.epochs import unknown
from agent_runtime.core.principal import Actor, Via
from agent_runtime.delivery.views import approval_view
from agent_runtime.errors import (
    AlreadyResolved,
    ApprovalExpired,
    CountersignError,
    NotAuthorized,
    NotFound,
    StaleDigest,
)
from agent_runtime.operations.resolve import record_refused
from agent_runtime.store.epochs import EPOCHS
from agent_runtime.store.tx import Tx
from agent_runtime.trouble import report
from bot.listeners.answers import answer, tell, turn
from bot.listeners.context import Context
from bot.listeners.interaction import Interaction
from bot.slack.directory import Person
from bot.slack.repaint import repaint
from bot.ui.refusals import NOT_CONFIRMED, message, refusal

log = structlog.get_logger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

STALE = (AlreadyResolved, ApprovalExpired, StaleDigest)
"""Refusals that mean that the message shows what is no more."""


class NotConfirmed(Exception):
    """The database has not answered in time; the write goes on, and may be committed."""


async def within_time(
    context: Context,
    interaction: Interaction,
    person: Person,
    operation: Callable[Concatenate[Tx, P], R],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> R:
    """Commits `operation` before the click has to be answered.

    Raises what the operation raises, or NotConfirmed; then the write goes on, and a refusal that comes later is told.
    """
    writing = asyncio.ensure_future(context.database.write(operation, *args, **kwargs))
    left = interaction.until - asyncio.get_running_loop().time()
    done, _ = await asyncio.wait({writing}, timeout=max(0.05, left))
    if done:
        return writing.result()
    context.later.spawn(_late(context, interaction, person, writing), "slack-late-decision")
    raise NotConfirmed()


async def refuse(context: Context, interaction: Interaction, person: Person, error: CountersignError) -> None:
    """Tells the person why nothing changed, and has drawn anew what shows what is no more; in the background.

    While the same is being told for an earlier click it is told once. Raises Overloaded where it could not be told.
    """
    about = interaction.shown.approval_request_id if interaction.shown else ""
    same = (person.actor.principal, about, interaction.channel, interaction.ts, error.slug)
    if not context.later.under_way(same):
        refusing = _refuse(context, interaction, person, error, turn(context, interaction.user))
        context.later.spawn(refusing, "slack-refusal", name=same, person=interaction.user)


def say_not_confirmed(context: Context, interaction: Interaction) -> None:
    """Nobody knows yet: no success is shown, and clicking again is safe."""
    say(context, interaction, f"⚠️ {NOT_CONFIRMED}")


def say(context: Context, interaction: Interaction, mrkdwn: str) -> None:
    """Tells the person something beside what they clicked, or directly where that cannot be."""
    tell(
        context,
        interaction.user,
        message(mrkdwn),
        channel=interaction.channel,
        thread_ts=interaction.answer_thread,
    )


async def _late(context: Context, interaction: Interaction, person: Person, writing: asyncio.Future[R]) -> None:
    try:
        await writing
    except CountersignError as error:
        await _refuse(context, interaction, person, error, turn(context, interaction.user))


def _record(tx: Tx, approval: ApprovalRequest, *, by: Actor, reason: str) -> None:
    """An attempt that was refused before it came to a decision, such as a form that was not opened."""
    record_refused(tx, approval=approval, by=by, via=Via.slack, reason=reason)


async def _refuse(
    context: Context, interaction: Interaction, person: Person, error: CountersignError, wait: float
) -> None:
    log.info(
        "slack: refused",
        principal=person.actor.principal,
        approval=interaction.shown.approval_request_id if interaction.shown else "",
        reason=error.slug,
    )
    approval = None
    if interaction.shown is not None:
        try:
            if isinstance(error, NotFound):
                epochs = await context.database.all(EPOCHS)
                error = unknown("approval", interaction.shown.approval_request_id, epochs)
            view = await approval_view(context.database, interaction.shown.approval_request_id)
            approval = view.approval if view is not None else None
            if isinstance(error, NotAuthorized) and error.leaves is None and approval is not None:
                await context.database.write(_record, approval, by=person.actor, reason=error.message)
            if isinstance(error, STALE) and interaction.topic and approval is not None:
                shown = (interaction.topic, approval.approval_request_id, interaction.channel, interaction.ts)
                await context.database.write(repaint, *shown)
        except CountersignError as failed:
            report(log, "slack: could not record a refusal, or redraw what is over", failed)
    await answer(
        context,
        interaction.user,
        refusal(error, approval, context.workspace(), groups_known=person.groups_known),
        channel=interaction.channel,
        thread_ts=interaction.answer_thread,
        wait=wait,
    )

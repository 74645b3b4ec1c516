"""`@bot help`, `agents`, `status`, `cancel`."""

from __future__ import annotations

from agent_runtime.core.execution import Execution
from agent_runtime.core.principal import Actor, Via
from agent_runtime.errors import CountersignError
from agent_runtime.operations.cancel import cancel
from agent_runtime.store.executions import OF_CONVERSATION
from agent_runtime.store.serving import no_worker
from bot.listeners.answers import tell
from bot.listeners.context import Context
from bot.listeners.said import Said
from bot.ui import help
from bot.ui.refusals import message

LOOKED_BACK = 20
"""Runs of a thread that `status` and `cancel` look at."""


async def run(context: Context, said: Said, by: Actor, command: str, agents: list[str]) -> None:
    """Answers the person alone."""
    if command == "status":
        answer = await _status(context, said)
    elif command == "cancel":
        answer = await _cancel(context, said, by)
    elif command == "agents":
        answer = help.agents(agents, context.settings.default_agent)
    else:
        answer = help.usage(agents)
    tell(context, said.origin.user, message(answer), channel=said.origin.channel, thread_ts=said.answer_thread)


async def _status(context: Context, said: Said) -> str:
    runs = await _runs(context, said)
    going_on = {execution.agent for execution in runs if not execution.terminal}
    unserved = {agent for agent in going_on if await no_worker(context.database, agent)}
    return help.status(runs, context.workspace(), unserved)


async def _runs(context: Context, said: Said) -> list[Execution]:
    return await context.database.all(OF_CONVERSATION, b_conversation=said.origin.conversation_id, b_limit=LOOKED_BACK)


async def _cancel(context: Context, said: Said, by: Actor) -> str:
    """Cancels the person's own runs of this thread."""
    running = [execution for execution in await _runs(context, said) if not execution.terminal]
    own = [execution for execution in running if execution.requested_by == by.principal]
    cancelled: list[Execution] = []
    for execution in own:
        try:
            await context.database.write(
                cancel, execution.execution_id, by=by, via=Via.slack, reason="cancelled in Slack by who asked for it"
            )
        except CountersignError as error:
            if error.status >= 500:
                raise
            continue
        cancelled.append(execution)
    return help.cancelled(cancelled, others=len(running) - len(own))

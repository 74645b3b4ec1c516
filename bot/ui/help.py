"""Answers to `@bot help` and its like, and to mentions that start nothing; mrkdwn."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from agent_runtime.core.execution import Execution, ExecutionStatus
from bot.ui.progress import STATUS
from bot.ui.text import Workspace, code, moment, person

SHOWN = 30


def usage(agents: Sequence[str]) -> str:
    """What one can say."""
    lines = [
        "Mention me with what an agent is to do; calls that need it wait for a person's approval.",
        "• `@me [agent] what to do` — starts a run in this thread; without a name the default agent runs",
        "• `@me agents` — which agents there are",
        "• `@me status` — the runs of this thread",
        "• `@me cancel` — cancels your runs of this thread",
        "• `/approvals` — what waits for a decision",
        "",
        _agents(agents),
    ]
    return "\n".join(lines)


def agents(names: Sequence[str], default: str) -> str:
    """Which agents there are."""
    runs = f" Without a name {code(default)} runs." if default in names else ""
    return _agents(names) + runs


def which_agent(names: Sequence[str]) -> str:
    """A mention without an agent's name where there is no default."""
    return f"🤔 Which agent? Begin with its name: `@me agent what to do`. {_agents(names)}"


def no_prompt(agent: str) -> str:
    """A mention that says nothing but an agent's name."""
    return f"🤔 What is {code(agent)} to do? Write it behind the name."


def status(executions: Sequence[Execution], workspace: Workspace, unserved: Collection[str] = ()) -> str:
    """The runs of a thread, newest first; `unserved` are the agents that no live worker has."""
    if not executions:
        return "Nothing has been started in this thread."
    lines = []
    for execution in executions[:SHOWN]:
        icon, word = STATUS[ExecutionStatus(execution.status)]
        lines.append(
            f"{icon} *{word}* · {code(execution.agent)} · {person(execution.requested_by, workspace)} · "
            f"{moment(execution.created_at)}"
        )
    stuck = sorted({execution.agent for execution in executions[:SHOWN] if not execution.terminal} & {*unserved})
    if stuck:
        names = ", ".join(code(name) for name in stuck)
        lines.append(
            f"⚠️ No worker serves {names} now, so nothing of it goes on: start `countersign serve --agents …` with it. "
            "Decisions count nevertheless."
        )
    return "\n".join(lines)


def cancelled(executions: Sequence[Execution], *, others: int) -> str:
    """What `cancel` did."""
    if executions:
        names = ", ".join(code(execution.agent) for execution in executions)
        return f"🚫 *Cancelled:* {names}."
    if others:
        return "Only who asked for a run may cancel it here, and none of these runs is yours."
    return "Nothing is running in this thread."


def _agents(names: Sequence[str]) -> str:
    if not names:
        return "No agent has been deployed yet: start `countersign serve --agents module:agent`."
    rest = len(names) - SHOWN
    return "Agents: " + ", ".join(code(name) for name in names[:SHOWN]) + (f" and {rest} more." if rest > 0 else ".")

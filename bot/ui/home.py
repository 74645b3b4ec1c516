"""The App Home and the answer to `/approvals`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from agent_runtime.core.approval import ApprovalRequest
from agent_runtime.core.duration import in_words
from agent_runtime.core.execution import Execution, ExecutionStatus
from agent_runtime.core.wording import state, summary
from bot.ui import actions as ids
from bot.ui import buttons
from bot.ui.blocks import actions, button, context, divider, header, section
from bot.ui.message import Block, Blocks, Message
from bot.ui.progress import STATUS
from bot.ui.text import Workspace, code, moment, person


class Concerns(Protocol):
    """What concerns one person; `links` lead to cards, by approval."""

    @property
    def waiting(self) -> Sequence[ApprovalRequest]: ...
    @property
    def total(self) -> int: ...
    @property
    def page(self) -> int: ...
    @property
    def pages(self) -> int: ...
    @property
    def mine(self) -> Sequence[Execution]: ...
    @property
    def recent(self) -> Sequence[ApprovalRequest]: ...
    @property
    def links(self) -> Mapping[str, str]: ...


def home(concerns: Concerns, workspace: Workspace, now: int) -> Blocks:
    """Waiting on me, mine, recent."""
    blocks: Blocks = [header(f"Waiting on me ({concerns.total})")]
    blocks += _waiting(concerns, workspace, now)
    blocks += _pager(concerns)
    blocks += [divider(), header("Mine")]
    blocks += _rows([_run(execution, now) for execution in concerns.mine], "You have not asked for anything yet.")
    blocks += [divider(), header("Recent")]
    recent = [_decided(approval, concerns, workspace) for approval in concerns.recent]
    blocks += _rows(recent, "Nothing has been decided yet.")
    return [*blocks, context(f"As of {moment(now)}. Open this tab again to refresh it.")]


def listing(concerns: Concerns, workspace: Workspace, now: int) -> Message:
    """What waits on one person, in a message."""
    count = concerns.total
    head = f"{count} approval{'' if count == 1 else 's'} wait{'s' if count == 1 else ''} on you."
    blocks: Blocks = [section(f"*{head}*"), *_waiting(concerns, workspace, now)]
    if concerns.pages > 1:
        blocks.append(context("The others are in my Home tab."))
    return Message(head, blocks)


def _waiting(concerns: Concerns, workspace: Workspace, now: int) -> Blocks:
    """The oldest first, each with what it needs: Review, or for a call in doubt a way to its card."""
    if not concerns.waiting:
        return [section("Nothing waits on you. 🎉")]
    blocks: Blocks = []
    for approval in concerns.waiting:
        blocks.append(section(_asked(approval, concerns, workspace, now)))
        if approval.kind != "in_doubt":
            blocks.append(actions(ids.card_block_id(approval.approval_request_id), [buttons.review(approval)]))
    return blocks


def _asked(approval: ApprovalRequest, concerns: Concerns, workspace: Workspace, now: int) -> str:
    icon, word = state(approval)
    waited = in_words(now - approval.created_at)
    expires = f" · expires {moment(approval.expires_at)}" if approval.expires_at is not None else ""
    risk = " · *high risk*" if approval.policy.risk == "high" else ""
    return (
        f"{icon} *{word}:* {code(summary(approval, 150), 200)}{_link(approval, concerns)}\n"
        f"requested by {person(approval.requested_by, workspace)} · waits for {waited}{expires}{risk}"
    )


def _decided(approval: ApprovalRequest, concerns: Concerns, workspace: Workspace) -> str:
    icon, word = state(approval)
    by = f" by {person(approval.decided_by, workspace)}" if approval.status != "expired" else ""
    when = f" · {moment(approval.resolved_at)}" if approval.resolved_at is not None else ""
    return f"{icon} *{word}*{by}: {code(summary(approval, 120), 160)}{_link(approval, concerns)}{when}"


def _run(execution: Execution, now: int) -> str:
    icon, word = STATUS[ExecutionStatus(execution.status)]
    return f"{icon} *{word}* · agent {code(execution.agent)} · {in_words(now - execution.created_at)} ago"


def _link(approval: ApprovalRequest, concerns: Concerns) -> str:
    url = concerns.links.get(approval.approval_request_id)
    return f" · <{url}|card>" if url else ""


def _rows(lines: Sequence[str], otherwise: str) -> Blocks:
    return [section(line) for line in lines] or [section(otherwise)]


def _pager(concerns: Concerns) -> list[Block]:
    if concerns.pages <= 1:
        return []
    turns: list[dict[str, Any]] = []
    if concerns.page > 0:
        turns.append(button(ids.HOME_EARLIER, "◀ Earlier", str(concerns.page - 1), label="The page before"))
    if concerns.page < concerns.pages - 1:
        turns.append(button(ids.HOME_LATER, "Later ▶", str(concerns.page + 1), label="The next page"))
    where = context(f"Page {concerns.page + 1} of {concerns.pages}, the oldest first")
    return [where, actions("home.pages", turns)]

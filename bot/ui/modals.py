"""The modals: a reason, wanted changes, the review of everything, what became of a call in doubt, details."""

from __future__ import annotations

from typing import Any

from agent_runtime.core.approval import Kind
from agent_runtime.core.policy import eligible_reviewers
from agent_runtime.core.wording import (
    PREVIEW,
    all_arguments,
    headline,
    preview,
    subject,
    warnings,
    words_of_agent,
    words_title,
)
from agent_runtime.delivery.notifier import ApprovalView
from bot.ui import actions as ids
from bot.ui.actions import Shown, view_value
from bot.ui.blocks import context, divider, fields, header, modal, preformatted, quoted, said, section, text_input
from bot.ui.card import card_facts
from bot.ui.limits import BLOCKS_IN_VIEW, VIEW_SIZE
from bot.ui.message import Block, Blocks
from bot.ui.text import Workspace, plain, reviewers

INPUT = "answer"
"""The block_id of a modal's (first) text input."""

EVIDENCE = "evidence"

_CHUNK = 2800
_WORDS = 2500
_PREVIEW_LINES = 200
_OTHER_BLOCKS = 20


def reject(shown: Shown) -> dict[str, Any]:
    """Asks for the reason of a rejection; opens whole, without a look-up."""
    ask = text_input(INPUT, "Why not?", hint="The requester and the agent read this, word for word.")
    return modal(ids.REJECT_SUBMIT, "Reject", [ask], view_value(shown), submit="Reject")


def request_changes(shown: Shown) -> dict[str, Any]:
    """Asks what should be different; opens whole, without a look-up."""
    ask = text_input(INPUT, "What should be different?", hint="The agent reads this and may propose the call again.")
    return modal(ids.REQUEST_CHANGES_SUBMIT, "Request changes", [ask], view_value(shown), submit="Send")


def review(view: ApprovalView, workspace: Workspace, shown: Shown, now: int) -> dict[str, Any]:
    """Everything, and approval; where even a modal cannot hold it, it says where else to decide."""
    approval = view.approval
    blocks = _everything(view, workspace, now)
    if blocks is None:
        elsewhere = f"countersign approvals show {approval.approval_request_id}"
        text = f"This call is too large to be read in Slack. Read and decide it on the command line: {elsewhere}"
        return modal(ids.DETAILS_VIEW, "Review", [header(headline(approval)), said(text)], view_value(shown))
    comment = text_input(INPUT, "Comment", optional=True, hint="Recorded with your approval.")
    return modal(ids.REVIEW_SUBMIT, "Review", [*blocks, divider(), comment], view_value(shown), submit="Approve")


def details(view: ApprovalView, workspace: Workspace, shown: Shown, now: int) -> dict[str, Any]:
    """Everything, to be read."""
    blocks = _everything(view, workspace, now) or [said("This call is too large to be shown in Slack.")]
    return modal(ids.DETAILS_VIEW, "Details", blocks, view_value(shown))


def happened(shown: Shown, tool_name: str) -> dict[str, Any]:
    """Asks what a call in doubt returned, and how that is known."""
    blocks = [
        text_input(
            INPUT,
            f"What did {plain(tool_name, 80)} return?",
            hint="JSON, or plain text. The agent goes on with it as the call's own result.",
        ),
        text_input(EVIDENCE, "How do you know?", hint="Recorded with your answer.", optional=True),
    ]
    return modal(ids.HAPPENED_SUBMIT, "It happened", blocks, view_value(shown), submit="Record")


def notice(title: str, mrkdwn: str) -> dict[str, Any]:
    """What a modal turns into where its submission cannot be taken."""
    return modal(ids.DETAILS_VIEW, title, [section(mrkdwn)], "{}")


def _everything(view: ApprovalView, workspace: Workspace, now: int) -> Blocks | None:
    """All that a decision needs, whole; None where a modal cannot hold the arguments."""
    approval = view.approval
    chunks = _chunks(all_arguments(approval))
    if len(chunks) > BLOCKS_IN_VIEW - _OTHER_BLOCKS:
        return None
    blocks: Blocks = [header(headline(approval)), fields(card_facts(view, workspace, now))]
    if len(approval.title) > 100:
        blocks.append(said(plain(subject(approval), _WORDS)))
    blocks += [quoted("⚠️ Warning", plain(warning, 400)) for warning in warnings(approval)]
    blocks.append(section("*What happened?*" if approval.kind == Kind.in_doubt else "*What would run, all of it:*"))
    blocks += chunks
    would_do = preview(approval, _PREVIEW_LINES, _WORDS)
    if would_do is not None:
        blocks.append(quoted(PREVIEW, would_do.text))
    words = words_of_agent(approval)
    if words:
        blocks.append(quoted(words_title(approval), plain(words, _WORDS, multiline=True)))
    eligible = reviewers(eligible_reviewers(approval.policy, bool(approval.widened)), workspace)
    blocks.append(context(f"May decide: {eligible or 'nobody'}", f"Digest `{approval.digest}`"))
    return blocks if sum(_bytes(block) for block in blocks) < VIEW_SIZE - 10_000 else None


def _chunks(text: str) -> Blocks:
    """The tree in blocks that break between lines."""
    blocks: Blocks = []
    chunk = ""
    for line in text.split("\n"):
        pieces = [line[start : start + _CHUNK] for start in range(0, len(line), _CHUNK)] or [""]
        for piece in pieces:
            if chunk and len(chunk) + len(piece) >= _CHUNK:
                blocks.append(preformatted(chunk))
                chunk = piece
            else:
                chunk = f"{chunk}\n{piece}" if chunk else piece
    return [*blocks, preformatted(chunk)]


def _bytes(block: Block) -> int:
    return len(ids.as_json(block).encode())

"""What became of the approved call, for the card."""

from __future__ import annotations

import json

from agent_runtime.core.approval import ApprovalRequest, ApprovalStatus, Kind
from agent_runtime.core.execution import Step, StepStatus
from agent_runtime.core.permit import Permit
from agent_runtime.core.wording import PERMITS, value_of
from agent_runtime.delivery.notifier import ApprovalView
from bot.ui.blocks import preformatted, quoted, section
from bot.ui.limits import FOLDED_CHARACTERS, FOLDED_LINES
from bot.ui.message import Blocks
from bot.ui.text import plain

ERROR_LIMIT = 600


def outcome_blocks(view: ApprovalView) -> Blocks:
    """The execution's side of an approval that has ended; nothing where nothing was to run."""
    approval, step = view.approval, view.step
    if view.permit is not None:
        return _of_permit(approval, view.permit)
    if approval.status != ApprovalStatus.approved or approval.kind != Kind.tool or step is None:
        return []
    if step.approval_request_id != approval.approval_request_id:
        return [section("↩️ *Asked again:* a newer card stands for this call.")]
    return _of_step(approval, step)


def _of_permit(approval: ApprovalRequest, permit: Permit) -> Blocks:
    """What whoever asked says became of the call; nobody here saw it run."""
    icon, word, sentence = PERMITS[permit.status]
    blocks: Blocks = [section(f"{icon} *{word}:* {sentence}")]
    if permit.result is None:
        return blocks
    shown = value_of(approval, json.loads(permit.result), FOLDED_LINES, FOLDED_CHARACTERS)
    return [*blocks, preformatted(shown)]


def _of_step(approval: ApprovalRequest, step: Step) -> Blocks:
    result = json.loads(step.result or "{}")
    if step.status == StepStatus.succeeded:
        shown = value_of(approval, result.get("value"), FOLDED_LINES, FOLDED_CHARACTERS)
        return [section("✅ *The call ran.* It returned:"), preformatted(shown)]
    if step.status == StepStatus.failed:
        error = plain(str(result.get("error", "unknown")), ERROR_LIMIT, multiline=True)
        return [quoted("❌ The call ran and failed", error)]
    if step.status == StepStatus.started:
        return [section("▶️ *Running:* the call has been started.")]
    if step.status == StepStatus.in_doubt:
        return [section("❓ *In doubt:* nobody knows whether the call took effect; a newer card asks.")]
    if step.status == StepStatus.approved:
        return [section("⏳ *Next:* the call is about to run.")]
    return []

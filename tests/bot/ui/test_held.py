"""A run that an operator has stopped says so: in its progress, and on the card of the call that waits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent_runtime.delivery.notifier import ApprovalView, ExecutionView
from bot.ui.card import card
from bot.ui.progress import progress
from bot.ui.text import Workspace
from tests.samples import NOW, an_approval, an_execution

WORKSPACE = Workspace("T1")


@pytest.mark.parametrize(
    ("held_for", "says"),
    [("all", "stopped everything"), ("agent:x", "the agent `x`"), ("tool:y", "the tool `y`"), ("restore", "restored")],
)
def test_progress_says_why_nothing_moves(held_for: str, says: str) -> None:
    shown = progress(ExecutionView(an_execution(status="queued"), held_for=held_for), WORKSPACE, {})
    assert says in str(shown.blocks)
    assert "⏸️" not in str(progress(ExecutionView(an_execution()), WORKSPACE, {}).blocks)


def test_an_approved_card_says_that_its_call_waits() -> None:
    approved = an_approval(status="approved", resolved_at=NOW, resolution={"by": "slack:T1:U1", "via": "slack"})
    view = ApprovalView(approved, execution=an_execution(), held_for="tool:refund")
    assert "an operator has stopped the tool `refund`" in str(card(view, WORKSPACE, NOW).blocks)
    started = replace(view, approval=an_approval(status="approved", resolved_at=NOW, consumed_at=NOW, resolution={}))
    assert "⏸️" not in str(card(started, WORKSPACE, NOW).blocks)

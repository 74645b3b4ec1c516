"""Cards of outside agents: what they say is theirs, and never the runtime's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent_runtime.core.approval import ApprovalRequest, Kind
from agent_runtime.core.canonical import canonical
from agent_runtime.core.permit import Permit, PermitStatus
from agent_runtime.core.wording import PERMITS
from agent_runtime.delivery.notifier import ApprovalView
from bot.ui import actions
from bot.ui.card import card
from bot.ui.message import Message
from tests.bot.ui.checks import check_message, elements
from tests.bot.ui.views import NASTY, NOW, WORKSPACE, approval

UNCHECKED = "nobody has checked"


def asked(**fields: Any) -> ApprovalRequest:
    """An outside agent's approval, as operations.ask writes it."""
    said = fields.pop("asserted", {})
    given = approval(kind=Kind.external.value, agent="", agent_version="", requested_by="api:crew", **fields)
    return given._replace(execution_id=None, position=None, context=canonical({"asserted": said}) if said else None)


def drawn(of: ApprovalRequest, permit: Permit | None = None) -> Message:
    message = card(ApprovalView(of, permit=permit), WORKSPACE, NOW)
    check_message(message)
    return message


def text_of(message: Message) -> str:
    return json.dumps(message.blocks, ensure_ascii=False)


def test_a_card_names_the_token_and_no_agent() -> None:
    shown = text_of(drawn(asked()))
    assert "api:crew" in shown
    assert "*Agent*" not in shown
    assert "whoever asked may run it" in shown


def test_what_it_says_stands_under_its_own_name() -> None:
    said = {"requested_by": "slack:T0HOME:U0BOSS", "context": {"why": "the board approved", "password": "hunter2"}}
    shown = text_of(drawn(asked(asserted=said)))
    before, label, words = shown.partition("The asker's own words (nobody has checked them)")
    assert label
    assert "the board approved" in words
    assert "the board approved" not in before
    assert "It says it asks for: slack:T0HOME:U0BOSS" in words
    assert "<@U0BOSS>" not in shown
    assert "hunter2" not in shown


@pytest.mark.parametrize("text", NASTY)
def test_nothing_that_it_says_is_markup(text: str) -> None:
    said = {"requested_by": text, "title": text, "context": {"note": text, "deep": [{"x": text}]}}
    drawn(asked(asserted=said, preview=canonical({"title": text, "warnings": [text]}), title=text))


def test_a_preview_is_shown_as_unchecked_and_a_long_one_needs_the_review() -> None:
    short = drawn(asked(preview=canonical({"title": "Delete 12 rows"})))
    assert "Delete 12 rows" in text_of(short)
    assert UNCHECKED in text_of(short)
    assert actions.APPROVE in elements(short.blocks)
    long = drawn(asked(preview=canonical({"facts": {f"fact {number}": "x" * 50 for number in range(60)}})))
    assert actions.APPROVE not in elements(long.blocks)
    assert actions.REVIEW in elements(long.blocks)


@pytest.mark.parametrize("status", PermitStatus)
def test_an_approved_card_says_what_became_of_the_call(status: PermitStatus) -> None:
    resolution = {"by": "slack:T0HOME:U0REVIEWER", "via": "slack", "feedback": ""}
    of = asked()._replace(status="approved", resolved_at=NOW, resolution=resolution)
    permit = Permit(of.approval_request_id, "", "", "api:crew", of.digest, status.value, NOW, NOW, NOW, '{"token":"t"}')
    shown = text_of(drawn(of, permit))
    assert PERMITS[status][1] in shown
    assert '"t"' not in shown


def test_a_call_in_doubt_offers_to_say_what_happened() -> None:
    doubt = asked()._replace(kind=Kind.in_doubt.value)
    message = drawn(doubt)
    assert {actions.HAPPENED, actions.NOT_HAPPENED, actions.STOP} <= set(elements(message.blocks))
    assert "execution ends" not in text_of(message)

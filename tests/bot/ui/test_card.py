"""Cards: what they say, and what no input makes them say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings

from agent_runtime.core.approval import ApprovalStatus, Kind
from agent_runtime.core.canonical import canonical
from agent_runtime.core.duration import HOUR
from agent_runtime.core.policy import Policy
from agent_runtime.delivery.notifier import ApprovalView
from bot.ui import actions
from bot.ui.actions import read_value
from bot.ui.card import card, fits_on_card, minimal_card
from bot.ui.text import clock, moment
from tests.bot.ui.checks import check_message, elements, objects, words
from tests.bot.ui.views import NOW, WORKSPACE, approval, approval_views, ended, step

DECIDING = {actions.APPROVE, actions.REJECT, actions.REQUEST_CHANGES}


def drawn(view: ApprovalView) -> Any:
    return card(view, WORKSPACE, NOW)


@settings(max_examples=60, deadline=None)
@given(approval_views())
def test_slack_takes_every_card(view: ApprovalView) -> None:
    check_message(drawn(view))
    check_message(minimal_card(view, WORKSPACE))


@settings(max_examples=60, deadline=None)
@given(approval_views(pending=False))
def test_a_card_that_is_over_has_no_buttons(view: ApprovalView) -> None:
    assert elements(drawn(view).blocks) == []
    assert elements(minimal_card(view, WORKSPACE).blocks) == []


@settings(max_examples=60, deadline=None)
@given(approval_views(pending=True))
def test_approval_is_offered_only_where_all_is_seen(view: ApprovalView) -> None:
    offered = elements(drawn(view).blocks)
    asked = view.approval
    if asked.kind == Kind.in_doubt:
        assert not DECIDING & set(offered)
        assert actions.STOP in offered
    elif asked.policy.risk == "high" or not fits_on_card(asked):
        assert actions.APPROVE not in offered
        assert offered[0] == actions.REVIEW
    else:
        assert offered[:3] == [actions.APPROVE, actions.REJECT, actions.REQUEST_CHANGES]


@settings(max_examples=60, deadline=None)
@given(approval_views(pending=True))
def test_buttons_carry_the_approval_and_what_is_shown(view: ApprovalView) -> None:
    message = drawn(view)
    for item in objects(message.blocks):
        if item.get("type") == "button":
            shown = read_value(item["value"])
            assert shown is not None
            assert (shown.approval_request_id, shown.digest) == (
                view.approval.approval_request_id,
                view.approval.digest,
            )
        if item.get("type") == "overflow":
            assert all(option["value"] in {"details", "extend"} for option in item["options"])


@settings(max_examples=60, deadline=None)
@given(approval_views())
def test_one_rich_text_block_at_least(view: ApprovalView) -> None:
    """Slack refuses to replace blocks with rich text by blocks without (`block_mismatch`)."""
    assert any(block["type"] == "rich_text" for block in drawn(view).blocks)
    assert any(block["type"] == "rich_text" for block in minimal_card(view, WORKSPACE).blocks)


def test_pending() -> None:
    message = drawn(ApprovalView(approval(context=canonical({"words": "Delivered broken."}))))
    said = words(message.blocks)
    assert message.blocks[0]["text"]["text"] == "⏳ Approval needed: process_refund"
    for part in (
        "<@U0ALEX>",
        "`refund_agent`",
        "<@U0REVIEWER>",
        "0 of 1",
        "Normal",
        'order_id: "ORD-8821"',
        "amount: 29.99",
    ):
        assert part in said
    assert clock(NOW + 30 * 60 * 1_000_000) in said
    assert said.index("amount: 29.99") < said.index("The agent's own words") < said.index("Delivered broken.")
    assert message.text.startswith('Approval needed: process_refund amount 29.99, order_id "ORD-8821"')
    assert elements(message.blocks) == [actions.APPROVE, actions.REJECT, actions.REQUEST_CHANGES, actions.DETAILS]


def test_approve_asks_once_more_and_says_what_runs() -> None:
    button = drawn(ApprovalView(approval())).blocks[-2]["elements"][0]
    assert "ORD-8821" in button["confirm"]["text"]["text"]
    assert button["style"] == "primary"


def test_a_title_comes_first() -> None:
    message = drawn(ApprovalView(approval(title="Delete 12,000 rows from prod.orders")))
    assert message.blocks[0]["text"]["text"] == "⏳ Approval needed: Delete 12,000 rows from prod.orders"
    assert "Delete 12,000 rows from prod.orders" in message.text[:100]


def test_groups_are_mentioned() -> None:
    asked = approval(policy=Policy(reviewers=("S0GROUP", "@dba", "@unknown", "a@example.com", "api:ci")))
    said = words(drawn(ApprovalView(asked)).blocks)
    assert "<!subteam^S0GROUP>, <!subteam^S0DBA>, `@unknown`, `a@example.com`, `api:ci`" in said


def test_why_people_are_asked() -> None:
    policy = Policy(reviewers=("U0REVIEWER",), rules=("checkpoint:delete-records", "tool:delete_rows"))
    said = words(drawn(ApprovalView(approval(policy=policy))).blocks)
    assert "checkpoint `delete-records`, the tool asks for it" in said


def test_when_it_escalates() -> None:
    policy = Policy(reviewers=("U0REVIEWER",), escalate_after=HOUR, escalate_to=("U0OTHER",))
    said = words(drawn(ApprovalView(approval(policy=policy))).blocks)
    assert f"*Escalates*\n{moment(NOW + HOUR // 2)}" in said
    escalated = words(drawn(ApprovalView(approval(policy=policy, widened=1))).blocks)
    assert "*Escalated*" in escalated
    assert "<@U0REVIEWER>, <@U0OTHER>" in escalated


def test_nobody_may_decide() -> None:
    said = words(drawn(ApprovalView(approval(policy=Policy()))).blocks)
    assert "Nobody may decide this here" in said
    assert "COUNTERSIGN_REVIEWERS" in said


def test_arguments_too_long_to_be_seen() -> None:
    message = drawn(ApprovalView(approval(arguments=canonical({"sql": "DELETE FROM a;\n" * 40}))))
    assert elements(message.blocks)[0] == actions.REVIEW
    assert "Cut here" in words(message.blocks)


def test_secrets_are_masked() -> None:
    policy = Policy(reviewers=("U0REVIEWER",), redact=("card.number",))
    secret = {"card": {"number": "4000 0000 0000 0000"}, "password": "hunter22"}
    message = drawn(ApprovalView(approval(arguments=canonical(secret), policy=policy)))
    everything = json.dumps(message.blocks) + message.text
    assert "4000" not in everything
    assert "hunter22" not in everything
    assert "[redacted]" in everything


def test_lookalikes_are_pointed_out() -> None:
    said = words(drawn(ApprovalView(approval(arguments=canonical({"to": "раypal"})))).blocks)
    assert "Warning" in said
    assert "Cyrillic" in said


def test_before_its_clock_runs_it_shows_when_it_will_expire() -> None:
    asked = approval(clock_started_at=None, expires_at=None)
    assert clock(NOW + 60 * 60 * 1_000_000) in words(drawn(ApprovalView(asked)).blocks)


@pytest.mark.parametrize(
    ("status", "word"),
    [
        ("approved", "✅ *Approved* by <@U0REVIEWER> in Slack after 30 min"),
        ("rejected", "⛔ *Rejected* by <@U0REVIEWER> in Slack after 30 min"),
        ("request_changes", "✏️ *Changes requested* by <@U0REVIEWER> in Slack after 30 min"),
    ],
)
def test_decided(status: str, word: str) -> None:
    message = drawn(ApprovalView(ended(status, feedback="Only 20, please.")))
    said = words(message.blocks)
    assert word in said
    assert clock(NOW) in said
    assert "Only 20, please." in said


def test_decided_through_another_door() -> None:
    said = words(
        drawn(ApprovalView(ended("approved", by="api:ci", via="api", resolution={"asserted_by": "Mallory"}))).blocks
    )
    assert "by `api:ci`, who says to be `Mallory` through the API" in said


def test_expired() -> None:
    message = drawn(ApprovalView(ended("expired", by="system", via="expiry")))
    assert "⌛ *Expired:* nobody decided in time. Nothing runs." in words(message.blocks)


def test_edited_arguments_are_those_that_run() -> None:
    edited = {"edited_arguments": canonical({"amount": 20})}
    said = words(drawn(ApprovalView(ended("approved", resolution=edited))).blocks)
    assert "edited the arguments" in said
    assert "amount: 20" in said
    assert "29.99" not in said


@pytest.mark.parametrize(
    ("of_step", "word"),
    [
        (step("approved"), "about to run"),
        (step("started"), "Running"),
        (step("succeeded", {"value": {"refunded": True}}), "refunded: true"),
        (step("failed", {"error": "the till is empty"}), "the till is empty"),
        (step("in_doubt"), "In doubt"),
        (step("gated", approval_request_id="apr_2"), "Asked again"),
    ],
)
def test_what_became_of_the_call(of_step: Any, word: str) -> None:
    assert word in words(drawn(ApprovalView(ended("approved"), step=of_step)).blocks)


def test_a_reasoners_pause() -> None:
    asked = approval(
        kind="pause",
        tool_name="invoices.approve",
        title="Pay 12 invoices?",
        url="https://invoices.example/run/7",
        context=canonical({"notes": ["Checked the totals."]}),
    )
    message = drawn(ApprovalView(asked))
    said = words(message.blocks)
    assert "*Reasoner*" in said
    assert "Checked the totals.\nIts link (nobody has checked it): https://invoices.example/run/7" in said
    assert "it goes on at once" in said
    assert "Nothing runs" not in words(drawn(ApprovalView(ended("expired", kind="pause"))).blocks)


def test_in_doubt() -> None:
    doubt = approval(
        kind="in_doubt",
        title="In doubt: did process_refund happen?",
        context=canonical({"why": "the process died", "attempt": 1}),
    )
    message = drawn(ApprovalView(doubt))
    assert message.blocks[0]["text"]["text"] == "❓ In doubt: did process_refund happen?"
    assert elements(message.blocks) == [actions.HAPPENED, actions.NOT_HAPPENED, actions.STOP, actions.DETAILS]
    assert "the process died" in words(message.blocks)


def test_an_execution_in_doubt_has_no_result_to_tell() -> None:
    doubt = approval(kind="in_doubt", position=None, title="refund_agent failed 10 times without progress")
    assert elements(drawn(ApprovalView(doubt)).blocks) == [actions.NOT_HAPPENED, actions.STOP, actions.DETAILS]


@pytest.mark.parametrize("status", list(ApprovalStatus))
def test_state_is_a_word_and_an_icon(status: ApprovalStatus) -> None:
    shown = approval() if status == "pending" else ended(status.value)
    message = drawn(ApprovalView(shown))
    icon, word, *_ = message.blocks[0]["text"]["text"].split()
    assert not icon.isascii()
    assert word.rstrip(":").isalpha()
    assert message.text.startswith(word.rstrip(":"))

"""Progress, results, notes, modals, Home: Slack takes them whatever is in them."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_runtime.core.approval import ApprovalRequest
from agent_runtime.core.canonical import canonical
from agent_runtime.core.execution import Execution
from agent_runtime.delivery.notifier import ApprovalView, ExecutionView
from agent_runtime.errors import (
    AlreadyResolved,
    ApprovalExpired,
    CountersignError,
    NotAuthorized,
    NotFound,
    Overloaded,
    StaleDigest,
)
from bot.sandbox.blocks.validate import view_problems
from bot.ui import actions, help, modals
from bot.ui.actions import Shown, read_card_block_id, read_value, view_value
from bot.ui.home import home, listing
from bot.ui.notes import note, warning
from bot.ui.progress import progress, result
from bot.ui.refusals import NOT_CONFIRMED, refusal, refusal_in_form
from tests.bot.ui.checks import check_markup, check_message, check_view, elements, mrkdwn_of, words
from tests.bot.ui.views import (
    NOW,
    WORKSPACE,
    approval,
    approval_views,
    ended,
    execution,
    execution_views,
    step,
    text,
)

EVENTS = [
    "reminded",
    "escalated",
    "extended",
    "undeliverable",
    "approved",
    "rejected",
    "request_changes",
    "expired",
    "cancelled",
]


@settings(max_examples=50, deadline=None)
@given(approval_views(), st.sampled_from(EVENTS), st.booleans())
def test_slack_takes_every_note(view: ApprovalView, event: str, for_requester: bool) -> None:
    check_message(note(event, view, WORKSPACE, NOW, for_requester=for_requester))


@settings(max_examples=50, deadline=None)
@given(execution_views())
def test_slack_takes_every_progress_and_result(view: ExecutionView) -> None:
    check_message(progress(view, WORKSPACE, {"apr_1": "C0APPROVALS"}))
    check_message(result(view.execution, WORKSPACE))


@settings(max_examples=50, deadline=None)
@given(approval_views())
def test_slack_takes_every_modal(view: ApprovalView) -> None:
    shown = Shown(view.approval.approval_request_id, view.approval.digest, "C0APPROVALS", "1.2")
    check_view(modals.review(view, WORKSPACE, shown, NOW))
    check_view(modals.details(view, WORKSPACE, shown, NOW))
    check_view(modals.happened(shown, view.approval.tool_name))


@dataclass
class Concerns:
    waiting: list[ApprovalRequest]
    recent: list[ApprovalRequest]
    mine: list[Execution]
    total: int = 11
    page: int = 0
    pages: int = 2
    links: dict[str, str] = field(default_factory=lambda: {"apr_1": "https://home.slack.com/archives/C0/p1"})


@settings(max_examples=10, deadline=None)
@given(
    st.lists(approval_views(pending=True), max_size=4, unique_by=lambda view: view.approval.approval_request_id),
    st.lists(approval_views(pending=False), max_size=3),
    st.lists(execution_views(), max_size=3),
)
def test_slack_takes_every_home(
    waiting: list[ApprovalView], recent: list[ApprovalView], mine: list[ExecutionView]
) -> None:
    concerns = Concerns([v.approval for v in waiting], [v.approval for v in recent], [v.execution for v in mine])
    blocks = home(concerns, WORKSPACE, NOW)
    assert view_problems({"type": "home", "blocks": blocks}) == []
    check_markup(mrkdwn_of(blocks))
    check_message(listing(concerns, WORKSPACE, NOW))


@settings(max_examples=50, deadline=None)
@given(text, approval_views())
def test_slack_takes_every_refusal(reason: str, view: ApprovalView) -> None:
    for error in (
        NotAuthorized(reason),
        AlreadyResolved(reason),
        ApprovalExpired(reason),
        StaleDigest(),
        NotFound(),
        Overloaded(),
        CountersignError(reason),
    ):
        check_message(refusal(error, view.approval, WORKSPACE, groups_known=False))
        assert refusal_in_form(error, view.approval).strip()


def test_review_shows_everything_and_approves() -> None:
    sql = "\n".join(f"DELETE FROM orders WHERE id = {number};" for number in range(500))
    view = modals.review(ApprovalView(approval(arguments=canonical({"sql": sql}))), WORKSPACE, Shown("apr_1"), NOW)
    assert view["callback_id"] == actions.REVIEW_SUBMIT
    assert view["submit"]["text"] == "Approve"
    said = words(view["blocks"])
    assert all(f"id = {number};" in said for number in range(500))


def test_what_no_modal_can_hold_is_not_approved_in_slack() -> None:
    huge = canonical({"sql": "x" * 400_000})
    view = modals.review(ApprovalView(approval(arguments=huge)), WORKSPACE, Shown("apr_1"), NOW)
    assert "submit" not in view
    assert "countersign approvals show apr_1" in words(view["blocks"])
    check_view(view)


@pytest.mark.parametrize("form", [modals.reject, modals.request_changes])
def test_a_form_has_one_input(form: object) -> None:
    view = form(Shown("apr_1", "sha256:1", "C0APPROVALS", "1.2"))  # type: ignore[operator]
    assert [block["type"] for block in view["blocks"]] == ["input"]
    assert view["blocks"][0]["optional"] is False
    assert read_value(view["private_metadata"]) == Shown("apr_1", "sha256:1", "C0APPROVALS", "1.2")


@settings(deadline=None)
@given(st.one_of(text, st.integers(), st.none(), st.builds(view_value, st.builds(Shown, text, text, text, text))))
def test_values_that_are_not_ours_are_nothing(value: object) -> None:
    shown = read_value(value)
    assert shown is None or (actions.APPROVE and shown.approval_request_id.isascii())
    assert read_card_block_id(value) is None


def test_progress_says_where_it_waits() -> None:
    gated = step("gated")
    view = ExecutionView(
        execution("waiting"), [step("succeeded", name="get_order", approval_request_id=None), gated], [approval()]
    )
    said = words(progress(view, WORKSPACE, {"apr_1": "C0APPROVALS"}).blocks)
    assert "⏳ *Waiting for approval*" in said
    assert "✅ `get_order` — done" in said
    assert "⏳ `process_refund` — waits for approval in <#C0APPROVALS>" in said


def test_a_running_execution_with_an_open_question_waits() -> None:
    view = ExecutionView(execution("running"), [step("gated")], [approval()])
    assert "Waiting for approval" in progress(view, WORKSPACE, {}).text


def test_a_refused_call_says_why_it_did_not_run() -> None:
    view = ExecutionView(execution("running"), [step("refused")], [ended("rejected")])
    assert "⛔ `process_refund` — did not run: rejected" in words(progress(view, WORKSPACE, {}).blocks)


def test_a_result_mentions_who_asked_and_quotes_the_agent() -> None:
    done = execution("succeeded", result=canonical({"result": "Refunded <!channel> *now*"}))
    message = result(done, WORKSPACE)
    assert message.text.startswith("<@U0ALEX> Done: Refunded &lt;!channel&gt;")
    assert "Refunded <!channel> *now*" in words(message.blocks)
    assert not any("Refunded" in mrkdwn for mrkdwn in mrkdwn_of(message.blocks))


def test_a_failure_says_why() -> None:
    failed = execution("failed", error=canonical({"type": "X", "message": "the till is empty"}))
    assert "❌ *Failed*" in words(result(failed, WORKSPACE).blocks)
    assert "the till is empty" in words(result(failed, WORKSPACE).blocks)


def test_a_reminder_mentions_the_reviewers() -> None:
    message = note("reminded", ApprovalView(approval()), WORKSPACE, NOW, for_requester=False)
    assert "<@U0REVIEWER>" in words(message.blocks)
    assert "waited for 30 min" in words(message.blocks)


def test_a_warning_offers_more_time() -> None:
    message = warning(ApprovalView(approval()), WORKSPACE, NOW, 0)
    assert "Expires soon" in message.text
    assert elements(message.blocks) == [actions.EXTEND]
    assert elements(warning(ApprovalView(approval(extensions=3)), WORKSPACE, NOW, 3).blocks) == []


@pytest.mark.parametrize("status", ["approved", "rejected", "request_changes", "expired", "cancelled"])
@pytest.mark.parametrize("extensions", [0, None])
def test_a_warning_of_an_ended_approval_asks_for_nothing(status: str, extensions: int | None) -> None:
    message = warning(ApprovalView(ended(status)), WORKSPACE, NOW, extensions)
    assert elements(message.blocks) == []
    assert "It was about to expire" in message.text


@pytest.mark.parametrize("extensions", [0, None])
def test_a_warning_before_more_time_was_given_asks_for_nothing(extensions: int | None) -> None:
    message = warning(ApprovalView(approval(extensions=1)), WORKSPACE, NOW, extensions)
    assert elements(message.blocks) == []
    assert "More time was given" in message.text


@settings(max_examples=50, deadline=None)
@given(approval_views(), st.sampled_from([None, 0, 1, 3]))
def test_slack_takes_every_warning(view: ApprovalView, extensions: int | None) -> None:
    check_message(warning(view, WORKSPACE, NOW, extensions))


def test_an_outcome_tells_the_requester() -> None:
    view = ApprovalView(ended("rejected", feedback="Too much."))
    there = words(note("rejected", view, WORKSPACE, NOW, for_requester=True).blocks)
    assert there.startswith("<@U0ALEX> ⛔ *Rejected* by <@U0REVIEWER> in Slack")
    assert "Too much." in there
    assert "<@U0ALEX>" not in words(note("rejected", view, WORKSPACE, NOW, for_requester=False).blocks)


def test_a_refusal_names_the_reason_and_who_may() -> None:
    said = refusal(NotAuthorized("you are not one of its reviewers"), approval(), WORKSPACE).text
    assert "you are not one of its reviewers" in said
    assert "<@U0REVIEWER>" in said


def test_too_late_names_who_was_first() -> None:
    said = refusal(AlreadyResolved("x"), ended("approved"), WORKSPACE).text
    assert said.startswith("✅ Already approved by <@U0REVIEWER> in Slack")
    assert refusal_in_form(AlreadyResolved("x"), ended("approved")).startswith("This is already approved at 2026-")


def test_no_answer_from_the_database_is_no_answer() -> None:
    assert NOT_CONFIRMED in refusal(Overloaded(), approval(), WORKSPACE).text


@settings(max_examples=50, deadline=None)
@given(st.lists(text, max_size=50))
def test_help_for_any_agents(names: list[str]) -> None:
    check_markup([help.usage(names), help.agents(names, "a"), help.which_agent(names), *map(help.no_prompt, names)])

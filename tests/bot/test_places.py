"""Where a notice belongs: pure."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent_runtime.core.approval import ApprovalRequest
from agent_runtime.core.ladder import Rung
from agent_runtime.core.policy import Policy
from agent_runtime.delivery.notifier import ApprovalView, ExecutionView, Notice, Place, Receipt
from agent_runtime.store.outbox import (
    APPROVAL_CARD,
    APPROVAL_NOTE,
    APPROVAL_WARNING,
    EXECUTION_PROGRESS,
    EXECUTION_RESULT,
)
from bot.slack.origin import Origin, read_origin
from bot.slack.places import places
from tests.bot.ui.views import approval, ended, execution

THREAD = Origin("T0HOME", "C0AGENTS", "1.0", "1.0", "U0ALEX")
ORIGIN = json.dumps(THREAD.as_json())
CARD = Receipt("C0APPROVALS", {"channel": "C0APPROVALS", "ts": "2.0", "thread_ts": ""})


def of_card(**fields: Any) -> list[Place]:
    return places(Notice(APPROVAL_CARD, "apr_1", 1, approval=ApprovalView(approval(**fields))))


def of_note(event: str, shown: ApprovalRequest, *card: Receipt) -> list[Place]:
    return places(Notice(APPROVAL_NOTE, "apr_1", 1, event=event, approval=ApprovalView(shown), card=card))


def of_warnings(shown: ApprovalRequest, *card: Receipt) -> list[tuple[str, bool]]:
    found = places(Notice(APPROVAL_WARNING, "apr_1", 1, approval=ApprovalView(shown), card=card))
    return [(place.key, place.over) for place in found]


def keys(found: list[Place]) -> list[str]:
    return [place.key for place in found]


def test_the_reviewers_channel_with_ways_round() -> None:
    policy = Policy(reviewers=("U0REVIEWER", "@dba", "U0OTHER"), channel="C0APPROVALS")
    (place,) = of_card(policy=policy, origin=ORIGIN)
    assert (place.key, place.lane) == ("C0APPROVALS", "C0APPROVALS")
    assert keys(list(place.instead)) == ["C0AGENTS/1.0", "U0REVIEWER", "U0OTHER"]


def test_without_a_channel_the_thread_that_asked() -> None:
    (place,) = of_card(origin=ORIGIN)
    assert (place.key, place.address) == ("C0AGENTS/1.0", {"channel": "C0AGENTS", "thread_ts": "1.0"})


def test_without_both_each_reviewer() -> None:
    assert keys(of_card(policy=Policy(reviewers=("U0REVIEWER", "S0GROUP", "U0OTHER")))) == ["U0REVIEWER", "U0OTHER"]
    assert of_card(policy=Policy(reviewers=("S0GROUP",))) == []


def test_the_escalation_channel_once_it_is_escalated() -> None:
    policy = Policy(channel="C0APPROVALS", escalate_channel="C0LEADS")
    assert keys(of_card(policy=policy)) == ["C0APPROVALS"]
    assert keys(of_card(policy=policy, widened=1)) == ["C0APPROVALS", "C0LEADS"]
    same = Policy(channel="C0APPROVALS", escalate_channel="C0APPROVALS")
    assert keys(of_card(policy=same, widened=1)) == ["C0APPROVALS"]


@pytest.mark.parametrize("event", ["reminded", "escalated"])
def test_a_rung_is_said_below_the_card_while_it_is_open(event: str) -> None:
    assert keys(of_note(event, approval(origin=ORIGIN), CARD)) == ["C0APPROVALS/2.0"]
    assert of_note(event, ended("approved", origin=ORIGIN), CARD) == []


def test_each_warning_stands_below_the_card_and_is_over_in_its_time() -> None:
    warned = int(Rung.clock | Rung.warn)
    first, second = ("C0APPROVALS/2.0 #0", "C0APPROVALS/2.0 #1")
    assert of_warnings(approval(origin=ORIGIN, rungs_done=warned), CARD) == [(first, False)]
    assert of_warnings(approval(origin=ORIGIN, rungs_done=warned)) == [("C0AGENTS/1.0 #0", False)]
    assert of_warnings(approval(rungs_done=1, extensions=1), CARD) == [(first, True), (second, True)]
    assert of_warnings(approval(rungs_done=warned, extensions=1), CARD) == [(first, True), (second, False)]
    assert of_warnings(ended("approved", rungs_done=warned), CARD) == [(first, True)]


def test_an_outcome_is_told_where_it_was_asked_for_too() -> None:
    first, second = of_note("rejected", ended("rejected", origin=ORIGIN), CARD)
    assert (first.key, first.address.get("for_requester")) == ("C0AGENTS/1.0", True)
    assert (second.key, second.address.get("for_requester")) == ("C0APPROVALS/2.0", None)


def test_once_where_both_are_one_thread() -> None:
    card = Receipt("C0AGENTS/1.0", {"channel": "C0AGENTS", "ts": "3.0", "thread_ts": "1.0"})
    (place,) = of_note("rejected", ended("rejected", origin=ORIGIN), card)
    assert (place.key, place.address.get("for_requester")) == ("C0AGENTS/1.0", True)


def test_progress_and_result_in_the_thread_that_asked() -> None:
    for topic in (EXECUTION_PROGRESS, EXECUTION_RESULT):
        told = Notice(topic, "exe_1", 1, execution=ExecutionView(execution(origin=ORIGIN)))
        assert keys(places(told)) == ["C0AGENTS/1.0"]
        assert places(Notice(topic, "exe_1", 1, execution=ExecutionView(execution()))) == []


def test_origins() -> None:
    assert read_origin(ORIGIN) == THREAD
    assert THREAD.conversation_id == "slack:T0HOME:C0AGENTS:1.0"
    for other in (None, "{}", "[]", '{"slack": 1}', '{"email": {}}'):
        assert read_origin(other) is None

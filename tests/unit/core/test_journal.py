"""What an agent does next, and what its model is told, as functions of the journal alone."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from agent_runtime.core.execution import OPEN_STEPS, Step, StepStatus
from agent_runtime.core.journal import (
    AskModel,
    Calls,
    Fail,
    Finish,
    answer,
    messages,
    next_action,
    prompt_of,
    refusal,
    tool_content,
)
from agent_runtime.core.policy import Policy
from tests.samples import a_step, an_approval, an_execution


def reply(position: int, content: str = "", *calls: str, turn: int = 0, **more: Any) -> Step:
    """A reply of the model that says `content` and calls the tools named."""
    message: dict[str, Any] = {"role": "assistant"}
    if content:
        message["content"] = content
    if calls:
        message["tool_calls"] = [
            {"id": f"call_{turn}_{n}", "type": "function", "function": {"name": name, "arguments": "{}"}}
            for n, name in enumerate(calls)
        ]
    return a_step(position, "model", turn=turn, result={"message": message, **more})


def call(position: int, status: StepStatus = StepStatus.proposed, *, turn: int = 0, **fields: Any) -> Step:
    """The call at `position`, whose id says its turn and place."""
    return a_step(position, "tool", turn=turn, status=status.value, call_id=f"call_{turn}_{position - 1}", **fields)


def refused(position: int, *, status: str = "rejected", feedback: str = "", stop: bool = False, turn: int = 0) -> Step:
    """A call that people refused."""
    ending = "stop" if stop else "continue"
    ended = an_approval(
        status=status,
        policy=Policy(on_reject=ending, on_expiry=ending),
        resolution={"by": "slack:T1:U1", "feedback": feedback},
    )
    return call(position, StepStatus.refused, turn=turn, result=refusal(ended))


# --- the next action ----------------------------------------------------------------------------------------


def test_it_begins_by_asking_the_model() -> None:
    assert next_action([]) == AskModel(0)


def test_a_reply_without_calls_is_the_answer() -> None:
    assert next_action([reply(0, "Done.")]) == Finish("Done.")
    assert next_action([reply(0)]) == Finish("")
    no = a_step(0, "model", result={"message": {"role": "assistant", "refusal": "I can't help with that."}})
    assert next_action([no]) == Finish("I can't help with that.")


@pytest.mark.parametrize(
    ("reason", "finish_reason"),
    [("stop", "STOP"), (None, "STOP"), ("length", "LENGTH"), ("content_filter", "CONTENT_FILTER")],
)
def test_an_answer_that_was_cut_short_says_so(reason: str | None, finish_reason: str) -> None:
    assert next_action([reply(0, "Half an ans", finish_reason=reason)]) == Finish("Half an ans", finish_reason)


def test_parallel_calls_are_sorted_into_what_may_happen_to_them() -> None:
    calls = [call(n, status) for n, status in enumerate(StepStatus, start=1)]
    by_status = {step.status: step for step in calls}
    action = next_action([reply(0, "", *("x" for _ in calls)), *calls])
    assert action == Calls(
        ready=(by_status["proposed"], by_status["approved"]),
        interrupted=(by_status["started"],),
        held=(by_status["gated"], by_status["in_doubt"]),
    )


@pytest.mark.parametrize("statuses", itertools.product(StepStatus, repeat=2))
def test_the_models_next_turn_waits_for_all_calls(statuses: tuple[StepStatus, StepStatus]) -> None:
    journal = [reply(0, "", "x", "y"), *(call(n, status) for n, status in enumerate(statuses, start=1))]
    asks = next_action(journal) == AskModel(1)
    assert asks == (not any(status in OPEN_STEPS for status in statuses))


def test_only_the_last_turn_counts() -> None:
    earlier = [reply(0, "", "x"), call(1, StepStatus.succeeded, result={"value": 1})]
    assert next_action([*earlier, reply(2, "Done.", turn=1)]) == Finish("Done.")
    later = [reply(2, "", "y", turn=1), call(3, turn=1)]
    assert next_action([*earlier, *later]) == Calls(ready=(later[1],), interrupted=(), held=())


def test_a_rejection_goes_back_to_the_model() -> None:
    assert next_action([reply(0, "", "x"), refused(1)]) == AskModel(1)


@pytest.mark.parametrize(
    ("status", "feedback", "error", "finish_reason"),
    [
        ("rejected", "", {"type": "CollaborationError", "message": "rejected"}, "REJECTED"),
        ("rejected", "too much", {"type": "CollaborationError", "message": "rejected: too much"}, "REJECTED"),
        ("expired", "", {"type": "TimeoutError", "message": "nobody decided on refund in time"}, "TIMEOUT"),
    ],
)
def test_a_gate_with_stop_ends_it(status: str, feedback: str, error: dict[str, str], finish_reason: str) -> None:
    action = next_action([reply(0, "", "x"), refused(1, status=status, feedback=feedback, stop=True)])
    assert action == Fail(error)
    assert isinstance(action, Fail)
    assert action.finish_reason == finish_reason


def test_requested_changes_never_stop_it() -> None:
    assert next_action([reply(0, "", "x"), refused(1, status="request_changes", stop=True)]) == AskModel(1)


@pytest.mark.parametrize("other", StepStatus)
def test_stop_starts_nothing_more_and_leaves_no_outcome_open(other: StepStatus) -> None:
    sibling = call(2, other)
    action = next_action([reply(0, "", "x", "y"), refused(1, stop=True), sibling])
    if other is StepStatus.started:
        assert action == Calls(ready=(), interrupted=(sibling,), held=())
    elif other is StepStatus.in_doubt:
        assert action == Calls(ready=(), interrupted=(), held=(sibling,))
    else:
        assert isinstance(action, Fail)


def test_an_answer_that_does_not_fit_is_asked_for_again() -> None:
    note = a_step(1, "note", result={"content": "the answer does not fit"})
    assert next_action([reply(0, "not JSON"), note]) == AskModel(1)
    assert next_action([reply(0, "not JSON"), note, reply(2, '{"ok":true}', turn=1)]) == Finish('{"ok":true}')


# --- the conversation ---------------------------------------------------------------------------------------


def test_the_conversation_in_order() -> None:
    given = {
        "prompt": "Refund it",
        "history": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}],
    }
    journal = [
        reply(0, "I will look.", "look", "refund"),
        call(1, StepStatus.succeeded, result={"value": {"order": "ORD-8821"}}),
        refused(2, feedback="Too much."),
        reply(3, "Sorry?", turn=1),
        a_step(4, "note", turn=1, result={"content": "the answer does not fit"}),
    ]
    said = messages("Be brief.", an_execution(input=json.dumps(given)), journal)
    assert [(message["role"], message.get("content")) for message in said] == [
        ("system", "Be brief."),
        ("user", "Hello"),
        ("assistant", "Hi"),
        ("user", "Refund it"),
        ("assistant", "I will look."),
        ("tool", '{"order":"ORD-8821"}'),
        ("tool", 'rejected by the reviewer: "Too much.". The call did not run.'),
        ("assistant", "Sorry?"),
        ("user", "the answer does not fit"),
    ]
    assert [call["id"] for call in said[4]["tool_calls"]] == ["call_0_0", "call_0_1"]
    assert [message["tool_call_id"] for message in said[5:7]] == ["call_0_0", "call_0_1"]


def test_without_instructions_there_is_no_system_message() -> None:
    assert messages("", an_execution(), []) == [{"role": "user", "content": "Refund ORD-8821"}]


@pytest.mark.parametrize(
    ("given", "prompt"),
    [
        ({"prompt": "Refund it"}, "Refund it"),
        ({"input": {"order": "ORD-8821", "amount": 2}}, '{"amount":2,"order":"ORD-8821"}'),
        ({"prompt": None, "input": {"a": 1}}, '{"a":1}'),
        ({"input": {}}, "{}"),
    ],
)
def test_the_prompt_is_text_or_the_input_as_json(given: dict[str, Any], prompt: str) -> None:
    assert prompt_of(given) == prompt


# --- what the model is told of a call -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "content"),
    [
        ({"value": "plain text"}, "plain text"),
        ({"value": ""}, ""),
        ({"value": None}, "null"),
        ({"value": 3}, "3"),
        ({"value": {"b": 1, "a": [True]}}, '{"a":[true],"b":1}'),
        ({"value": {"error": "in the value", "refusal": "too"}}, '{"error":"in the value","refusal":"too"}'),
        ({"error": "ValueError: no such order"}, "error: ValueError: no such order"),
        ({"value": 5, "looked_up": True}, "5"),
    ],
)
def test_values_and_errors(result: dict[str, Any], content: str) -> None:
    assert tool_content(call(1, StepStatus.succeeded, result=result)) == content


def test_the_model_is_told_what_ran_where_the_approver_edited_it() -> None:
    step = call(1, StepStatus.succeeded, result={"value": "ok", "ran_with": {"amount": 1}})
    told = json.loads(tool_content(step))
    assert told["arguments"] == {"amount": 1}
    assert told["result"] == "ok"
    assert "edited" in told["note"]


WORDS = 'Nein – "zu viel"!\nAsk <!channel> 🙂 {feedback}'


@pytest.mark.parametrize(
    ("status", "word"), [("rejected", "rejected"), ("request_changes", "changes requested"), ("expired", "expired")]
)
@pytest.mark.parametrize("feedback", ["", "Too much.", WORDS])
def test_the_model_is_told_what_people_said_in_their_words(status: str, word: str, feedback: str) -> None:
    content = tool_content(refused(1, status=status, feedback=feedback))
    assert content.startswith(word)
    assert feedback in content
    assert "did not run" in content
    assert ("by the reviewer" in content) == (status != "expired")
    assert sum(other in content for other in ("rejected", "changes requested", "expired")) == 1


@pytest.mark.parametrize("status", ["rejected", "request_changes", "expired", "cancelled"])
@pytest.mark.parametrize("on_reject", ["continue", "stop"])
@pytest.mark.parametrize("on_expiry", ["continue", "stop"])
def test_what_is_recorded_of_a_refusal(status: str, on_reject: Any, on_expiry: Any) -> None:
    ended = an_approval(status=status, resolution={"by": "slack:T1:U1", "feedback": "no"})
    recorded = refusal(ended._replace(policy=Policy(on_reject=on_reject, on_expiry=on_expiry)))
    assert recorded["feedback"] == "no"
    assert recorded["by"] == ("" if status == "expired" else "slack:T1:U1")
    stops = (status, "stop") in {("rejected", on_reject), ("expired", on_expiry)}
    assert ("stop" in recorded) == stops


@pytest.mark.parametrize(
    ("status", "decision"),
    [
        ("approved", "approved"),
        ("rejected", "rejected"),
        ("request_changes", "request_changes"),
        ("expired", "expired"),
        ("cancelled", "error"),
    ],
)
def test_what_a_pause_comes_to(status: str, decision: str) -> None:
    ended = an_approval(status=status, kind="pause", resolution={"by": "slack:T1:U1", "feedback": "fine"})
    assert answer(ended) == {
        "decision": decision,
        "feedback": "fine",
        "approval_request_id": "apr_1",
        "execution_id": "exe_1",
        "decided_by": "slack:T1:U1",
    }

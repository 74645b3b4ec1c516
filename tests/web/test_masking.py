"""Secrets in what executions recorded stay off the answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent_runtime.web.masking import masked, shown_arguments, shown_result, without_secret_edits
from tests.samples import a_step
from tests.web.conftest import Api, World

SECRET = "hunter2-not-for-eyes"
PATHS = {"call_1": ("card.number",)}


def a_call(arguments: str, call_id: str = "call_1") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "refund", "arguments": arguments}}


def test_a_model_s_message_repeats_arguments_and_masks_them() -> None:
    arguments = json.dumps({"card": {"number": SECRET}, "password": SECRET, "amount": 250})
    message = {"role": "assistant", "content": None, "tool_calls": [a_call(arguments), a_call("{", "call_2")]}
    shown = shown_result(a_step(0, "model", result={"message": message, "usage": {}}), PATHS)
    assert SECRET not in json.dumps(shown)
    first, second = (call["function"] for call in shown["message"]["tool_calls"])
    assert json.loads(first["arguments"])["amount"] == 250
    assert (first["name"], second["arguments"]) == ("refund", "[redacted]")


def test_an_edited_call_s_own_arguments_are_masked() -> None:
    result = {"value": {"api_key": SECRET, "ok": True}, "ran_with": {"card": {"number": SECRET}, "amount": 1}}
    shown = shown_result(a_step(1, "tool", call_id="call_1", result=result), PATHS)
    assert SECRET not in json.dumps(shown)
    assert (shown["value"]["ok"], shown["ran_with"]["amount"]) == (True, 1)


def test_what_has_none_is_shown_as_it_is() -> None:
    assert shown_result(a_step(0, "model"), {}) is None
    assert shown_result(a_step(0, "tool", result={"value": "done"}), {}) == {"value": "done"}
    assert shown_result(a_step(0, "model", result={"message": {"role": "assistant", "content": "hi"}}), {}) == {
        "message": {"role": "assistant", "content": "hi"}
    }
    assert shown_arguments(a_step(0, "model"), ()) is None
    assert without_secret_edits({"by": "x"}, ("a",)) == {"by": "x"}


@pytest.mark.parametrize("path", ["", ".", "a..b", "a["])
def test_a_path_that_cannot_be_read_masks_everything(path: str) -> None:
    assert masked({"amount": 1}, (path,)) == "[redacted]"


async def test_no_answer_shows_them(api: Api, world: World) -> None:
    """Every place where a gated call's arguments turn up."""
    await world.started(prompt="password=" + SECRET)
    execution = await world.claimed()
    approval = await world.gated(execution, {"card": {"number": SECRET}, "password": SECRET}, redact=("card.number",))
    paths = [
        f"/api/v1/executions/{execution.execution_id}",
        "/api/v1/executions",
        f"/api/v1/approvals/{approval.approval_request_id}",
        f"/api/v1/approvals/{approval.approval_request_id}/events",
        "/api/v1/approvals",
        "/",
        f"/reviews/{approval.approval_request_id}",
        "/pending",
        f"/pending/{approval.approval_request_id}",
    ]
    for path in paths:
        answer = await api.get(path)
        assert answer.status == 200
        assert approval.approval_request_id in answer.text
        assert SECRET not in answer.text, path
    decided = await api.post(f"{paths[2]}/decision", {"decision": "approved"})
    cancelled = await api.post(f"{paths[0]}/cancel")
    assert SECRET not in decided.text + cancelled.text

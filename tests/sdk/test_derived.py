"""Values whose parts are worked out when somebody looks: what else they are is that of any other."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest

from agent_runtime import AgentResult, AgentRuntime, AgentStatus
from agent_runtime.sdk.derived import Derived
from agent_runtime.sdk.events import events_of
from agent_runtime.sdk.results import result_of, status_of
from agent_runtime.sdk.snapshot import Snapshot
from agent_runtime.testing import ScriptedModel, call
from tests.sdk.agents import Ledger, refund_agent

worked_out: list[str] = []


@dataclasses.dataclass(frozen=True, slots=True)
class Word(Derived):
    text: str
    letters: int
    loud: str = ""


def _letters(source: str) -> int:
    worked_out.append(source)
    return len(source)


def word(text: str) -> Word:
    return Word.derived(text, {"text": str, "letters": _letters, "loud": str.upper})


@pytest.fixture(autouse=True)
def nothing_yet() -> None:
    worked_out.clear()


def test_a_part_is_worked_out_once_and_when_it_is_looked_at() -> None:
    derived = word("seen")
    assert (derived.text, worked_out) == ("seen", [])
    assert (derived.letters, derived.letters, worked_out) == (4, 4, ["seen"])


def test_it_equals_what_its_constructor_makes() -> None:
    plain = Word("seen", 4, loud="SEEN")
    assert word("seen") == plain
    assert plain == word("seen")
    assert word("seen") != word("read")
    assert hash(word("seen")) == hash(plain)
    assert repr(word("seen")) == repr(plain) == "Word(text='seen', letters=4, loud='SEEN')"
    assert dataclasses.asdict(word("seen")) == {"text": "seen", "letters": 4, "loud": "SEEN"}
    assert dataclasses.replace(word("seen"), letters=5) == Word("seen", 5, loud="SEEN")


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_copies_are_whole(again: Any) -> None:
    assert again(word("seen")) == Word("seen", 4, loud="SEEN")


def test_it_has_no_other_parts_and_none_is_set() -> None:
    for made in (word("seen"), Word("seen", 4)):
        with pytest.raises(AttributeError, match="'Word' object has no attribute 'colour'"):
            made.colour  # type: ignore[attr-defined]  # noqa: B018
        with pytest.raises(dataclasses.FrozenInstanceError):
            made.letters = 5  # type: ignore[misc]


def eager(kind: type[Any], made: Any) -> Any:
    """The same, by the public constructor."""
    return kind(**{field.name: getattr(made, field.name) for field in dataclasses.fields(kind)})


def test_status_and_result_are_those_of_their_moment(
    runtime: AgentRuntime, model: ScriptedModel, ledger: Ledger
) -> None:
    model.says([call("get_order", order_id="ORD-1"), call("process_refund", order_id="ORD-1", amount=10)], "Paid.")
    handle = runtime.start(refund_agent(ledger), "Refund ORD-1")
    status = handle.get_status()
    handle.approve("as agreed")
    result, ended = handle.get_result(), handle.get_status()
    runtime.close()
    assert status.is_waiting
    assert [approval["status"] for approval in status.pending_approvals] == ["pending"]
    assert [message["role"] for message in status.messages] == ["user", "assistant", "tool"]
    assert [approval["status"] for approval in result.approvals] == ["approved"]
    assert result.events is result.events
    assert str(result.events[-1].type) == "done"
    assert result.is_success
    assert result == eager(AgentResult, result) == pickle.loads(pickle.dumps(result))
    assert ended == eager(AgentStatus, ended) == copy.deepcopy(ended)
    assert repr(ended) == repr(eager(AgentStatus, ended))
    assert ended != status


def test_every_part_is_that_of_the_snapshot() -> None:
    snapshot = Snapshot("exe_1", "agent", None, "succeeded", {"prompt": "Go."}, "Done.", None, "STOP", [], [])
    assert result_of(snapshot) == AgentResult(
        execution_id="exe_1",
        status="succeeded",
        output={"result": "Done.", "finishReason": "STOP"},
        events=events_of(snapshot),
        tool_calls=[],
        messages=[{"role": "user", "content": "Go."}],
        finish_reason="STOP",
        approvals=[],
    )
    assert status_of(snapshot) == AgentStatus(
        execution_id="exe_1",
        status="succeeded",
        is_running=False,
        is_waiting=False,
        is_complete=True,
        output={"result": "Done.", "finishReason": "STOP"},
        reason="",
        pending_approvals=[],
        messages=[{"role": "user", "content": "Go."}],
    )

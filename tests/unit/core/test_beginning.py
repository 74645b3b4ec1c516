"""What a start asks for, held against the agent's definition."""

from __future__ import annotations

from typing import Any

import pytest

from agent_runtime.core.beginning import begin
from agent_runtime.errors import InvalidRequest, NotFound


def reasoner(name: str, *tags: str, required: tuple[str, ...] = (), **properties: str) -> dict[str, Any]:
    """A reasoner's definition; `properties` by their JSON type."""
    schema = {"properties": {field: {"type": kind} for field, kind in properties.items()}, "required": list(required)}
    return {"name": name, "tags": list(tags), "schema": schema}


def agent(*reasoners: dict[str, Any]) -> dict[str, Any]:
    return {"name": "an_agent", "reasoners": list(reasoners)}


REFUND = reasoner("refund", required=("order",), order="string", amount="number")
PROMPT = {"prompt": "Refund it"}


# --- the LLM loop -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (PROMPT, PROMPT),
        ({"input": {"a": 1}}, {"input": {"a": 1}}),
        ({"input": {}}, {"input": {}}),
        ({"prompt": None, "input": {}}, {"input": {}}),
        ({"prompt": "x", "input": None}, {"prompt": "x"}),
    ],
)
def test_an_agent_without_reasoners_runs_its_loop(given: Any, taken: Any) -> None:
    assert begin(agent(), None, given) == (None, taken)
    assert begin({}, None, given) == (None, taken)


@pytest.mark.parametrize("definition", [agent(), agent(REFUND)], ids=["loop", "reasoner"])
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"prompt": None},
        {"prompt": " "},
        {"prompt": 1},
        {"input": []},
        {"input": "x"},
        {"prompt": "x", "input": {}},
        {"prompt": "x", "history": []},
        {"history": []},
    ],
)
def test_one_prompt_or_one_input_and_nothing_else(definition: Any, given: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"prompt|input"):
        begin(definition, None, given)


# --- reasoners ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reasoners", "named", "chosen"),
    [
        ([REFUND], None, "refund"),
        ([REFUND], "refund", "refund"),
        ([REFUND, reasoner("other")], "refund", "refund"),
        ([REFUND, reasoner("main", "entry", order="string")], None, "main"),
    ],
)
def test_the_named_one_the_only_one_or_the_entry(reasoners: list[Any], named: str | None, chosen: str) -> None:
    assert begin(agent(*reasoners), named, {"input": {"order": "ORD-1"}} if chosen != "other" else {})[0] == chosen


@pytest.mark.parametrize(
    "reasoners",
    [[REFUND, reasoner("other")], [reasoner("a", "entry"), reasoner("b", "entry")]],
    ids=["no entry", "two entries"],
)
def test_where_that_is_not_clear_one_is_to_be_named(reasoners: list[Any]) -> None:
    with pytest.raises(InvalidRequest, match=r"^reasoner: name one \(an_agent\.REASONER\)"):
        begin(agent(*reasoners), None, {"input": {}})


@pytest.mark.parametrize("reasoners", [[], [REFUND]])
def test_an_unknown_one_is_not_found(reasoners: list[Any]) -> None:
    with pytest.raises(NotFound, match="'pay'"):
        begin(agent(*reasoners), "pay", {"input": {}})


def test_a_prompt_is_the_single_text_parameter() -> None:
    assert begin(agent(REFUND), None, PROMPT) == ("refund", {"input": {"order": "Refund it"}})
    optional = reasoner("refund", order="string", amount="number")
    assert begin(agent(optional), None, PROMPT) == ("refund", {"input": {"order": "Refund it"}})


@pytest.mark.parametrize(
    "one",
    [
        reasoner("refund"),
        reasoner("refund", amount="number"),
        reasoner("refund", order="string", note="string"),
        reasoner("refund", required=("order", "amount"), order="string", amount="number"),
        reasoner("refund", required=("order", "note"), order="string", note="string"),
    ],
)
def test_where_there_is_none_an_input_is_needed(one: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"^prompt: refund takes .*send an input"):
        begin(agent(one), None, PROMPT)


@pytest.mark.parametrize(
    ("given", "named"),
    [({}, "needs order"), ({"amount": 1}, "needs order"), ({"order": "a", "to": "me"}, "does not take to")],
)
def test_fields_that_are_missing_or_unknown_are_named(given: Any, named: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^input: refund {named}"):
        begin(agent(REFUND), None, {"input": given})


def test_a_prompt_with_a_nul_character_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"^prompt: holds a NUL character"):
        begin(agent(), None, {"prompt": "refund\0it"})

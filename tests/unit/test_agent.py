"""Agents: definitions, what the chat API is offered, versions, and what cannot be defined."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import pytest
from pydantic import BaseModel, ConfigDict

from agent_runtime.agent import Agent
from agent_runtime.core.canonical import canonical
from agent_runtime.errors import InvalidDefinition
from agent_runtime.tools import tool


@tool(approval_required=True)
def refund(order: str, amount: float) -> None:
    """Pay money back."""


def look(order: str) -> None:
    """Look an order up."""


def test_a_name_by_position_or_keyword() -> None:
    assert Agent("refund_agent").name == "refund_agent"
    assert Agent(name="a-b").name == "a-b"
    assert Agent(node_id="_x1").name == "_x1"


@pytest.mark.parametrize("name", [None, "", "1a", "a b", "-a", "größe", "a.b", "a\n"])
def test_names_that_cannot_be_used(name: Any) -> None:
    with pytest.raises(InvalidDefinition, match=rf"^name: {re.escape(repr(name))} must be"):
        Agent(name)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"model": "gpt 4"}, "model: 'gpt 4'"),
        ({"model": "/gpt"}, "model: "),
        ({"max_turns": 0}, "max_turns: 0"),
        ({"max_turns": 1.5}, "max_turns: 1.5"),
        ({"max_turns": True}, "max_turns: True"),
        ({"tools": [refund, refund]}, "refund"),
        ({"output_type": Callable[[int], int]}, "output_type"),
        ({"output_type": object.__new__}, "output_type"),
    ],
)
def test_what_cannot_be_defined_is_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidDefinition) as refused:
        Agent("a", **options)
    assert named in refused.value.message


@pytest.mark.parametrize("model", ["", "gpt-4o-mini", "openai/gpt-4o-mini", "anthropic/claude-x.1", "openai/org/m:7b"])
def test_names_of_models(model: str) -> None:
    assert Agent("a", model=model).model == model


def test_the_model_is_offered_the_tools_alone_in_the_given_order() -> None:
    agent = Agent("a", tools=[refund, look])
    assert agent.tool_schemas == [
        {
            "type": "function",
            "function": {"name": "refund", "description": "Pay money back.", "parameters": refund.schema},
        },
        {
            "type": "function",
            "function": {
                "name": "look",
                "description": "Look an order up.",
                "parameters": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"order": {"type": "string"}},
                    "required": ["order"],
                },
            },
        },
    ]
    assert agent.tool("refund") is refund
    assert agent.tool("nothing") is None


# --- structured output --------------------------------------------------------------------------------------


class Inner(BaseModel):
    a: int


class InnerClosed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    a: int


class Open(BaseModel):
    inner: InnerClosed


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    inner: InnerClosed
    more: list[InnerClosed]


class OpenInside(BaseModel):
    model_config = ConfigDict(extra="forbid")
    inner: Inner


class Optional(BaseModel):
    model_config = ConfigDict(extra="forbid")
    a: int = 1


@dataclass
class Plain:
    a: int


T = TypeVar("T")


class Box(BaseModel, Generic[T]):
    item: T


@pytest.mark.parametrize(
    ("output_type", "name", "strict"),
    [
        (Closed, "Closed", True),
        (Open, "Open", False),
        (OpenInside, "OpenInside", False),
        (Optional, "Optional", False),
        (Plain, "Plain", False),
        (Box[int], "Box_int_", False),
        (list[Inner], "list", False),
        (dict[str, int], "dict", False),
    ],
)
def test_an_output_type_becomes_a_response_format(output_type: Any, name: str, strict: bool) -> None:
    response_format = Agent("a", output_type=output_type).response_format
    assert response_format is not None
    assert response_format["type"] == "json_schema"
    assert (response_format["json_schema"]["name"], response_format["json_schema"]["strict"]) == (name, strict)
    assert json.loads(json.dumps(response_format)) == response_format


def test_without_one_text_is_asked_for() -> None:
    assert Agent("a").response_format is None


# --- versions -----------------------------------------------------------------------------------------------


def test_the_version_follows_the_definition() -> None:
    def look_twice(order: str, times: int = 2) -> None:
        """Look an order up."""

    look_twice.__name__ = "look"
    versions = [
        Agent("a", instructions="x", tools=[look]).version,
        Agent("b", instructions="x", tools=[look]).version,
        Agent("a", instructions="y", tools=[look]).version,
        Agent("a", instructions="x", tools=[look], model="openai/m").version,
        Agent("a", instructions="x", tools=[look], max_turns=3).version,
        Agent("a", instructions="x", tools=[look], output_type=Inner).version,
        Agent("a", instructions="x", tools=[look, refund]).version,
        Agent("a", instructions="x", tools=[look_twice]).version,
        Agent("a", instructions="x", tools=[tool(version="2")(look)]).version,
        Agent("a", instructions="x", tools=[tool(approval_required=True)(look)]).version,
    ]
    assert len(set(versions)) == len(versions)
    assert Agent("a", instructions="x", tools=[look]).version == versions[0]


def test_the_definition_is_json() -> None:
    definition = Agent("a", tools=[refund, look], output_type=Closed).definition()
    assert json.loads(canonical(definition)) == definition
    assert [one["gated"] for one in definition["tools"]] == [True, False]

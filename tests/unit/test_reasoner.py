"""Reasoners and steps as definitions, and what they do outside of a running reasoner."""

from __future__ import annotations

from typing import Any

import pytest

from agent_runtime.agent import Agent
from agent_runtime.context import ApprovalResult, OutsideReasoner
from agent_runtime.errors import InvalidDefinition, InvalidRequest
from agent_runtime.reasoner import Reasoner


async def decide(ticket: str, model: str | None = None) -> dict[str, Any]:
    return {"ticket": ticket, "model": model}


def test_with_and_without_parentheses_and_it_stays_callable() -> None:
    agent = Agent("a")
    assert agent.reasoner(decide) is decide
    assert agent.reasoner("other", ["entry"])(decide) is decide
    assert list(agent.reasoners) == ["decide", "other"]
    assert agent.reasoners["other"].tags == ("entry",)


def test_the_definition_holds_what_a_start_needs() -> None:
    agent = Agent("a")
    agent.reasoner(tags=["entry"])(decide)
    [definition] = agent.definition()["reasoners"]
    assert (definition["name"], definition["tags"]) == ("decide", ["entry"])
    assert definition["schema"]["required"] == ["ticket"]
    assert definition["schema"]["properties"]["ticket"] == {"type": "string"}


def test_another_signature_is_another_version_of_the_agent() -> None:
    one, other = Agent("a"), Agent("a")
    one.reasoner(decide)
    other.reasoner(tags=["entry"])(decide)
    assert one.version != other.version


def test_arguments_are_typed_and_problems_named() -> None:
    reasoner = Reasoner(decide)
    assert reasoner.arguments({"ticket": "x"}) == {"ticket": "x", "model": None}
    with pytest.raises(InvalidRequest, match="decide: ticket: "):
        reasoner.arguments({"ticket": 5})


async def with_rest(**rest: Any) -> None: ...


@pytest.mark.parametrize(
    ("function", "options", "named"),
    [
        (lambda: None, {}, "must be an `async def` function"),
        (decide, {"name": "a.b"}, "reasoner 'a.b': a name is"),
        (decide, {"name": "1a"}, "reasoner '1a': a name is"),
        (decide, {"tags": "entry"}, "tags must be a list"),
        (decide, {"timeout_seconds": 0}, "timeout_seconds must be more than zero"),
        (decide, {"timeout_seconds": float("nan")}, "timeout_seconds must be more than zero"),
        (with_rest, {}, "parameter 'rest'"),
    ],
)
def test_what_cannot_be_defined_is_named(function: Any, options: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidDefinition) as refused:
        Reasoner(function, **options)
    assert named in refused.value.message


def test_two_of_one_name() -> None:
    agent = Agent("a")
    agent.reasoner(decide)
    with pytest.raises(InvalidDefinition, match="two reasoners are called 'decide'"):
        agent.reasoner(decide)


async def test_outside_a_reasoner_steps_run_and_notes_are_dropped() -> None:
    agent = Agent("a")

    @agent.step
    def plain(n: int) -> int:
        """Doubles."""
        return 2 * n

    @agent.step(name="other")
    async def coroutine(n: int) -> int:
        return 3 * n

    agent.note("nobody hears this", tags=["x"])
    assert (await plain(2), await coroutine(2), await coroutine.named("again")(3)) == (4, 6, 9)
    assert (plain.__name__, plain.__doc__) == ("plain", "Doubles.")


@pytest.mark.parametrize(
    "ask",
    [
        lambda agent: agent.ai(user="x"),
        lambda agent: agent.pause(),
        lambda agent: agent.wait_for_resume(approval_request_id="x"),
        lambda agent: agent.call("a.b"),
    ],
)
async def test_outside_a_reasoner_nothing_durable_can_be_asked(ask: Any) -> None:
    with pytest.raises(OutsideReasoner, match="only in one of the agent's reasoners"):
        await ask(Agent("a"))


def test_results_of_approvals() -> None:
    result = ApprovalResult("request_changes", "less", "req-1")
    assert (result.approved, result.changes_requested) == (False, True)
    assert ApprovalResult("approved").approved
    assert ApprovalResult("expired").feedback == ""

"""`prod_change_demo`: look at a change's context, propose the rollout if it looks safe, then say how it
ended."""

from __future__ import annotations

import re
from typing import Any

from bot.scripted_model.conversation import Conversation, Exchange
from bot.scripted_model.reply import Call, Calls, Reply, Text
from bot.scripted_model.scripts.script import MAX_PROPOSALS, Script, earlier_answer, looks_back, not_run

_CHANGE = re.compile(r"\bCHG-\w+", re.IGNORECASE)
_SHARE = re.compile(r"\b\d{1,3}\s?%")
_SAFE_RISKS = ("low", "medium")


def reply(conversation: Conversation) -> Reply:
    """The next turn of a rollout."""
    named = _CHANGE.search(conversation.prompt)
    if looks_back(conversation, [named[0]] if named else []):
        return earlier_answer(conversation, "execute_rollout", _named)
    if named is None:
        return Text("Which change should be rolled out? Please give me its number, such as CHG-901.")
    change = named[0].upper()
    looked = conversation.calls_of("get_rollout_context", change_id=change)
    if not looked:
        return Calls((Call("get_rollout_context", {"change_id": change}),))
    context = looked[-1].outcome
    if context.ending != "value" or not isinstance(context.value, dict):
        why = context.words or context.ending
        return Text(f"I could not read the context of {change}: {why}. Nothing was rolled out.")
    facts = {"change_id": change, **context.value}
    if context.value.get("risk") not in _SAFE_RISKS:
        return Text(f"{change} does not look safe: {_in_words(context.value)}. I did not propose a rollout.", facts)
    proposals = conversation.calls_of("execute_rollout", change_id=change)
    if not proposals:
        return _proposal(change, context.value, _plan(context.value), _reason(context.value))
    return _after(proposals, change, context.value, facts)


def _after(proposals: list[Exchange], change: str, context: dict[str, Any], facts: dict[str, Any]) -> Reply:
    """What follows the latest proposal of a rollout."""
    latest = proposals[-1]
    outcome = latest.outcome
    service = context.get("service", "the service")
    if outcome.ending == "value":
        plan = (outcome.ran_with or latest.arguments).get("rollout_plan", "")
        edited = " The reviewer changed the call before it ran." if outcome.ran_with else ""
        done = outcome.value if isinstance(outcome.value, dict) else {}
        return Text(f"Done: {change} is rolled out to {service}. Plan: {plan}{edited}", {**facts, **done})
    if outcome.ending != "changes requested":
        return Text(not_run(f"The rollout of {change} to {service}", outcome), facts)
    if outcome.words and "?" not in outcome.words and len(proposals) < MAX_PROPOSALS:
        return _proposal(change, context, _changed_plan(context, outcome.words), _reason(context))
    words = f": “{outcome.words}”" if outcome.words else ""
    return Text(
        f"The rollout of {change} was not made. The reviewer asked for changes{words}. I proposed it because "
        f"{_in_words(context)}. Tell me what the plan should say and I will propose it again.",
        facts,
    )


def _proposal(change: str, context: dict[str, Any], plan: str, reason: str) -> Calls:
    return Calls((Call("execute_rollout", {"change_id": change, "rollout_plan": plan, "reason": reason}),))


def _plan(context: dict[str, Any]) -> str:
    first = context.get("blast_radius", "a first part")
    return f"Roll out to {first}, watch errors and latency for 15 minutes, then to everyone."


def _changed_plan(context: dict[str, Any], words: str) -> str:
    """The plan with the reviewer's share in place of ours, and his words with it, as they are what he asked
    for."""
    shares = _SHARE.findall(words)
    plan = _plan(context)
    if len(shares) == 1:
        plan = _SHARE.sub(shares[0], plan, count=1)
    return f"{plan} As the reviewer asked: {words}"


def _reason(context: dict[str, Any]) -> str:
    return f"The change looks safe: {_in_words(context)}."


def _in_words(context: dict[str, Any]) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in context.items())


def _named(rollout: Exchange) -> str:
    return f"the rollout of {rollout.arguments.get('change_id')}"


SCRIPT = Script("prod_change_demo", frozenset({"get_rollout_context", "execute_rollout"}), reply)

"""What a script is, and the sentences that all of them share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bot.scripted_model.conversation import Conversation, Exchange, Outcome
from bot.scripted_model.reply import Reply, Text

MAX_PROPOSALS = 3
"""How often a call is proposed again after requested changes, before a script gives up."""

_LOOKING_BACK = re.compile(
    r"\b(what (did|have|has|was|were|happened)|did (you|it|that)|have you|has it|was it|is it done|why|who|when"
    r"|summar\w+|recap|status)\b",
    re.IGNORECASE,
)
_THANKS = re.compile(r"\b(thanks?|thank you|thx|cheers|great|perfect)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Script:
    """An agent's part: which tools tell the agent, and the next reply as a pure function of the
    conversation."""

    name: str
    tools: frozenset[str]
    reply: Callable[[Conversation], Reply]


def looks_back(conversation: Conversation, subjects: Sequence[str]) -> bool:
    """Whether the prompt is about what was done in earlier turns: a question, a thank-you, or nothing new.

    `subjects` are what the prompt names (orders, changes); one that was not mentioned before is a new
    request.
    """
    if conversation.exchanges or not conversation.has_history:
        return False
    if any(subject.lower() not in conversation.earlier_text.lower() for subject in subjects):
        return False
    return not subjects or bool(_LOOKING_BACK.search(conversation.prompt) or _THANKS.search(conversation.prompt))


def earlier_answer(conversation: Conversation, tool: str, named: Callable[[Exchange], str]) -> Text:
    """An answer from the earlier turns alone: how each call of `tool` ended, `named` saying what it was."""
    told = " ".join(_told(exchange, named(exchange)) for exchange in conversation.earlier if exchange.name == tool)
    if not told:
        said = conversation.earlier_answer
        told = f"As I said: {said}" if said else "I have not proposed anything in this conversation yet."
    opening = "You're welcome. " if _THANKS.search(conversation.prompt) else ""
    return Text(opening + told, facts=facts_of([*conversation.earlier, *conversation.exchanges]))


def _told(exchange: Exchange, what: str) -> str:
    ending = exchange.outcome.ending
    if ending == "value":
        return f"I proposed {what}; it was approved and made."
    words = f" (“{exchange.outcome.words}”)" if exchange.outcome.words else ""
    ended = {"error": "failed", "changes requested": "was sent back for changes", "expired": "expired unanswered"}
    return f"I proposed {what}; it {ended.get(ending, f'was {ending}')}{words}."


def facts_of(exchanges: Iterable[Exchange]) -> dict[str, Any]:
    """What the calls were about and returned, later ones first, for structured answers."""
    facts: dict[str, Any] = {}
    for exchange in exchanges:
        facts |= exchange.outcome.ran_with or exchange.arguments
        facts |= exchange.outcome.value if isinstance(exchange.outcome.value, dict) else {}
    return facts


def not_run(what: str, outcome: Outcome) -> str:
    """Sentences for a call that did not run, or failed; `what` names it ("The refund of …")."""
    words = f": “{outcome.words}”" if outcome.words else ""
    if outcome.ending == "rejected":
        reason = f"The reviewer's reason{words}." if words else "The reviewer gave no reason."
        return f"{what} was rejected, so it was not made and I won't try again. {reason}"
    if outcome.ending == "expired":
        return f"Nobody answered in time, so the request expired. {what} was not made. Ask again to propose it anew."
    if outcome.ending == "cancelled":
        return f"The request was cancelled. {what} was not made."
    return f"{what} failed{words}. I did not try again."

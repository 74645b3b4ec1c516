"""A conversation as a script reads it: the prompt, the calls since then with how each ended, and what was
before."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Ending: TypeAlias = Literal["value", "error", "rejected", "changes requested", "expired", "cancelled"]

_REFUSED = re.compile(r"\b(rejected|changes requested|expired|cancelled)\b", re.IGNORECASE)
_INSTRUCTIONS = ("system", "developer")
_ERROR = re.compile(r"\s*error\b[:\s]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended. `value` is what the tool returned, `words` what a person said or the error says."""

    ending: Ending
    value: Any = None
    words: str = ""
    ran_with: Mapping[str, Any] | None = None
    """The arguments that ran where a reviewer edited them."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A call and its outcome."""

    name: str
    arguments: Mapping[str, Any]
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Conversation:
    """The messages up to now. `exchanges` are those since the last user message, `earlier` those before
    it."""

    prompt: str
    exchanges: tuple[Exchange, ...]
    earlier: tuple[Exchange, ...]
    earlier_answer: str
    """The last words of the assistant before the prompt, or ""."""
    earlier_text: str
    """All that was said and called before the prompt."""

    def calls_of(self, name: str, **arguments: Any) -> list[Exchange]:
        """The exchanges of this turn with a tool, with these arguments among its own."""
        return [
            exchange
            for exchange in self.exchanges
            if exchange.name == name and arguments.items() <= exchange.arguments.items()
        ]

    @property
    def has_history(self) -> bool:
        return bool(self.earlier or self.earlier_answer)


def read_conversation(messages: Sequence[Mapping[str, Any]]) -> Conversation:
    """Read the messages of a checked request."""
    last = max((index for index, message in enumerate(messages) if message["role"] == "user"), default=-1)
    before, since = messages[: max(last, 0)], messages[last + 1 :]
    spoken = [text for message in before if message["role"] == "assistant" and (text := text_of(message))]
    return Conversation(
        prompt=text_of(messages[last]) if last >= 0 else "",
        exchanges=tuple(_exchanges(since)),
        earlier=tuple(_exchanges(before)),
        earlier_answer=spoken[-1] if spoken else "",
        earlier_text=json.dumps([message for message in before if message["role"] not in _INSTRUCTIONS]),
    )


def system_text(messages: Sequence[Mapping[str, Any]]) -> str:
    """What the system (or developer) messages say."""
    return "\n".join(text_of(message) for message in messages if message["role"] in _INSTRUCTIONS)


def text_of(message: Mapping[str, Any]) -> str:
    """The text of a message, whether given whole or in parts."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content)
    return content or ""


def _exchanges(messages: Sequence[Mapping[str, Any]]) -> Iterable[Exchange]:
    answers = {message["tool_call_id"]: text_of(message) for message in messages if message["role"] == "tool"}
    for message in messages:
        for call in message.get("tool_calls") or ():
            if call["id"] in answers:
                arguments = _json(call["function"]["arguments"])
                known = arguments if isinstance(arguments, dict) else {}
                yield Exchange(call["function"]["name"], known, read_outcome(answers[call["id"]]))


def read_outcome(content: str) -> Outcome:
    """What a tool message says: a value as JSON, an error, or that people did not let the call run."""
    value = _json(content)
    if isinstance(value, dict) and value.keys() == {"result", "note", "arguments"}:
        return Outcome("value", value["result"], ran_with=value["arguments"])
    if isinstance(value, dict) and set(value) == {"error"}:
        return Outcome("error", words=str(value["error"]))
    if value is not None:
        return Outcome("value", value)
    error = _ERROR.match(content)
    if error:
        return Outcome("error", words=content[error.end() :])
    refused = _REFUSED.search(content)
    if refused is None:
        return Outcome("value", content)
    ending: Any = refused[1].lower()
    return Outcome(ending, words=_quoted(content[refused.end() :]))


def _quoted(text: str) -> str:
    """A person's words: what stands between the first and the last quotation mark, else behind the colon."""
    first, last = text.find('"'), text.rfind('"')
    if 0 <= first < last:
        return text[first + 1 : last]
    return text.partition(":")[2].strip()


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None

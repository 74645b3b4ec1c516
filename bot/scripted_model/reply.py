"""What a script says next: words, tool calls, data, or a failure of the service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Text:
    """Words. Where the request asks for structured output, they and `facts` fill the schema."""

    content: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call. `arguments` as text go out as they are, so that a test can send what is no JSON."""

    name: str
    arguments: Mapping[str, Any] | str


@dataclass(frozen=True, slots=True)
class Calls:
    """Tool calls of one turn, with the words that stand beside them, if any."""

    calls: tuple[Call, ...]
    content: str | None = None


@dataclass(frozen=True, slots=True)
class Data:
    """A structured answer, sent as it is, whether it fits the schema or not."""

    value: Any


@dataclass(frozen=True, slots=True)
class Refusal:
    """The model declines, in the field that the chat API has for it."""

    words: str


@dataclass(frozen=True, slots=True)
class Failure:
    """The service fails: an HTTP status with headers and a body, or (status None) a dropped connection."""

    status: int | None = 500
    message: str = "The server had an error while processing your request."
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None


@dataclass(frozen=True, slots=True)
class Later:
    """Another reply, after `seconds`."""

    seconds: float
    reply: Text | Calls | Data | Refusal | Failure


Reply: TypeAlias = Text | Calls | Data | Refusal | Failure | Later


def calls(*named: tuple[str, Mapping[str, Any] | str], content: str | None = None) -> Calls:
    """Tool calls by name and arguments: `calls(("get_order", {"order_id": "ORD-8821"}))`."""
    return Calls(tuple(Call(name, arguments) for name, arguments in named), content)

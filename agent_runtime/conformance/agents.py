"""The agent that is run: a tool of each effect, and a model that says what it is told to, in the same process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from agent_runtime.agent import Agent
from agent_runtime.conformance.ledger import Ledger
from agent_runtime.core.canonical import canonical
from agent_runtime.core.policy import Approval
from agent_runtime.engine.model import ModelRequest
from agent_runtime.tools import Tool

AGENT = "conformance"
GATED = ("keyed", "checkable", "unsafe")
KINDS = ("idempotent", *GATED)


REVIEWER = "U0REVIEWER1"
"""The Slack user who may decide on `raced`."""

RACED_FOR = 2.0
"""Seconds after which an approval of `raced` expires."""


def agent(ledger: Ledger, *, takes: float = 0.0, version: str = "1", channels: Sequence[str] = ()) -> Agent:
    """An agent whose tools write to `ledger`; each call takes `takes` seconds before its effect.

    `raced` is as unsafe as `unsafe`, and its approvals end soon; `version` is that of `unsafe`. For each of `channels`
    there is one more unsafe tool (`posted_in`), whose cards are shown there.
    """

    async def act(kind: str, reference: str, key: str = "") -> str:
        if takes:
            await asyncio.sleep(takes)
        ledger.add(kind, reference, key)
        return f"{kind} done"

    async def idempotent(reference: str) -> str:
        return await act("idempotent", reference)

    async def keyed(reference: str, idempotency_key: str) -> str:
        return await act("keyed", reference, idempotency_key)

    async def checkable(reference: str, idempotency_key: str) -> str:
        return await act("checkable", reference, idempotency_key)

    async def happened(reference: str) -> str | None:
        return "checkable done" if ledger.count(reference, "checkable") else None

    async def unsafe(reference: str) -> str:
        return await act("unsafe", reference)

    async def raced(reference: str) -> str:
        return await act("raced", reference)

    return Agent(
        AGENT,
        tools=[
            Tool(idempotent),
            Tool(keyed, approval_required=True, effect="keyed"),
            Tool(checkable, approval_required=True, effect="checkable", lookup=happened),
            Tool(unsafe, approval_required=True, version=version),
            Tool(
                raced,
                approval_required=True,
                approval=Approval(reviewers=[REVIEWER], expires_in_hours=RACED_FOR / 3600),
            ),
            *(
                Tool(_named(act, posted_in(number)), name=posted_in(number), approval=Approval(channel=channel))
                for number, channel in enumerate(channels)
            ),
        ],
    )


def posted_in(number: int) -> str:
    """The name of the tool whose cards are shown in that channel."""
    return f"posted_{number}"


def _named(act: Callable[[str, str], Awaitable[str]], kind: str) -> Callable[..., Awaitable[str]]:
    """The function of one more tool."""

    async def posted(reference: str) -> str:
        return await act(kind, reference)

    return posted


class Model:
    """Calls what the prompt names (`REFERENCE` or `REFERENCE tool tool …`), all at once, then says that it is done.

    A reasoner's question, which comes without tools, is answered by a word.
    """

    async def complete(self, request: ModelRequest) -> dict[str, Any]:
        messages = request.messages
        if not request.tools:
            return _reply({"role": "assistant", "content": "weighed"})
        if any(message["role"] == "tool" for message in messages):
            return _reply({"role": "assistant", "content": "done"})
        prompt = next(str(message["content"]) for message in messages if message["role"] == "user")
        reference, *named = prompt.split()
        calls = [
            {
                "id": f"call_{name}",
                "type": "function",
                "function": {"name": name, "arguments": canonical({"reference": reference})},
            }
            for name in named or KINDS
        ]
        return _reply({"role": "assistant", "tool_calls": calls})

    async def close(self) -> None:
        """Nothing is open."""


def _reply(message: dict[str, Any]) -> dict[str, Any]:
    ending = "tool_calls" if "tool_calls" in message else "stop"
    return {"message": message, "usage": {}, "model": "scripted", "finish_reason": ending}

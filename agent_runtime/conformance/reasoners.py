"""The reasoners that are run: steps, the model, pauses, two lines side by side, and a child execution."""

from __future__ import annotations

import asyncio

from agent_runtime.agent import Agent
from agent_runtime.conformance.agents import AGENT
from agent_runtime.conformance.ledger import Ledger
from agent_runtime.context import ApprovalResult

REASONERS = "conformance-reasoners"
CONFIRM, ASK = "confirm", "ask"

STEPS = {CONFIRM: ("beside", "after"), ASK: ("before", "after")}
"""What the steps of each write to the ledger."""

NOTES = {CONFIRM: ("weighed", "confirmed"), ASK: ()}
CHILD_KINDS = ("keyed", "unsafe")
"""The calls of the child that `confirm` waits for."""

BESIDE = 0.05
"""Seconds that the line beside a pause does nothing, so that the execution has parked when it goes on."""


def child_of(reference: str) -> str:
    """The reference of the child's effects."""
    return f"{reference}.child"


def reasoners(ledger: Ledger) -> Agent:
    """An agent whose steps write to `ledger`.

    `confirm` asks under an id of its own, which it resumes after a crash, while another line goes on; then it calls a
    child. `ask` asks under an id that it does not know.
    """
    app = Agent(REASONERS)

    @app.step
    async def effect(reference: str, kind: str) -> str:
        ledger.add(kind, reference)
        return kind

    async def beside(reference: str) -> None:
        await asyncio.sleep(BESIDE)
        await effect.named("beside")(reference, "beside")

    async def confirmation(reference: str) -> ApprovalResult:
        asked = f"{reference}-confirm"
        found = await app.wait_for_resume(approval_request_id=asked)
        return found or await app.pause(approval_request_id=asked, title=f"Confirm {reference}")

    async def confirm(reference: str) -> str:
        app.note(await app.ai(user=reference))
        _, confirmed = await asyncio.gather(beside(reference), confirmation(reference))
        await effect(reference, "after")
        app.note("confirmed")
        await app.call(AGENT, prompt=" ".join((child_of(reference), *CHILD_KINDS)))
        return confirmed.decision

    async def ask(reference: str) -> str:
        await effect(reference, "before")
        answer = await app.pause(title=f"May {reference} go on?")
        await effect(reference, "after")
        return answer.decision

    app.reasoner(CONFIRM, tags=["entry"])(confirm)
    app.reasoner(ASK)(ask)
    return app

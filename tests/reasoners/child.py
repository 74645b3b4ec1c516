"""A server in a process of its own, to be killed: `python -m tests.reasoners.child DATABASE_URL LEDGER [STAGE]`.

Everything that its reasoner does outside of the journal is one line in the ledger file. At STAGE the process says so on
its standard output and goes no further; without a stage it runs until it is killed. It ends with its standard input.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from agent_runtime.agent import Agent
from agent_runtime.replica import Replica
from agent_runtime.settings import Settings
from tests.reasoners.running import AGENT, Answers

STAGES = ("in ai", "before the effect", "after the effect", "at the end")


def claims(ledger: Path, stage: str = "") -> tuple[Agent, Answers]:
    """The agent and its model: it assesses, asks people, and pays in a step."""
    app = Agent(AGENT)

    def happened(what: str) -> None:
        with ledger.open("a") as lines:
            lines.write(f"{what}\n")
            lines.flush()
            os.fsync(lines.fileno())

    async def answer(question: str) -> str:
        await reach("in ai", stage)
        happened(f"asked {question}")
        return "risky"

    @app.step
    async def pay(claim_id: str) -> str:
        await reach("before the effect", stage)
        happened(f"paid {claim_id}")
        await reach("after the effect", stage)
        return "paid"

    @app.reasoner()
    async def claim(claim_id: str) -> dict[str, Any]:
        happened(f"began {claim_id}")
        risk = await app.ai(user=claim_id)
        app.note(f"risk of {claim_id}: {risk}")
        result = await app.pause(approval_request_id=f"claim-{claim_id}")
        app.note(f"{claim_id} was {result.decision}")
        paid = await pay(claim_id) if result.approved else "not paid"
        await reach("at the end", stage)
        return {"risk": risk, "decision": result.decision, "feedback": result.feedback, "pay": paid}

    return app, Answers(answer)


async def reach(here: str, stage: str) -> None:
    """Stops for ever at `stage`."""
    if here == stage:
        print(here, flush=True)  # noqa: T201 - this is how the test hears of it
        await asyncio.Event().wait()


async def main(database_url: str, ledger: str, stage: str = "") -> None:
    app, model = claims(Path(ledger), stage)
    async with Replica(Settings(database_url=database_url), model=model, surfaces=False) as replica:
        await replica.deploy(app)
        print("ready", flush=True)  # noqa: T201
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

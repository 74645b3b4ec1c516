"""A server in a process of its own, to be killed: `python -m tests.engine.child DATABASE_URL LEDGER [STAGE]`.

Its agent refunds what the prompt says. An effect is one line in the ledger file. At STAGE the process says so on its
standard output and goes no further; without a stage it runs until it is killed. It ends with its standard input.
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
from agent_runtime.tools import Tool
from tests.engine.replies import Replies, calls, says

STAGES = ("first reply", "before the effect", "after the effect", "second reply")


def agent(ledger: Path, stage: str = "") -> tuple[Agent, Replies]:
    """The agent and its model. `unsafe` and `keyed` are gated, `free` is not; each writes to the ledger."""

    async def act(kind: str, order: str) -> str:
        await reach("before the effect", stage)
        with ledger.open("a") as lines:
            lines.write(f"{kind} {order}\n")
            lines.flush()
            os.fsync(lines.fileno())
        await reach("after the effect", stage)
        return f"{kind} done"

    async def unsafe(order: str) -> str:
        return await act("unsafe", order)

    async def keyed(order: str, idempotency_key: str) -> str:
        return await act("keyed", f"{order} {idempotency_key}")

    async def ask(request: Any) -> dict[str, Any]:
        await reach("first reply", stage)
        prompt = request.messages[0]["content"]
        return calls(*((name, {"order": prompt}) for name in ("unsafe", "keyed")))

    async def answer(request: Any) -> dict[str, Any]:
        await reach("second reply", stage)
        return says("Done.")

    tools = [Tool(unsafe, approval_required=True), Tool(keyed, approval_required=True, effect="keyed")]
    return Agent("an_agent", tools=tools), Replies(ask, answer)


async def reach(here: str, stage: str) -> None:
    """Stops for ever at `stage`."""
    if here == stage:
        print(here, flush=True)  # noqa: T201 - this is how the test hears of it
        await asyncio.Event().wait()


async def main(database_url: str, ledger: str, stage: str = "") -> None:
    defined, model = agent(Path(ledger), stage)
    async with Replica(Settings(database_url=database_url), model=model, surfaces=False) as replica:
        await replica.deploy(defined)
        print("ready", flush=True)  # noqa: T201
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

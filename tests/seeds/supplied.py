"""What the programs leave to their user: a reviewer service, a senior reviewer. Each call is one line in a file."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent_runtime import Agent

LEDGER, STAGE, DURABLE = "TEST_LEDGER", "TEST_STAGE", "TEST_DURABLE"
"""The file; where to stop for ever; whether `create_review` is a step."""

REQUEST_ID = "req-abc-123"


def supplied() -> dict[str, Callable[..., Any]]:
    """The functions, by their names."""
    create = Agent("the_program").step(create_review) if os.environ.get(DURABLE) else create_review
    return {"create_review": create, "notify_senior_reviewer": notify_senior_reviewer}


async def create_review(decision: Any) -> str:
    await reach("before the review")
    happened(f"review of {decision.amount_usd:g} USD")
    await reach("after the review")
    return REQUEST_ID


async def notify_senior_reviewer(claim_id: str) -> None:
    happened(f"senior reviewer told of {claim_id}")


def happened(what: str) -> None:
    with Path(os.environ[LEDGER]).open("a") as lines:
        lines.write(f"{what}\n")
        lines.flush()
        os.fsync(lines.fileno())


async def reach(here: str) -> None:
    """Stops for ever at the stage that the environment names, and says so."""
    if os.environ.get(STAGE) == here:
        sys.stdout.write(f"{here}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()

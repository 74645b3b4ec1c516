"""What the programs leave to their user: a reviewer service, a senior reviewer, mail, accounts, an agent.

Each call of theirs is one line in a file.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from agent_runtime import Agent
from agent_runtime.tools import Tool

LEDGER, STAGE, DURABLE = "TEST_LEDGER", "TEST_STAGE", "TEST_DURABLE"
"""The file; where to stop for ever; whether `create_review` is a step."""

REQUEST_ID = "req-abc-123"


def supplied() -> dict[str, Any]:
    """The functions and services, by their names."""
    create = Agent("the_program").step(create_review) if os.environ.get(DURABLE) else create_review
    return {
        "create_review": create,
        "notify_senior_reviewer": notify_senior_reviewer,
        "email_service": SimpleNamespace(send=send_mail),
        "accounts_db": SimpleNamespace(delete=delete_account),
        "records_db": SimpleNamespace(delete=delete_records),
    }


def agent_of(ran: Mapping[str, Any]) -> Agent:
    """The agent that a program defines, or one with the tools that it defines."""
    found: Agent = (
        ran["app"] if "app" in ran else Agent("outreach", tools=[v for v in ran.values() if isinstance(v, Tool)])
    )
    return found


def delete_records(table: str, where: str) -> str:
    happened(f"deleted {table} where {where}")
    return "3 rows deleted"


async def create_review(decision: Any) -> str:
    await reach("before the review")
    happened(f"review of {decision.amount_usd:g} USD")
    await reach("after the review")
    return REQUEST_ID


async def notify_senior_reviewer(claim_id: str) -> None:
    happened(f"senior reviewer told of {claim_id}")


def send_mail(template_id: str, recipient_count: int) -> dict[str, int]:
    """The templates "before" and "after" are held around the effect, where the environment says so."""
    hold("before", template_id)
    happened(f"mail {template_id}")
    hold("after", template_id)
    return {"sent": recipient_count}


def delete_account(customer_id: str) -> dict[str, str]:
    happened(f"deleted {customer_id}")
    return {"deleted": customer_id}


def hold(here: str, template_id: str) -> None:
    if template_id == here and os.environ.get(STAGE) == "mail":
        sys.stdout.write(f"holds {here}\n")
        sys.stdout.flush()
        threading.Event().wait()


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

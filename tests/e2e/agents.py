"""Agents for the end-to-end tests, beside the samples: short ladders, two approvers, calls that wait to be let go.

Their tools have the names of the samples' tools, so that the scripted model plays their part too.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agent_runtime import Agent, Approval, tool
from examples.ledger import record
from examples.prod_change_demo import get_rollout_context
from examples.refund_agent import get_customer, get_order

FOLDER = "COUNTERSIGN_E2E_FOLDER"
"""The environment variable that names the folder through which a test and a held call meet."""

HELD_AT_MOST = 60.0


def execute_rollout(change_id: str, rollout_plan: str, reason: str, idempotency_key: str = "") -> dict[str, Any]:
    """Roll out a production change."""
    arguments = {"change_id": change_id, "rollout_plan": rollout_plan, "reason": reason}
    record("execute_rollout", arguments, idempotency_key)
    return {"status": "rolled_out", "change_id": change_id}


def process_refund(order_id: str, amount: float, idempotency_key: str = "") -> dict[str, Any]:
    """Issue a refund. For ORD-EARLY… it waits before the effect, for ORD-LATE… after it, until the test lets it go."""
    _hold(order_id, "ORD-EARLY")
    record("process_refund", {"order_id": order_id, "amount": amount}, idempotency_key)
    _hold(order_id, "ORD-LATE")
    return {"refunded": True, "order_id": order_id, "amount": amount}


def _hold(order_id: str, prefix: str) -> None:
    if not order_id.startswith(prefix):
        return
    folder = Path(os.environ[FOLDER])
    (folder / f"{order_id}.held").touch()
    until = time.monotonic() + HELD_AT_MOST
    while not (folder / f"{order_id}.go").exists():
        if time.monotonic() > until:
            raise TimeoutError(f"nobody let {order_id} go")
        time.sleep(0.01)


def _rollout(name: str, ladder: Approval) -> Agent:
    gated = tool(approval_required=True, approval=ladder)(execute_rollout)
    return _agent(name, [get_rollout_context, gated])


def _refund(name: str, **gate: Any) -> Agent:
    gated = tool(approval_required=True, **gate)(process_refund)
    return _agent(name, [get_order, get_customer, gated])


def _agent(name: str, tools: Sequence[Callable[..., Any]]) -> Agent:
    return Agent(name=name, model="openai/gpt-4o-mini", tools=list(tools), instructions="Look first, then act.")


def _seconds(seconds: float) -> float:
    """As `expires_in_hours` takes it."""
    return seconds / 3600


# The warning comes a sixth of a life before the expiry, and the sweep that notices comes once a second.
agents = [
    _rollout("quick_rollout", Approval(remind_after="1s", escalate_after="2s", expires_in_hours=_seconds(7.5))),
    _rollout("patient_rollout", Approval(expires_in_hours=_seconds(15))),
    _refund("joint_refund", approval=Approval(quorum=2)),
    _refund("held_refund"),
    _refund("keyed_refund", effect="keyed"),
]

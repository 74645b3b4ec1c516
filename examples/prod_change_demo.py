"""An agent that reviews a production change and asks people before it rolls it out; they have a minute to answer."""

from __future__ import annotations

from typing import Any

from agent_runtime import Agent, Approval, tool

from .ledger import record

# Short on purpose: reminder, escalation and expiry can be watched within a minute.
ladder = Approval(remind_after="15s", escalate_after="30s", expires_in_hours=60 / 3600)


@tool
def get_rollout_context(change_id: str) -> dict[str, Any]:
    """Get the service, the risk and the blast radius of a production change."""
    return {"service": "checkout-api", "risk": "medium", "blast_radius": "10% canary"}


@tool(approval_required=True, approval=ladder)
def execute_rollout(change_id: str, rollout_plan: str, reason: str, idempotency_key: str = "") -> dict[str, Any]:
    """Roll out a production change. Requires human approval."""
    arguments = {"change_id": change_id, "rollout_plan": rollout_plan, "reason": reason}
    record("execute_rollout", arguments, idempotency_key)
    return {"status": "rolled_out", "change_id": change_id}


agent = Agent(
    name="prod_change_demo",
    model="openai/gpt-4o-mini",
    tools=[get_rollout_context, execute_rollout],
    instructions=(
        "Review the change context. If it looks safe, call execute_rollout "
        "with a short rollout plan and a short reason."
    ),
)

"""The agent of these tests: one free tool, two gated ones, and a record of what really happened."""

from __future__ import annotations

from typing import Any

from agent_runtime import Agent, Approval, tool


class Ledger(list[tuple[Any, ...]]):
    """What the gated tools did, in order."""


def refund_agent(ledger: Ledger, *, approval: Approval | None = None, name: str = "refund_agent") -> Agent:
    """`get_order` is free; `process_refund` (with `approval`, where given) and `delete_account` wait for people."""

    @tool
    def get_order(order_id: str) -> dict[str, Any]:
        """Look up an order."""
        return {"order_id": order_id, "amount": 29.99}

    @tool(approval_required=True, approval=approval)
    def process_refund(order_id: str, amount: float) -> dict[str, Any]:
        """Pay an order back."""
        ledger.append(("refund", order_id, amount))
        return {"refunded": True, "order_id": order_id}

    @tool(approval_required=True)
    def delete_account(customer_id: str) -> dict[str, Any]:
        """Delete an account."""
        ledger.append(("delete", customer_id))
        return {"deleted": customer_id}

    return Agent(name, model="openai/scripted", tools=[get_order, process_refund, delete_account])

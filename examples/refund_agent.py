"""An agent that looks up an order and its customer by itself, and asks people before it pays money back."""

from __future__ import annotations

from typing import Any

from agent_runtime import Agent, Approval, tool

from .ledger import record


@tool
def get_order(order_id: str) -> dict[str, Any]:
    """Look up an order by ID."""
    return {"order_id": order_id, "amount": 29.99, "status": "delivered"}


@tool
def get_customer(customer_id: str) -> dict[str, Any]:
    """Get customer account details."""
    return {"customer_id": customer_id, "name": "Alex", "email": "alex@example.com"}


@tool(approval_required=True, approval=Approval(quorum=1, expires_in_hours=24))
def process_refund(order_id: str, amount: float, idempotency_key: str = "") -> dict[str, Any]:
    """Issue a refund. Requires human approval."""
    record("process_refund", {"order_id": order_id, "amount": amount}, idempotency_key)
    return {"refunded": True, "order_id": order_id, "amount": amount}


agent = Agent(
    name="refund_agent",
    model="openai/gpt-4o-mini",
    tools=[get_order, get_customer, process_refund],
    instructions="""You handle refund requests.
1. Look up the order
2. Look up the customer
3. Call process_refund — it will pause for human approval automatically
""",
)

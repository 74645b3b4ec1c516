"""A refund that a person decides at the terminal: start, poll, ask, decide, wait for the result."""
# ruff: noqa: T201

import time

from agent_runtime import Agent, start, tool

refunds = []


@tool
def get_order(order_id: str) -> dict:
    """Look up an order."""
    return {"order_id": order_id, "amount": 29.99, "status": "delivered"}


@tool
def get_customer(customer_id: str) -> dict:
    """Look up a customer."""
    return {"customer_id": customer_id, "name": "Alex", "email": "alex@example.com"}


@tool(approval_required=True)
def process_refund(order_id: str, amount: float) -> dict:
    """Pay an order back."""
    refunds.append((order_id, amount))
    return {"refunded": True, "order_id": order_id, "amount": amount}


agent = Agent(
    name="refund_agent",
    model="openai/gpt-4o-mini",
    tools=[get_order, get_customer, process_refund],
    instructions="""Look up the order and the customer, then call process_refund.""",
)

handle = start(agent, "Customer Alex (cust_001) wants a refund on order ORD-8821")
print(f"Run: {handle.execution_id}")

for _ in range(60):
    time.sleep(2)
    status = handle.get_status()
    if status.is_waiting:
        decision = input("Approve? (y/n): ").strip().lower()
        if decision == "y":
            handle.approve()
            result = handle.stream().get_result()
            print("Result:", result.output["result"])
        else:
            reason = input("Why not? ").strip()
            handle.reject(reason)
            print("Rejected.")
        break
    if status.is_complete:
        print("Completed:", status.output["result"])
        break

# ruff: noqa
# fmt: off
import time
from agent_runtime import Agent, tool, start
# Tools that run automatically
@tool
def get_order(order_id: str) -> dict:
    """Look up an order by ID."""
    return {"order_id": order_id, "amount": 29.99, "status": "delivered"}
@tool
def get_customer(customer_id: str) -> dict:
    """Get customer account details."""
    return {"customer_id": customer_id, "name": "Alex", "email": "alex@example.com"}
# Tool that requires human approval before executing
@tool(approval_required=True)
def process_refund(order_id: str, amount: float) -> dict:
    """Issue a refund. Requires human approval."""
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
# Start the agent — returns immediately, workflow runs on the server
handle = start(agent, "Customer Alex (cust_001) wants a refund on order ORD-8821")
print(f"Run ID: {handle.execution_id}")
# Poll until the agent reaches the approval checkpoint
for _ in range(60):
    time.sleep(2)
    status = handle.get_status()
    if status.is_waiting:
        print("\n--- Approval required ---")
        print(f"Agent wants to call: process_refund")
        print(f"Order: ORD-8821 Amount: $29.99")
        decision = input("Approve? (y/n): ").strip().lower()
        if decision == "y":
            handle.approve()
            print("Approved. Waiting for agent to complete...")
            result = handle.stream().get_result()
            print("\nResult:", result.output["result"])
        else:
            reason = input("Rejection reason: ").strip()
            handle.reject(reason)
            print("Rejected.")
        break
    if status.is_complete:
        print("Completed:", status.output["result"])
        break

# ruff: noqa
# fmt: off
from agent_runtime import tool
@tool(approval_required=True)
def process_refund(order_id: str, amount: float) -> dict:
    """Process a refund. Requires human approval before executing."""
    return billing_api.refund(order_id, amount)

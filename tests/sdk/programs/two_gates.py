"""Two gated tools: each call of one is an approval of its own. `email_service` and `accounts_db` are the caller's."""
# ruff: noqa: F821

from agent_runtime import Agent, tool


@tool(approval_required=True)
def send_email_blast(template_id: str, recipient_count: int) -> dict:
    """Write to all subscribers."""
    return email_service.send(template_id, recipient_count)


@tool(approval_required=True)
def delete_account(customer_id: str, reason: str) -> dict:
    """Delete an account for good."""
    return accounts_db.delete(customer_id)


agent = Agent("outreach", model="openai/gpt-4o-mini", tools=[send_email_blast, delete_account])

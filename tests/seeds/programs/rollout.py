# ruff: noqa
# fmt: off
from agent_runtime import Agent, AgentRuntime, tool

@tool
def get_rollout_context(change_id: str) -> dict:
    return {"service": "checkout-api", "risk": "medium", "blast_radius": "10% canary"}

@tool(approval_required=True)
def execute_rollout(change_id: str, rollout_plan: str, reason: str) -> dict:
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

with AgentRuntime() as runtime:
    runtime.deploy(agent)
    handle = runtime.start(agent.name, "Review change CHG-901 and execute if safe.")
    if handle.get_status().is_waiting:
        handle.approve()

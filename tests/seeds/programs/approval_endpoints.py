# ruff: noqa
# fmt: off
# When a run starts, store the execution_id
handle = start(agent, customer_message)
db.store_pending_approval(
    execution_id=handle.execution_id,
    context={"customer": customer_id, "action": "refund"},
)
# Notify your approval channel (Slack, email, internal tool)
notify_approver(handle.execution_id)
# Later — your approval endpoint (FastAPI, Flask, Lambda, etc.)
from agent_runtime import AgentRuntime, AgentHandle
# In a web app, the agent (with its tools) must already be served.
# Call runtime.serve(agent, blocking=False) at app startup, then reconnect here.
@app.post("/approvals/{execution_id}/approve")
def approve(execution_id: str):
    handle = AgentHandle(execution_id=execution_id, runtime=app.state.runtime)
    handle.approve()
    return {"approved": True}
@app.post("/approvals/{execution_id}/reject")
def reject(execution_id: str, reason: str):
    handle = AgentHandle(execution_id=execution_id, runtime=app.state.runtime)
    handle.reject(reason)
    return {"rejected": True}

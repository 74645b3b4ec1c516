"""Decisions from a web application. `app`, `agent`, `db`, `notify_approver` and the message are the caller's."""
# ruff: noqa: F821

from agent_runtime import AgentHandle, start

handle = start(agent, customer_message)
db.store_pending_approval(
    execution_id=handle.execution_id,
    context={"customer": customer_id, "action": "refund"},
)
notify_approver(handle.execution_id)


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

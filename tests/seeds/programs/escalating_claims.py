"""The lines between `result =` and the last `return` stand in nothing; the reasoner around them is supplied."""

# ruff: noqa
# fmt: off
from agent_runtime import Agent
app = Agent("escalating-claims")
@app.reasoner()
async def process_claim(claim_id: str):
    result = await app.pause(
        approval_request_id=f"claim-{claim_id}",
        expires_in_hours=24,
    )
    if result.decision == "expired":
        # No response in 24 hours — escalate to senior reviewer
        await notify_senior_reviewer(claim_id)
        return {"decision": "escalated", "reason": "approval_timeout"}
    return {"decision": result.decision}

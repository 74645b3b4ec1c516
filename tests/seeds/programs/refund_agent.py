# ruff: noqa
# fmt: off
import os
from pydantic import BaseModel
from agent_runtime import Agent
app = Agent(node_id="refund-agent")
class RefundDecision(BaseModel):
    approve: bool
    amount_usd: float
    reason: str
    confidence: float # 0.0 - 1.0
@app.reasoner(tags=["entry"])
async def decide_refund(ticket: str, model: str | None = None) -> dict:
    decision = await app.ai(
        system="Decide whether to refund. Return approve, amount_usd, reason, confidence.",
        user=ticket,
        schema=RefundDecision,
        model=model,
    )
    if decision.confidence >= 0.9:
        return {"status": "auto_approved", "decision": decision.model_dump()}
    # Low confidence: create the review on your reviewer service, then suspend.
    request_id = await create_review(decision) # your code: writes to your DB/queue
    result = await app.pause(
        approval_request_id=request_id,
        approval_request_url=f"https://review.acme.com/refunds/{request_id}",
        expires_in_hours=48,
    )
    if result.approved:
        return {"status": "approved", "feedback": result.feedback,
                "decision": decision.model_dump()}
    return {"status": result.decision, "feedback": result.feedback}
if __name__ == "__main__":
    app.run(host="0.0.0.0", port=int(os.getenv("PORT", "8001")), auto_port=False)

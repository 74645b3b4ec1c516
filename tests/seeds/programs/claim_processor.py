# ruff: noqa
# fmt: off
from agent_runtime import Agent
from pydantic import BaseModel
app = Agent("claim-processor")
class ClaimAssessment(BaseModel):
    risk_score: int # 0-100
    fraud_indicators: list[str]
    recommended_action: str # "auto_approve", "review", "reject"
    summary: str
@app.reasoner()
async def process_claim(claim_id: str, amount: float, description: str):
    # AI analyzes the claim
    assessment = await app.ai(
        system="You are an insurance claim assessor. Evaluate risk and fraud indicators.",
        user=f"Claim #{claim_id}: ${amount:,.2f} - {description}",
        schema=ClaimAssessment,
    )
    app.note(f"Risk score: {assessment.risk_score}/100", tags=["assessment"])
    # Low risk: auto-approve
    if assessment.risk_score < 40 and amount < 10000:
        app.note("Auto-approved: low risk, low value", tags=["decision"])
        return {"decision": "approved", "method": "automatic"}
    # High risk or high value: pause for human review
    app.note(
        f"Escalating for human review: risk={assessment.risk_score}, amount=${amount:,.2f}",
        tags=["escalation"],
    )
    result = await app.pause(
        approval_request_id=f"claim-{claim_id}",
        approval_request_url=f"https://dashboard.example.com/claims/{claim_id}",
        expires_in_hours=24,
    )
    if result.approved:
        app.note(f"Approved by reviewer. Feedback: {result.feedback}", tags=["decision"])
        return {"decision": "approved", "method": "human", "feedback": result.feedback}
    if result.changes_requested:
        app.note(f"Changes requested: {result.feedback}", tags=["decision"])
        return {"decision": "needs_review", "feedback": result.feedback}
    app.note(f"Rejected by reviewer. Reason: {result.feedback}", tags=["decision"])
    return {"decision": "rejected", "reason": result.feedback}
@app.reasoner()
async def resilient_claim_processor(claim_id: str, amount: float, description: str):
    # Check if we crashed while waiting for a previous approval
    pending = await app.wait_for_resume(
        approval_request_id=f"claim-{claim_id}",
        timeout=3600,
    )
    if pending:
        # We had a pending approval — the reviewer may have already decided
        if pending.approved:
            app.note("Resumed after crash: claim was approved", tags=["recovery"])
            return {"decision": "approved", "method": "human", "feedback": pending.feedback}
        if pending.changes_requested:
            return {"decision": "needs_review", "feedback": pending.feedback}
        return {"decision": "rejected", "reason": pending.feedback}
    # No pending approval — run the full analysis
    assessment = await app.ai(
        system="You are an insurance claim assessor.",
        user=f"Claim #{claim_id}: ${amount:,.2f} - {description}",
        schema=ClaimAssessment,
    )
    if assessment.risk_score < 40 and amount < 10000:
        return {"decision": "approved", "method": "automatic"}
    result = await app.pause(
        approval_request_id=f"claim-{claim_id}",
        approval_request_url=f"https://dashboard.example.com/claims/{claim_id}",
        expires_in_hours=24,
    )
    if result.approved:
        return {"decision": "approved", "method": "human", "feedback": result.feedback}
    return {"decision": "rejected", "reason": result.feedback}

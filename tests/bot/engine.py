"""The engine's part, done by hand: tests move executions on the database themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent_runtime.core.approval import ApprovalRequest, Decision, Verdict
from agent_runtime.core.execution import Execution, Step, StepStatus
from agent_runtime.core.policy import Approval, Defaults, merge
from agent_runtime.core.principal import LOCAL_OPERATOR, Actor, Via
from agent_runtime.operations.advance import ProposedCall, record_reply
from agent_runtime.operations.calls import finish_call, start_call
from agent_runtime.operations.claim import claim, park
from agent_runtime.operations.resolve import Resolution, resolve
from agent_runtime.operations.start import Start, start
from agent_runtime.operations.sweep import sweep
from agent_runtime.store.approvals import GET_APPROVAL, OF_EXECUTION
from agent_runtime.store.clock import system_clock
from agent_runtime.store.database import Database
from agent_runtime.store.executions import GET_EXECUTION, OF_CONVERSATION, claim_queued
from agent_runtime.store.steps import GET_STEP, JOURNAL
from bot.surface import SlackSurface
from tests.bot.seeing import until
from tests.bot.workspace import AGENTS, REFUND, TEAM


class Clock:
    """The process clock, which tests can put forward."""

    def __init__(self) -> None:
        self.ahead = 0

    def __call__(self) -> int:
        return system_clock() + self.ahead

    def forward(self, seconds: float) -> None:
        self.ahead += round(seconds * 1_000_000)


@dataclass
class Engine:
    """What runs executions, and what decides through other doors than Slack."""

    database: Database
    surface: SlackSurface
    clock: Clock

    async def runs(self, message_ts: str, channel: str = AGENTS) -> Execution:
        """The execution that a message in its own thread has started."""

        async def started() -> Execution | None:
            rows = await self.database.all(
                OF_CONVERSATION, b_conversation=f"slack:{TEAM}:{channel}:{message_ts}", b_limit=1
            )
            return rows[0] if rows else None

        return await until(started, f"an execution of {message_ts}")

    async def proposes(
        self,
        execution: Execution,
        gate: Approval | None = None,
        *,
        tool_name: str = "process_refund",
        arguments: Mapping[str, Any] = REFUND,
        words: str = "",
    ) -> ApprovalRequest:
        """The model proposes a gated call, and the execution waits."""
        execution = await self.claims(execution)
        policy = merge([gate or Approval()], self.defaults(), rules=(f"tool:{tool_name}",))
        call = ProposedCall("call_1", tool_name, arguments, effect="unsafe", policy=policy)
        reply = {"message": {"role": "assistant", "content": words, "tool_calls": []}}
        journal = await self.database.all(JOURNAL, b_id=execution.execution_id)
        await self.database.write(record_reply, execution, len(journal), len(journal), reply, [call])
        await self.database.write(park, execution, execution.signals)
        approvals = await self.database.all(OF_EXECUTION, b_execution=execution.execution_id)
        return approvals[-1]

    def defaults(self) -> Defaults:
        """The environment's answers, as the runtime composes them."""
        return Defaults(approval=self.surface.approval_defaults, notified=True)

    async def claims(self, execution: Execution) -> Execution:
        """A worker takes the execution."""
        await self.database.write(claim, claim_queued([execution.agent]), "test-worker", 100, Defaults())
        current = await self.database.one(GET_EXECUTION, b_id=execution.execution_id)
        assert current is not None
        return current

    async def performs(self, approval: ApprovalRequest, result: Mapping[str, Any]) -> Step:
        """The approved call starts and ends with `result`."""
        execution = await self.claims(await self.execution(approval.execution_id or ""))
        assert approval.position is not None
        step = await self.database.one(GET_STEP, b_id=execution.execution_id, b_position=approval.position)
        assert step is not None
        begun = await self.database.write(start_call, execution, approval.position, step.tool_version)
        status = StepStatus.failed if "error" in result else StepStatus.succeeded
        return await self.database.write(finish_call, execution, begun, status, result)

    async def execution(self, execution_id: str) -> Execution:
        found = await self.database.one(GET_EXECUTION, b_id=execution_id)
        assert found is not None
        return found

    async def approval(self, approval: ApprovalRequest) -> ApprovalRequest:
        """As it is now."""
        found = await self.database.one(GET_APPROVAL, b_id=approval.approval_request_id)
        assert found is not None
        return found

    async def ends(self, approval: ApprovalRequest) -> ApprovalRequest:
        """The approval, once it is no longer pending."""

        async def ended() -> ApprovalRequest | None:
            current = await self.approval(approval)
            return None if current.pending else current

        return await until(ended, f"{approval.approval_request_id} ends")

    async def decides(self, approval: ApprovalRequest, verdict: Verdict, feedback: str = "") -> Resolution:
        """An operator decides through the API."""
        by = Actor("api:ci", operator=True)
        return await self.database.write(
            resolve, approval.approval_request_id, Decision(verdict, feedback), by=by, via=Via.api
        )

    async def votes(self, approval: ApprovalRequest, user: str) -> ApprovalRequest:
        """A reviewer approves, through the API with a token that is theirs."""
        by = Actor(f"slack:{TEAM}:{user}", frozenset({user}))
        decision = Decision(Verdict.approved)
        return (await self.database.write(resolve, approval.approval_request_id, decision, by=by, via=Via.api)).approval

    async def started_by_operator(self) -> Execution:
        """An execution that nobody asked for in Slack."""
        wanted = Start(agent="refund_agent", given={"prompt": "refund it"})
        return (await self.database.write(start, wanted, by=LOCAL_OPERATOR, via=Via.api)).execution

    async def direct_message(self, user: str) -> str:
        """The channel in which a person and the bot are alone."""
        channels = (await self.get("/channels", user=user))["channels"]
        return next(str(channel["id"]) for channel in channels if channel.get("is_im"))

    async def sweeps(self) -> None:
        await self.database.write(sweep)

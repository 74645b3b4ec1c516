"""Arguments that people change before a call runs: whether they did, and whether the tool can take them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent_runtime.agent import Agent
from agent_runtime.core.approval import ApprovalRequest, Kind
from agent_runtime.core.deciding import Fits
from agent_runtime.errors import InvalidRequest
from agent_runtime.store.approvals import GET_APPROVAL
from agent_runtime.store.rows import Touched
from agent_runtime.store.tx import Tx


def were_edited(tx: Tx, approval: ApprovalRequest | Touched) -> bool:
    """Whether what runs is other than what the agent proposed, along the chain of questions about the call."""
    first: ApprovalRequest | Touched | None = approval
    while first is not None and first.supersedes is not None:
        first = tx.one(GET_APPROVAL, b_id=first.supersedes)
    return first is None or approval.run_arguments != first.arguments


def fitting(agents: Mapping[str, Agent]) -> Fits:
    """The check of edited arguments by the tools that this process has loaded, as they are when it is made.

    Of another process's tools, or of another version, it says nothing: there the call's start looks.
    """

    def check(approval: ApprovalRequest, edited: Mapping[str, Any]) -> None:
        agent = agents.get(approval.agent) if approval.kind == Kind.tool else None
        tool = None if agent is None else agent.tool(approval.tool_name)
        if tool is None or tool.version != approval.tool_version:
            return
        try:
            tool.validate(edited)
        except InvalidRequest as error:
            raise InvalidRequest(f"edited_arguments: {error.message.removeprefix(f'{tool.name}: ')}") from None

    return check

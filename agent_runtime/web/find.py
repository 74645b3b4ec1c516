"""What a path names, or 404."""

from __future__ import annotations

from aiohttp import web

from agent_runtime.core.approval import ApprovalRequest
from agent_runtime.core.epochs import unknown
from agent_runtime.core.execution import Execution
from agent_runtime.core.ids import APPROVAL_REQUEST_ID
from agent_runtime.errors import NotFound
from agent_runtime.store.approvals import GET_APPROVAL
from agent_runtime.store.database import Database
from agent_runtime.store.epochs import EPOCHS
from agent_runtime.store.executions import GET_EXECUTION
from agent_runtime.web.authentication import DATABASE


async def execution(request: web.Request) -> Execution:
    """The execution that the path names; raises NotFound."""
    wanted = request.match_info["execution_id"]
    # No id has another form, and some texts no database takes.
    if APPROVAL_REQUEST_ID.fullmatch(wanted):
        database = request.app[DATABASE]
        found = await database.one(GET_EXECUTION, b_id=wanted)
        if found is not None:
            return found
        raise unknown("execution", wanted, await database.all(EPOCHS))
    raise NotFound("no execution has this id")


async def approval(request: web.Request) -> ApprovalRequest:
    """The approval that the path names; raises NotFound."""
    return await approval_called(request.app[DATABASE], request.match_info["approval_request_id"])


async def approval_called(database: Database, approval_request_id: str) -> ApprovalRequest:
    """The approval of that id; raises NotFound."""
    if APPROVAL_REQUEST_ID.fullmatch(approval_request_id):
        found = await database.one(GET_APPROVAL, b_id=approval_request_id)
        if found is not None:
            return found
        raise unknown("approval", approval_request_id, await database.all(EPOCHS))
    raise NotFound("no approval has this id")

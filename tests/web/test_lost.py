"""After a restore: what was asked after the backup is said to be lost, over HTTP and in Slack's words."""

from __future__ import annotations

import pytest

from agent_runtime.core.ids import approval_request_id, execution_id
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.errors import LostInRestore
from agent_runtime.operations.restore import open_epoch
from agent_runtime.operations.start import Start, start
from agent_runtime.store.database import Database
from bot.ui.refusals import refusal
from bot.ui.text import Workspace
from tests.clock import Clock
from tests.web.conftest import AGENT, Api

pytestmark = pytest.mark.databases("sqlite")


async def test_a_lost_approval_and_a_lost_execution(api: Api, database: Database, clock: Clock) -> None:
    await database.write(start, Start(AGENT, {"prompt": "Go"}), by=LOCAL_OPERATOR, via=Via.api)
    await clock.advance(60_000_000)
    lost = {"approvals": approval_request_id(clock.now), "executions": execution_id(clock.now)}
    await clock.advance(60_000_000)
    await database.write(open_epoch, by=LOCAL_OPERATOR, via=Via.cli)
    for kind, id in lost.items():
        answer = await api.get(f"/api/v1/{kind}/{id}")
        assert (answer.status, answer.json["type"]) == (404, "urn:countersign:problem:lost-in-restore")
    decided = await api.post(f"/api/v1/approvals/{lost['approvals']}/decision", {"decision": "approved"})
    assert decided.status == 404
    assert "Nothing runs by it" in decided.json["detail"]
    never = await api.get(f"/api/v1/approvals/{approval_request_id(clock.now + 60_000_000)}")
    assert never.json["type"] == "urn:countersign:problem:not-found"


def test_what_a_clicker_reads() -> None:
    words = refusal(LostInRestore("this approval was lost in a restore: look"), None, Workspace()).text
    assert words == "⚠️ This approval was lost in a restore: look."

"""The generic guide's verification as it is written: a delete that matches `delete_*`, a reviewer page, two buttons."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect
from structlog.testing import capture_logs

from agent_runtime import AgentRuntime
from agent_runtime.core.duration import SECOND
from agent_runtime.errors import CollaborationError
from bot.scripted_model import Reply, Text, calls
from tests.browser import chromium
from tests.clock import Clock
from tests.e2e.waiting import until
from tests.engine.running import Run
from tests.seeds.conftest import PROGRAMS, Deploy, Load, Model, OpenHere, run_program
from tests.seeds.outside import Outside
from tests.web.conftest import serve
from tests.web.test_pending import view

__all__ = ["serve"]

DESCRIPTION = "Destructive: delete users rows where last_login < '2020-01-01'"
DELETION = {"table": "users", "where": "last_login < '2020-01-01'"}
HAPPENED = "deleted users where last_login < '2020-01-01'"


@pytest.fixture(autouse=True)
def answers(model: Model) -> None:
    """The model greets who greets, and otherwise deletes."""

    def answer(messages: Any) -> Reply:
        last = messages[-1]
        if last["role"] == "tool":
            return Text(f"Done: {last['content']}")
        return Text("Hello.") if "hello" in last["content"] else calls(("delete_records", DELETION))

    model.answers = answer


@pytest.fixture(autouse=True)
def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The operator's file, in the folder that everything runs in."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copy(PROGRAMS / "checkpoints.toml", tmp_path))


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with chromium() as browser:
        yield await browser.new_page()


@pytest.mark.browser
async def test_verification(deploy: Deploy, page: Page, database_url: str) -> None:
    deployment = deploy("cleanup_agent")
    async with deployment.process() as (process, outside):
        await outside.becomes(await begin(outside, "hello"), "succeeded")
        assert await view(database_url) == []

        # The pending_reviews table contains 1 row with status waiting within 1 second of the trigger.
        triggered = await begin(outside, "Delete who has not been here since 2020.")
        [row] = await waiting(database_url, 1)
        assert (row["status"], row["action_description"]) == ("waiting", DESCRIPTION)
        begun = (await outside.execution(triggered))["created_at"]
        assert row["timestamp"] <= begun[:17] + f"{float(begun[17:-1]) + 1:09.6f}Z"
        # With the whole state of the agent, so that similar actions can be told apart.
        context = json.loads(row["agent_context"])
        assert context["input"] == {"input": {"task": "Delete who has not been here since 2020."}}
        assert (context["arguments"], context["steps"][0]["kind"]) == (DELETION, "model")

        # The reviewer HTML page displays the pending action with the correct description.
        await page.goto(f"{outside.url}/reviews")
        card = page.get_by_test_id(f"approval-{row['request_id']}")
        await expect(card.get_by_role("heading", name=DESCRIPTION)).to_be_visible()
        await expect(card).to_contain_text("Approval needed")
        assert deployment.happened == {}

        # After clicking Approve, polling resolves within 5 seconds and the tool executes.
        await card.get_by_role("button", name="Approve").click()
        await page.get_by_role("button", name="Yes, approve").click()
        await until(lambda: _is(outside, row["request_id"], "approved"), "polling resolves", within=5)
        done = await outside.becomes(triggered, "succeeded")
        assert done["result"] == "Done: 3 rows deleted"
        assert deployment.happened == {HAPPENED: 1}

        # After clicking Reject, the agent loop terminates with a logged error "CollaborationError: rejected".
        async with AgentRuntime(server_url=outside.url) as caller:
            handle = await caller.start_async("cleanup", "Delete them again.")
            [again] = [row for row in await waiting(database_url, 2) if row["status"] == "waiting"]
            await page.get_by_test_id(f"approval-{again['request_id']}").get_by_role("button", name="Reject").click()
            with pytest.raises(CollaborationError, match="rejected"):  # and it reaches whoever called
                await handle.get_result_async()
        ended = await outside.execution(handle.execution_id)
        assert (ended["status"], ended["error"]) == ("failed", {"type": "CollaborationError", "message": "rejected"})
        logged = process.output.read_text() + process.log.read_text()
        assert "CollaborationError: rejected" in logged
        assert deployment.happened == {HAPPENED: 1}
        assert sorted(row["status"] for row in await view(database_url)) == ["approved", "rejected"]
        assert await process.stop() == 0


async def begin(outside: Outside, task: str) -> str:
    return await outside.start("cleanup", task=task)


async def waiting(database_url: str, count: int) -> list[dict[str, Any]]:
    """The rows, once there are so many; in no order, as a test's time may stand still and ids sort by time."""

    async def there() -> list[dict[str, Any]] | None:
        rows = await view(database_url)
        return rows if len(rows) == count else None

    return await until(there, f"{count} rows in pending_reviews")


async def _is(outside: Outside, request_id: str, status: str) -> bool:
    return bool((await outside.get(f"/pending/{request_id}")).body["status"] == status)


async def test_a_slow_review_ends_in_a_timeout(
    load: Load, open_here: OpenHere, clock: Clock, database_url: str
) -> None:
    """`timeout_seconds` is 30 by default."""
    replica = await open_here(load("cleanup_agent"))
    with capture_logs() as logged:
        run = await Run.begun(replica, "cleanup", "Delete them.")
        [approval] = await run.waits()
        await clock.set(approval.created_at + 30 * SECOND - 1)
        await replica.clockwork.tick()
        assert [row["status"] for row in await view(database_url)] == ["waiting"]
        await clock.advance(1)
        await replica.clockwork.tick()
        ended = await run.ends()
    message = "nobody decided on delete_records in time"
    assert json.loads(ended.error or "") == {"type": "TimeoutError", "message": message}
    assert [row["status"] for row in await view(database_url)] == ["expired"]
    assert [line["tool"] for line in logged if line["event"].startswith("paused")] == ["delete_records"]
    [failed] = [line for line in logged if line["event"] == "execution failed"]
    assert failed["error"] == f"TimeoutError: {message}"


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize(("decision", "raises"), [("approved", None), ("rejected", "rejected"), ("", "in time")])
async def test_an_executor_of_somebody_else_s(
    serve: Any, database_url: str, checkpoints: Path, decision: str, raises: str | None
) -> None:
    """The guide's own tool executor, against the same two routes; it polls the view."""
    api = await serve()
    program = run_program("own_executor")
    deleted: list[str] = []

    def delete_records(table: str, where: str) -> str:
        deleted.append(table)
        return "3 rows deleted"

    def status_of(request_id: str) -> str:
        [row] = asyncio.run(view(database_url))
        assert row["request_id"] == request_id
        return str(row["status"])

    executor = program["Executor"](
        api.url, checkpoints, status_of, poll_seconds=0.05, timeout_seconds=30 if decision else 0
    )
    running = asyncio.create_task(
        asyncio.to_thread(executor.run, delete_records, "req-1", {"goal": "clean up"}, **DELETION)
    )
    [row] = await waiting(database_url, 1)
    assert (row["action_description"], json.loads(row["agent_context"])) == (DESCRIPTION, {"goal": "clean up"})
    if decision:
        assert (await api.post("/approve/req-1", {"decision": decision})).status == 200
    if raises is None:
        assert await running == "3 rows deleted"
    else:
        with pytest.raises(Exception, match=raises) as failed:
            await running
        assert failed.type.__name__ == ("CollaborationError" if decision else "TimeoutError")
    assert deleted == (["users"] if raises is None else [])

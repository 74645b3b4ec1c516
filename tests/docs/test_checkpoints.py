"""Everything that docs/checkpoints.md shows, as it stands; the file itself also through a served process."""

from __future__ import annotations

import json
import re
import sqlite3
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent_runtime import Agent, tool
from agent_runtime.core.checkpoints import matcher, parse
from agent_runtime.core.duration import HOUR, MINUTE
from agent_runtime.core.policy import Approval, Defaults, evaluate
from agent_runtime.store.events import EVENTS_OF_STREAM
from agent_runtime.testing import Kit, call
from bot.scripted_model import Text, calls, serve_scripted_model
from tests.docs.pages import Page
from tests.e2e.process import ProductProcess, run
from tests.e2e.process import environment as product_environment
from tests.e2e.waiting import until

pytestmark = pytest.mark.databases("sqlite")

DELETION = {"table": "users", "where": "last_login < '2020-01-01'"}


@tool
def delete_records(table: str, where: str) -> str:
    """Deletes rows."""
    return f"deleted from {table}"


File = Callable[[str], str]


@pytest.fixture
def file(page: Page, tmp_path: Path) -> File:
    """`file("shadow.toml")` is that block as a file; its path."""

    def written(name: str) -> str:
        page.write(tmp_path, name)
        return str(tmp_path / name)

    return written


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("approve", "All clean."),
        ("reject", "stopped by a reviewer: rejected: Ask legal first."),
        ("expire", "stopped by the clock: nobody decided on delete_records in time"),
    ],
)
def test_cleanup(page: Page, file: File, answer: str, said: str) -> None:
    with (
        Kit(call("delete_records", **DELETION), "All clean.", checkpoints=file("checkpoints.toml")) as kit,
        ThreadPoolExecutor(1) as pool,
    ):
        cleaning = pool.submit(page.run("cleanup.py")["clean"], kit.runtime)
        while not kit.pending():
            assert not cleaning.done(), cleaning.result()
        [asked] = kit.pending()
        assert asked["title"] == "Destructive: delete users rows where last_login < '2020-01-01'"
        assert (asked["reviewers"], asked["rules"]) == (["@dba"], ["checkpoint:delete-records"])
        if answer == "approve":
            kit.approve_next(by="@dba", via="slack")
        elif answer == "reject":
            kit.reject_next("Ask legal first.", by="@dba", via="slack")
        else:
            kit.expire_next()
        assert cleaning.result() == said


async def test_a_served_process_keeps_to_the_file(page: Page, tmp_path: Path) -> None:
    """From the file to the tool, with nothing in between but the command line and curl's requests."""
    page.write(tmp_path, "checkpoints.toml", "cleanup.py")

    def answer(messages: Any) -> Any:
        return Text("All clean.") if messages[-1]["role"] == "tool" else calls(("delete_records", DELETION))

    async with serve_scripted_model(answer) as model, aiohttp.ClientSession() as http:
        settings = product_environment(
            COUNTERSIGN_PORT="0", OPENAI_BASE_URL=model.base_url, OPENAI_API_KEY="sk-scripted"
        )
        command = [sys.executable, "-m", "bot", "serve", "--agents", "cleanup:agent"]
        process = ProductProcess.start(command, settings, tmp_path)
        try:
            url = (await process.says(r"API and dashboard: (\S+)"))[1]
            started = await http.post(f"{url}/api/v1/execute/async/cleanup", json={"prompt": "Delete them."})
            execution_id = (await started.json())["execution_id"]

            async def rows() -> list[Any]:
                with closing(sqlite3.connect(tmp_path / "countersign.db")) as connection:
                    return connection.execute(
                        "SELECT request_id, action_description, status FROM pending_reviews"
                    ).fetchall()

            [(request_id, description, status)] = await until(rows, "it asks", explain=process.tail)
            assert (description, status) == (
                "Destructive: delete users rows where last_login < '2020-01-01'",
                "waiting",
            )
            approval = await (await http.get(f"{url}/api/v1/approvals/{request_id}")).json()
            assert (approval["reviewers"], approval["rules"]) == (["@dba"], ["checkpoint:delete-records"])
            left = datetime.fromisoformat(approval["expires_at"]) - datetime.fromisoformat(approval["created_at"])
            assert left.total_seconds() == 30
            decided = await http.post(f"{url}/approve/{request_id}", data={"decision": "approved"})
            assert decided.status == 200

            async def done() -> Any:
                found = await (await http.get(f"{url}/api/v1/executions/{execution_id}")).json()
                return found if found["status"] == "succeeded" else None

            assert (await until(done, "it ends", explain=process.tail))["result"] == "All clean."
            assert await process.stop() == 0
        finally:
            process.abandon()


async def test_a_misspelt_file_stops_the_start(page: Page, tmp_path: Path) -> None:
    page.write(tmp_path, "misspelt.toml", "cleanup.py")
    settings = product_environment(COUNTERSIGN_PORT="0", COUNTERSIGN_CHECKPOINTS="misspelt.toml")
    ended = await run("serve", "--agents", "cleanup:agent", settings=settings, folder=tmp_path)
    message = "misspelt.toml: checkpoint 2 (external-api): unknown field 'reviewer'; did you mean 'reviewers'?"
    assert (ended.status, ended.err.count(message), "Traceback" in ended.err) == (2, 1, False)
    assert not [*tmp_path.glob("*.db")], "nothing was opened before"
    assert message.partition(": ")[2] in page.text.replace("\n", " ")


def test_every_field(page: Page) -> None:
    policy = evaluate("pay_out", None, Defaults(checkpoints=parse(page.files["every-field.toml"]).checkpoints))
    assert policy is not None
    assert (policy.reviewers, policy.quorum) == (("@finance", "dana@example.com"), 2)
    assert (policy.expires_after, policy.remind_after, policy.escalate_after) == (4 * HOUR, 15 * MINUTE, HOUR)
    assert (policy.escalate_to, policy.escalate_channel, policy.channel) == (
        ("@finance-leads",),
        "C0LEADS",
        "C0FINANCE",
    )
    assert (policy.risk, policy.on_reject, policy.on_expiry) == ("high", "continue", "stop")
    assert (policy.allow_self_approval, policy.allow_edits, policy.redact) == (False, False, ("recipient.iban",))
    assert (policy.allowed_via, policy.valid_for) == (("slack", "dashboard"), 30 * MINUTE)
    block = page.files["every-field.toml"]
    table = page.text[page.text.index("## Every field") : page.text.index(block)]
    for field in fields(Approval):
        assert f"`{field.name}`" in table
        assert re.search(rf"^{field.name} = ", block, re.MULTILINE), field.name


def test_patterns(page: Page) -> None:
    rows = re.findall(r"^\| `([^`]+)` \| (`.+`) \| (`.+`) \|$", page.text, re.MULTILINE)
    assert len(rows) == 4
    for pattern, gated, free in rows:
        matches = matcher(pattern.replace("\\|", "|"))
        assert all(matches(name.strip("`")) for name in gated.split(", ")), pattern
        assert not any(matches(name.strip("`")) for name in free.split(", ")), pattern


async def test_shadow(file: File) -> None:
    kit = Kit(call("delete_records", **DELETION), "All clean.", checkpoints=file("shadow.toml"))
    async with kit:
        agent = Agent("cleanup", tools=[delete_records])
        result = await kit.run_async(agent, "Delete them.")
        assert (result.output["result"], result.approvals) == ("All clean.", [])
        events = await kit.runtime.replica.database.all(
            EVENTS_OF_STREAM, b_stream=result.execution_id, b_after=0, b_limit=100
        )
    [recorded] = [json.loads(event.data) for event in events if event.type == "policy.shadowed"]
    assert (recorded["tool_name"], recorded["title"]) == ("delete_records", "Delete from users")
    assert recorded["rules"] == ["checkpoint:all-deletions"]
    assert recorded["policy"]["reviewers"] == ["@dba"]


def test_channels(page: Page) -> None:
    assert parse(page.files["channels.toml"]).channel_agents == {"C0REFUNDS": "refund_agent"}

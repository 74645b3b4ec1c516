"""Whichever door a decision comes through, the same things happen, and one function makes them happen."""

from __future__ import annotations

import ast
import asyncio
import functools
import hashlib
import hmac
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from agent_runtime.core.approval import ApprovalRequest, Verdict, status_in_words
from agent_runtime.core.duration import HOUR, SECOND
from agent_runtime.core.policy import Approval
from agent_runtime.operations.sweep import sweep
from agent_runtime.runtime import AgentRuntime
from agent_runtime.sdk.handles import AgentHandle
from agent_runtime.settings import Settings
from agent_runtime.store.approvals import VOTES
from agent_runtime.store.events import EVENTS_OF_STREAM
from agent_runtime.store.steps import GET_STEP
from agent_runtime.web.app import create_app
from bot.sandbox.app import running_sandbox
from bot.sandbox.config import SandboxConfig
from tests.bot.desk import Desk, asked, open_desk
from tests.bot.workspace import REVIEWER, TEAM

ROOT = Path(__file__).parents[1]
SECRET = "a-webhook-secret-of-sufficient-length"
WORDS = "As discussed."


@dataclass
class House:
    """A deployment with all its doors, and one approval that waits behind them."""

    desk: Desk
    url: str
    http: aiohttp.ClientSession
    approval: ApprovalRequest

    @property
    def database_url(self) -> str:
        return self.desk.database.url.render_as_string(hide_password=False)

    async def post(self, path: str, body: Any, **headers: str) -> None:
        raw = json.dumps(body).encode()
        if "webhooks" in path:
            signature = hmac.new(SECRET.encode(), raw, hashlib.sha256).hexdigest()
            headers["X-Webhook-Signature"] = f"sha256={signature}"
        async with self.http.post(self.url + path, data=raw, headers=headers) as response:
            assert response.status == 200, await response.text()


@pytest.fixture
async def house(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[House]:
    async with (
        running_sandbox(SandboxConfig(time_scale=0.01)) as sandbox,
        open_desk(sandbox, tmp_path / "countersign.db") as desk,
        aiohttp.ClientSession() as http,
    ):
        app = create_app(desk.database, Settings(approval_webhook_secret=SECRET), routes=(), status=dict)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            approval = await asked(desk, Approval(expires_in_hours=1))
            await desk.card(approval)
            yield House(desk, f"http://{host}:{port}", http, approval)
        finally:
            await runner.cleanup()


# --- the doors ----------------------------------------------------------------------------------------------


async def slack(house: House, verdict: Verdict) -> None:
    """A click; a modal where words are asked for."""
    card = await house.desk.card(house.approval)
    button = {"approved": "approve", "rejected": "reject", "request_changes": "request_changes"}[verdict]
    await house.desk.clicks(REVIEWER, card, f"approval.{button}")
    if verdict is not Verdict.approved:
        view = await house.desk.view_of(REVIEWER, f"approval.{button}.submit")
        [field] = [block["block_id"] for block in view["blocks"] if block["type"] == "input"]
        await house.desk.submits(REVIEWER, view, **{field: WORDS})


async def api(house: House, verdict: Verdict) -> None:
    path = f"/api/v1/approvals/{house.approval.approval_request_id}/decision"
    await house.post(path, {"decision": verdict, "feedback": WORDS})


async def webhook(house: House, verdict: Verdict) -> None:
    sent = {"requestId": house.approval.approval_request_id, "decision": verdict, "feedback": WORDS}
    await house.post("/api/v1/webhooks/approval-response", sent)


async def dashboard(house: House, verdict: Verdict) -> None:
    """The form on the reviewer's page, with the page's cookie and token, as a browser without scripts posts it."""
    async with house.http.get(f"{house.url}/reviews", headers={"Accept": "text/html"}) as page:
        cookie = page.headers["Set-Cookie"].partition(";")[0]
        shown = await page.text()
    form = shown[shown.index(f'action="/approve/{house.approval.approval_request_id}"') :]
    sent = {name: form.partition(f'name="{name}" value="')[2].partition('"')[0] for name in ("csrf_token", "digest")}
    sent |= {"decision": verdict.value, "feedback": WORDS}
    headers = {"Cookie": cookie, "Origin": house.url, "Sec-Fetch-Site": "same-origin"}
    path = f"/approve/{house.approval.approval_request_id}"
    async with house.http.post(house.url + path, data=sent, headers=headers) as response:
        assert response.status == 200, await response.text()


async def cli(house: House, verdict: Verdict) -> None:
    option = {"approved": "--comment", "rejected": "--reason", "request_changes": "--changes"}[verdict]
    command = {"approved": "approve", "rejected": "reject", "request_changes": "request-changes"}[verdict]
    identifier = house.approval.approval_request_id
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "approvals", command, identifier, option, WORDS),
        cwd=ROOT,
        env={**os.environ, "COUNTERSIGN_DATABASE_URL": house.database_url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()


async def sdk(house: House, verdict: Verdict) -> None:
    async with AgentRuntime(house.database_url, surfaces=False) as runtime:
        await AgentHandle(house.approval.execution_id or "", runtime).respond_async(verdict.value, WORDS)


async def sdk_over_http(house: House, verdict: Verdict) -> None:
    async with AgentRuntime(server_url=house.url) as runtime:
        await AgentHandle(house.approval.execution_id or "", runtime).respond_async(verdict.value, WORDS)


async def expiry(house: House, _: Verdict) -> None:
    house.desk.clock.forward(HOUR / SECOND)
    await house.desk.database.write(sweep)


Door = Callable[[House, Verdict], Awaitable[None]]
DOORS: dict[Door, tuple[str, str]] = {
    slack: (f"slack:{TEAM}:{REVIEWER}", "slack"),
    api: ("local:operator", "api"),
    webhook: ("webhook:approval-response", "webhook"),
    dashboard: ("local:operator", "dashboard"),
    cli: ("local:operator", "cli"),
    sdk: ("local:operator", "sdk"),
    sdk_over_http: ("local:operator", "api"),
}
"""Each door, and who decides through which one as the events have it."""


@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
async def test_every_door_leads_to_the_same_events(house: House, door: Door, verdict: Verdict) -> None:
    await door(house, verdict)
    words = "" if (door, verdict) == (slack, Verdict.approved) else WORDS
    await same_things_happened(house, verdict.value, *DOORS[door], words)


async def test_the_expiry_is_one_of_them(house: House) -> None:
    await expiry(house, Verdict.approved)
    await same_things_happened(house, "expired", "system", "expiry", "")


async def same_things_happened(house: House, status: str, principal: str, via: str, words: str) -> None:
    database, asked_for = house.desk.database, house.approval
    ended = await house.desk.ends(asked_for)
    assert ended.status == status
    assert ended.resolution == {"by": principal, "via": via, "feedback": words}
    assert (ended.valid_until is not None) == (status == "approved")
    assert ended.next_due_at is None
    events = await database.all(EVENTS_OF_STREAM, b_stream=asked_for.execution_id, b_after=0, b_limit=100)
    assert [event.seq for event in events] == [*range(1, len(events) + 1)]
    after = [event for event in events if not event.type.endswith(".shown")]
    assert [(event.type, event.principal, event.via) for event in after[-3:]] == [
        ("execution.waiting", "system", ""),
        (f"approval.{status}", principal, via),
        ("execution.queued", "system", ""),
    ]
    decided = json.loads(after[-2].data)
    standing = set() if status == "expired" else {"eligible_as", "approvals", "quorum"}
    assert set(decided) == {"by", "via", "feedback", "digest", "seconds_to_decide"} | standing
    assert decided["digest"] == asked_for.digest
    votes = await database.all(VOTES, b_id=asked_for.approval_request_id)
    assert [(vote.principal, vote.via, vote.verdict) for vote in votes] == (
        [] if status == "expired" else [(principal, via, status)]
    )
    execution = await house.desk.execution(asked_for.execution_id or "")
    assert (execution.status, execution.open_approvals) == ("queued", 0)
    step = await database.one(GET_STEP, b_id=asked_for.execution_id, b_position=asked_for.position)
    assert step is not None
    assert step.status == ("approved" if status == "approved" else "refused")
    await house.desk.card_shows(asked_for, status_in_words(status).capitalize())


# --- and no other way ---------------------------------------------------------------------------------------

ENDS_APPROVALS = {"resolve.py", "restore.py", "settle.py", "cancel.py", "sweep.py"}


@functools.cache
def modules() -> dict[Path, ast.Module]:
    """Every module of the product."""
    files = [path for package in ("agent_runtime", "bot", "examples") for path in (ROOT / package).rglob("*.py")]
    assert len(files) > 100
    return {path.relative_to(ROOT): ast.parse(path.read_text()) for path in files}


def names_in(module: ast.Module) -> set[str]:
    return {node.id for node in ast.walk(module) if isinstance(node, ast.Name)} | {
        alias.name for node in ast.walk(module) if isinstance(node, ast.ImportFrom) for alias in node.names
    }


def test_one_statement_ends_an_approval_and_one_module_uses_it() -> None:
    users = {path for path, module in modules().items() if "END_APPROVAL" in names_in(module)}
    assert users == {Path("agent_runtime/store/approvals.py"), Path("agent_runtime/operations/resolve.py")}


def test_nothing_else_writes_the_status_of_an_approval() -> None:
    statements = ast.parse((ROOT / "agent_runtime/store/approvals.py").read_text())
    writing = {
        target.id
        for node in statements.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
        for call in ast.walk(node)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "values"
        and any(keyword.arg == "status" for keyword in call.keywords)
    }
    assert writing == {"END_APPROVAL"}


@pytest.mark.parametrize("verb", ["end", "expire"])
def test_only_the_verbs_that_end_one_share_the_end(verb: str) -> None:
    importers = {
        path
        for path, module in modules().items()
        for node in ast.walk(module)
        if isinstance(node, ast.ImportFrom)
        and node.module == "agent_runtime.operations.resolve"
        and any(alias.name == verb for alias in node.names)
    }
    assert importers
    assert importers <= {Path("agent_runtime/operations") / name for name in ENDS_APPROVALS}
    for path, module in modules().items():
        for node in ast.walk(module):
            assert not (isinstance(node, ast.Import) and any("operations.resolve" in one.name for one in node.names)), (
                path
            )

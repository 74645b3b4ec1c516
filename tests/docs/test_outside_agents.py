"""The programs in docs/outside-agents.md, as they stand: the Python client, curl, and a receiver's verification."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.client import AsyncClient
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.core.standard_webhooks import key_of
from agent_runtime.delivery.receivers import Message, Sender
from agent_runtime.operations.tokens import create_token
from agent_runtime.settings import Settings
from agent_runtime.store.database import Database
from agent_runtime.web.app import create_app
from tests.delivery.receiver import receiving
from tests.docs.pages import Page
from tests.sdk.test_server_url import listening

pytestmark = pytest.mark.databases("sqlite")

_SCRIPT = re.compile(r"^```sh\n# refund\.sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture
async def server_url(database: Database) -> AsyncIterator[str]:
    async with listening(create_app(database, Settings())) as url:
        yield url


async def token(database: Database, *scopes: str) -> str:
    return await database.write(create_token, "-".join(scopes), scopes, by=LOCAL_OPERATOR, via=Via.cli)


async def decide(database: Database, server_url: str, approval_request_id: str, decision: str) -> dict[str, Any]:
    """Somebody decides once it is asked; the approval when the program has used it, or at once where it may not."""
    reviewer = await token(database, "read", "decide")
    async with AsyncClient(server_url, reviewer) as client, asyncio.timeout(20):
        while approval_request_id not in [one["approval_request_id"] for one in (await client.approvals())["items"]]:
            await asyncio.sleep(0.02)
        return await client.decide(approval_request_id, decision, "it never arrived")


@pytest.mark.parametrize("decision", ["approved", "rejected"])
async def test_in_python(
    page: Page, database: Database, server_url: str, decision: str, capsys: pytest.CaptureFixture[str]
) -> None:
    paid: list[dict[str, Any]] = []

    def refund(**arguments: Any) -> str:
        paid.append(arguments)
        return "paid"

    agent = await token(database, "start", "read")
    running = asyncio.create_task(
        asyncio.to_thread(page.run, "refund.py", SERVER_URL=server_url, TOKEN=agent, refund=refund)
    )
    await decide(database, server_url, "refund-T-4711", decision)
    await running
    async with AsyncClient(server_url, agent) as client:
        shown = await client.approval("refund-T-4711")
    if decision == "approved":
        assert paid == [{"customer": "cust_001", "amount": 250}]
        assert (shown["permit"]["status"], shown["permit"]["result"]) == ("succeeded", "paid")
    else:
        assert (paid, shown["permit"]) == ([], None)
        assert "rejected: it never arrived" in capsys.readouterr().out.splitlines()


async def test_with_curl(page: Page, database: Database, server_url: str, tmp_path: Path) -> None:
    (script,) = _SCRIPT.findall(page.text)
    supplied = 'refund() { echo "$@" > paid; }\n'
    agent = await token(database, "start", "read")
    running = await asyncio.create_subprocess_exec(
        "bash",
        "-euc",
        supplied + script,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "SERVER_URL": server_url, "TOKEN": agent},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        await decide(database, server_url, "refund-T-4712", "approved")
        said, _ = await asyncio.wait_for(running.communicate(), 30)
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    assert running.returncode == 0, said
    assert (tmp_path / "paid").read_text() == "cust_002 80\n"
    async with AsyncClient(server_url, agent) as client:
        assert (await client.approval("refund-T-4712"))["permit"]["result"] == {"paid": 80}


@pytest.mark.parametrize("secret", ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "a text of sufficient length"])
async def test_a_receiver_verifies(page: Page, secret: str) -> None:
    verify = page.run("verify.py")["verify"]
    async with receiving() as receiver, Sender(key_of(secret, "it")) as sender:
        await sender.send(receiver.url, Message("msg_1", b'{"type":"approval.created"}'), trusted=True)
    (received,) = receiver.received
    assert verify(secret, received.headers, received.body)
    assert not verify(secret, received.headers, received.body + b" ")
    assert not verify("another text of sufficient length", received.headers, received.body)
    old = received.headers | {"webhook-timestamp": str(int(time.time()) - 600)}
    assert not verify(secret, old, received.body)

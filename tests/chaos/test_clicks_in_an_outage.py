"""People click in Slack while PostgreSQL is away or silent: every click is answered, none is lost or counted twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.engine import make_url

from agent_runtime.conformance.agents import REVIEWER
from agent_runtime.conformance.doors import Shown
from agent_runtime.core.policy import Policy
from agent_runtime.sdk.logs import keep_quiet
from agent_runtime.store.approvals import VOTES
from agent_runtime.store.database import Database
from bot.conformance import slack_door
from tests.chaos import LONG
from tests.flow import Flow, gated
from tests.proxy import Proxy, proxy_to

pytestmark = [pytest.mark.databases("postgresql"), pytest.mark.timeout(300)]

ANSWERED_WITHIN = 2.9
"""Seconds: the product gives up at 2.5 and says so; Slack shows an error from 3 on."""

AWAY = (0.0, 1.0, 10.0, 60.0) if LONG else (1.0,)
CLICKS = 8


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[Proxy]:
    url = make_url(database_url)
    async with proxy_to(str(url.host), url.port or 5432) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def _logs_of_a_program() -> None:
    """structlog's own default spends a second on each traceback."""
    keep_quiet()


@pytest.mark.parametrize("how", ["gone", "silent"])
@pytest.mark.parametrize("seconds", AWAY)
async def test_every_click_is_answered(database_url: str, proxy: Proxy, how: str, seconds: float) -> None:
    through = make_url(database_url).set(host="127.0.0.1", port=proxy.port, query={"sslmode": "disable"})
    async with (
        await Database.open(database_url) as truth,
        await Database.open(through.render_as_string(hide_password=False)) as database,
        slack_door(database) as click,
    ):
        flow = await Flow.asked(truth, gated(policy=Policy(reviewers=(REVIEWER,))))
        approval = await flow.approval()
        shown = Shown(approval.approval_request_id, approval.digest)
        if how == "gone":
            await proxy.vanish()
        else:
            proxy.silent.set()

        async def timed(after: float) -> float:
            await asyncio.sleep(after)
            began = time.monotonic()
            answer = await click(shown, "approved", "")
            assert answer.words.endswith("200"), answer
            return time.monotonic() - began

        clicking = [asyncio.create_task(timed(seconds * number / CLICKS)) for number in range(CLICKS)]
        await asyncio.sleep(seconds)
        assert (await flow.approval()).pending, "nothing can have been committed"
        proxy.silent.clear()
        if how == "gone":
            await proxy.listen()
        assert max(await asyncio.gather(*clicking)) < ANSWERED_WITHIN
        async with asyncio.timeout(30):
            while (await flow.approval()).pending:
                await click(shown, "approved", "")
        votes = await truth.all(VOTES, b_id=shown.approval_request_id)
        assert [vote.via for vote in votes] == ["slack"]

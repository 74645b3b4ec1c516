"""A token that stands for somebody in Slack: through the API they may no more than by a click, and no longer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from agent_runtime.core.approval import ApprovalRequest
from agent_runtime.core.policy import Approval
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.operations.tokens import create_token
from agent_runtime.settings import Settings
from agent_runtime.store.executions import REQUESTED_BY
from agent_runtime.web.app import create_app
from bot.surface import SlackSurface
from tests.bot.conftest import OpenDesk
from tests.bot.desk import Desk, connected
from tests.bot.workspace import BYSTANDER, FOREIGN, FORMER, GUEST, REVIEWER, TEAM

Decide = Callable[[str, ApprovalRequest], Awaitable[tuple[int, dict[str, Any]]]]
EVERYBODY = (REVIEWER, GUEST, FORMER, FOREIGN)


@asynccontextmanager
async def serving(desk: Desk) -> AsyncIterator[str]:
    """The HTTP API, which asks Slack who people are; its address."""
    app = create_app(desk.database, Settings(), people=desk.surface.actor)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def api(desk: Desk) -> AsyncIterator[Decide]:
    """Approves through the HTTP API, with a token that stands for a person."""
    tokens: dict[str, str] = {}

    async def decide(user: str, approval: ApprovalRequest) -> tuple[int, dict[str, Any]]:
        if user not in tokens:
            tokens[user] = await desk.database.write(
                create_token,
                f"token-{user}",
                ["read", "decide"],
                by=LOCAL_OPERATOR,
                via=Via.cli,
                stands_for=f"slack:{TEAM}:{user}",
            )
        headers = {"Authorization": f"Bearer {tokens[user]}"}
        path = f"{url}/api/v1/approvals/{approval.approval_request_id}/decision"
        async with desk.http.post(path, json={"decision": "approved"}, headers=headers) as answer:
            return answer.status, await answer.json()

    async with serving(desk) as url:
        yield decide


@pytest.mark.parametrize(
    ("user", "reason"),
    [
        (GUEST, "guests may not decide"),
        (FORMER, "your account is deactivated"),
        (FOREIGN, "you belong to another workspace"),
        (BYSTANDER, "you are not one of its reviewers"),
    ],
    ids=["guest", "deactivated", "foreign", "bystander"],
)
async def test_who_may_not_click_may_not_by_token(desk: Desk, user: str, reason: str) -> None:
    await connected(desk)
    approval = await desk.proposes(await desk.started_by_operator(), Approval(reviewers=EVERYBODY))
    async with api(desk) as decide:
        status, answer = await decide(user, approval)
        assert (status, reason in answer["detail"]) == (403, True), answer
        assert (await desk.approval(approval)).pending
        assert (await decide(REVIEWER, approval))[0] == 200


async def test_somebody_who_is_deactivated_afterwards(desk: Desk) -> None:
    await connected(desk)
    gate = Approval(reviewers=(REVIEWER,), quorum=2)
    first, second = [await desk.proposes(await desk.started_by_operator(), gate) for _ in range(2)]
    async with api(desk) as decide:
        assert (await decide(REVIEWER, first))[0] == 200
        await desk.changes(f"/users/{REVIEWER}", {"deleted": True})
        assert (await decide(REVIEWER, second))[0] == 403


@pytest.mark.parametrize(
    ("user", "reason"),
    [(GUEST, "guests"), (FORMER, "deactivated"), (FOREIGN, "another workspace"), (REVIEWER, "")],
    ids=["guest", "deactivated", "foreign", "member"],
)
async def test_who_may_not_mention_may_not_start_by_token(desk: Desk, user: str, reason: str) -> None:
    await connected(desk)
    await desk.started_by_operator()
    secret = await desk.database.write(
        create_token, "starts", ["start"], by=LOCAL_OPERATOR, via=Via.cli, stands_for=f"slack:{TEAM}:{user}"
    )
    before = await desk.database.all(REQUESTED_BY, b_requested_by=f"slack:{TEAM}:{user}", b_limit=9)
    async with serving(desk) as url:
        begin = {
            "/api/v1/execute/async/refund_agent": {"prompt": "Refund it"},
            "/api/v1/approvals": {"title": "Refund it?"},
            "/pending": {"request_id": "r-1", "action_description": "Refund it?"},
        }
        for path, body in begin.items():
            headers = {"Authorization": f"Bearer {secret}"}
            async with desk.http.post(url + path, json=body, headers=headers) as answer:
                told = await answer.json()
            if reason:
                assert (answer.status, reason in told["detail"]) == (403, True), (path, told)
            else:
                assert answer.status in {201, 202}, (path, told)
    after = await desk.database.all(REQUESTED_BY, b_requested_by=f"slack:{TEAM}:{user}", b_limit=9)
    assert len(after) - len(before) == (0 if reason else 1)


async def test_groups_and_addresses_count(desk: Desk) -> None:
    await connected(desk)
    async with api(desk) as decide:
        for reviewers in (("@payments-reviewers",), ("reviewer1@example.com",)):
            gate = Approval(reviewers=reviewers)
            approval = await desk.proposes(await desk.started_by_operator(), gate)
            assert (await decide(REVIEWER, approval))[0] == 200


async def test_slack_does_not_say_who(desk_for: OpenDesk) -> None:
    async with desk_for(slack_bot_token="xoxb-wrong") as desk, api(desk) as decide:
        approval = await desk.proposes(await desk.started_by_operator())
        status, answer = await decide(REVIEWER, approval)
        assert (status, "Slack did not say" in answer["detail"]) == (403, True), answer


async def test_other_principals_are_not_slacks(desk: Desk) -> None:
    assert isinstance(desk.surface, SlackSurface)
    for principal in ("api:ci", "local:operator", "webhook:1"):
        assert await desk.surface.actor(principal) is None

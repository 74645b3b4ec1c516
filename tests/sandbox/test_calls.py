"""What all Web API calls have in common: tokens, scopes, arguments, rate limits."""

from __future__ import annotations

from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.rates import POSTING, TIER_2, RateLimiter
from bot.sandbox.web_api.dispatch import METHODS
from tests.sandbox.conftest import StartWorkspace
from tests.sandbox.workspace import AGENTS, APPROVALS, REQUESTER, Workspace, error_of


async def test_auth_test_names_the_bot(workspace: Workspace) -> None:
    answer = await workspace.client.auth_test()
    assert (answer["team_id"], answer["user_id"], answer["bot_id"]) == ("T0SANDBOX", "U0COUNTERSIGN", "B0COUNTERSIGN")
    assert "chat:write" in answer.headers["x-oauth-scopes"].split(",")


@pytest.mark.parametrize(
    ("token", "error"),
    [("", "not_authed"), ("xoxb-other", "invalid_auth"), ("xapp-local-workspace", "not_allowed_token_type")],
)
async def test_wrong_tokens_are_refused(workspace: Workspace, token: str, error: str) -> None:
    async with workspace.http.post(
        workspace.sandbox.api_url + "auth.test", headers={"Authorization": f"Bearer {token}"} if token else {}
    ) as response:
        assert await response.json() == {"ok": False, "error": error}


async def test_a_bot_token_opens_no_socket(workspace: Workspace) -> None:
    assert (await workspace.call("apps.connections.open"))["error"] == "not_allowed_token_type"


async def test_a_token_may_come_in_the_form_but_not_in_json(workspace: Workspace) -> None:
    url, token = workspace.sandbox.api_url + "auth.test", workspace.sandbox.config.bot_token
    async with workspace.http.post(url, data={"token": token}) as response:
        assert (await response.json())["ok"] is True
    async with workspace.http.post(url, json={"token": token}) as response:
        assert (await response.json())["error"] == "not_authed"


async def test_a_revoked_token_is_refused(workspace: Workspace) -> None:
    await workspace.post("faults", revoked_token=True)
    assert await error_of(workspace.client.auth_test()) == "token_revoked"


async def test_unknown_methods_and_bad_bodies(workspace: Workspace) -> None:
    assert (await workspace.call("chat.postMassage"))["error"] == "unknown_method"
    url = workspace.sandbox.api_url + "chat.postMessage"
    headers = {"Authorization": f"Bearer {workspace.sandbox.config.bot_token}", "Content-Type": "application/json"}
    for body, error in [
        (b"{", "invalid_json"),
        (b"[" * 100_000, "invalid_json"),
        (b"[]", "json_not_object"),
        (b"{}", "invalid_arguments"),
    ]:
        async with workspace.http.post(url, data=body, headers=headers) as response:
            assert (await response.json())["error"] == error
    async with workspace.http.post(url, data=b"x", headers=headers | {"Content-Type": "text/plain"}) as response:
        assert (await response.json())["error"] == "invalid_post_type"


async def test_methods_that_take_no_json_do_not_read_it(workspace: Workspace) -> None:
    url = workspace.sandbox.api_url + "users.info"
    headers = {"Authorization": f"Bearer {workspace.sandbox.config.bot_token}"}
    async with workspace.http.post(url, json={"user": REQUESTER}, headers=headers) as response:
        answer = await response.json()
    assert answer["response_metadata"]["messages"] == ["[ERROR] missing required field: user"]


async def test_a_missing_scope_is_named(start_workspace: StartWorkspace) -> None:
    workspace = await start_workspace(scopes=["chat:write"])
    with pytest.raises(SlackApiError) as refused:
        await workspace.client.users_info(user=REQUESTER)
    answer = refused.value.response
    assert (answer["error"], answer["needed"], answer["provided"]) == ("missing_scope", "users:read", "chat:write")


async def test_every_scoped_method_refuses_without_scopes(start_workspace: StartWorkspace) -> None:
    workspace = await start_workspace(scopes=[], rate_limits=False)
    scoped = [name for name, method in METHODS.items() if method.scopes]
    assert len(scoped) > 20
    assert {(await workspace.call(name))["error"] for name in scoped} == {"missing_scope"}


async def test_reading_conversations_needs_the_scope_of_their_kind(start_workspace: StartWorkspace) -> None:
    workspace = await start_workspace(scopes=["channels:history", "im:read", "im:write", "channels:read"])
    assert (await workspace.client.conversations_info(channel=AGENTS))["channel"]["is_member"] is True
    dm = (await workspace.client.conversations_open(users=REQUESTER))["channel"]["id"]
    assert await error_of(workspace.client.conversations_history(channel=dm)) == "missing_scope"


class Ticking:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_a_tier_allows_its_calls_a_minute_and_says_when_the_next_is_due() -> None:
    now = Ticking()
    limiter = RateLimiter(scale=1.0, now=now)
    assert [limiter.retry_after(TIER_2, "usergroups.list", "") for _ in range(20)] == [0] * 20
    assert limiter.retry_after(TIER_2, "usergroups.list", "") == 3
    assert limiter.retry_after(TIER_2, "users.list", "") == 0
    now.seconds = 3.0
    assert limiter.retry_after(TIER_2, "usergroups.list", "") == 0
    assert limiter.retry_after(TIER_2, "usergroups.list", "") == 3


def test_posting_is_limited_by_channel_after_a_burst() -> None:
    now = Ticking()
    limiter = RateLimiter(scale=1.0, now=now)
    assert [limiter.retry_after(POSTING, "chat.postMessage", "C1") for _ in range(6)] == [0] * 5 + [1]
    assert limiter.retry_after(POSTING, "chat.postMessage", "C2") == 0
    now.seconds = 1.0
    assert limiter.retry_after(POSTING, "chat.postMessage", "C1") == 0


async def test_too_many_messages_are_answered_429(start_workspace: StartWorkspace) -> None:
    workspace = await start_workspace()
    for _ in range(5):
        await workspace.client.chat_postMessage(channel=AGENTS, text="again")
    with pytest.raises(SlackApiError) as refused:
        await workspace.client.chat_postMessage(channel=AGENTS, text="again")
    assert refused.value.response.status_code == 429
    assert refused.value.response["error"] == "ratelimited"
    assert int(refused.value.response.headers["Retry-After"]) == 1
    await workspace.client.chat_postMessage(channel=APPROVALS, text="elsewhere")


async def test_calls_are_recorded_without_tokens(workspace: Workspace) -> None:
    await workspace.client.chat_postMessage(channel=AGENTS, text="once")
    await error_of(workspace.client.users_info(user="U0NOBODY"))
    calls = (await workspace.get("calls"))["calls"]
    assert [(c["method"], c["error"], c["channel"]) for c in calls] == [
        ("chat.postMessage", "", AGENTS),
        ("users.info", "user_not_found", ""),
    ]
    assert (await workspace.get("calls", method="users.info"))["calls"] == calls[1:]


async def test_api_test_echoes_errors(workspace: Workspace) -> None:
    client = AsyncWebClient(base_url=workspace.sandbox.api_url)
    assert (await client.api_test())["ok"] is True
    assert await error_of(client.api_test(error="my_error")) == "my_error"


@pytest.mark.parametrize(
    ("method", "arguments", "found"),
    [
        ("bots.info", {"bot": "B0COUNTERSIGN"}, {"user_id": "U0COUNTERSIGN"}),
        ("team.info", {}, {"id": "T0SANDBOX", "name": "Local workspace"}),
    ],
)
async def test_infos(start_workspace: StartWorkspace, method: str, arguments: dict[str, Any], found: Any) -> None:
    workspace = await start_workspace(scopes=["users:read", "team:read"])
    answer = await workspace.call(method, **arguments)
    shown = answer[method.partition(".")[0].removesuffix("s")]
    assert {name: shown[name] for name in found} == found

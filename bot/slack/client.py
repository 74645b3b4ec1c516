"""Slack's Web API, as far as it is used: one function a method, one session, no retries of its own.

Retries belong to the outbox: the SDK's own would post a message twice where only the answer got lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.settings import SlackSettings
from bot.ui.message import Blocks, Message

log = structlog.get_logger(__name__)

TIMEOUT = 10.0
"""Seconds for one call."""

METHODS: Mapping[str, frozenset[str]] = {
    "apps.connections.open": frozenset(),
    "auth.test": frozenset(),
    "bots.info": frozenset({"users:read"}),
    "chat.postEphemeral": frozenset({"chat:write"}),
    "chat.postMessage": frozenset({"chat:write"}),
    "chat.update": frozenset({"chat:write"}),
    "conversations.history": frozenset({"channels:history", "groups:history", "im:history"}),
    "conversations.open": frozenset({"im:write"}),
    "conversations.replies": frozenset({"channels:history", "groups:history", "im:history"}),
    "usergroups.list": frozenset({"usergroups:read"}),
    "users.info": frozenset({"users:read"}),
    "users.lookupByEmail": frozenset({"users:read.email"}),
    "views.open": frozenset(),
    "views.publish": frozenset(),
}
"""Every method that is called, with the bot scopes that it needs (docs.slack.dev/reference/methods)."""

TRANSIENT = frozenset(
    {
        "external_channel_migrating",
        "fatal_error",
        "internal_error",
        "message_limit_exceeded",
        "rate_limited",
        "ratelimited",
        "request_timeout",
        "service_unavailable",
        "team_added_to_org",
        "update_failed",
    }
)
"""Errors that pass by themselves."""


TOKEN_REFUSED = frozenset(
    {
        "account_inactive",
        "invalid_auth",
        "not_allowed_token_type",
        "not_authed",
        "org_login_required",
        "team_access_not_granted",
        "token_expired",
        "token_revoked",
    }
)
"""Answers that speak about the token: every call gets them, until it works again or another one is set."""


class SlackRefused(Exception):
    """Slack answered no, and will again: `code` is its word for why, `needed` a scope that is missing."""

    def __init__(self, method: str, code: str, needed: str = "", messages: Sequence[str] = ()) -> None:
        detail = f" (scope {needed})" if needed else f" ({'; '.join(messages)})" if messages else ""
        super().__init__(f"{method}: {code}{detail}")
        self.method = method
        self.code = code
        self.needed = needed


class SlackAway(Exception):
    """Slack did not answer, or asked for a pause of `seconds`. `uncertain`: the call may have taken effect."""

    def __init__(self, method: str, reason: str, seconds: float | None = None, *, uncertain: bool = True) -> None:
        super().__init__(f"{method}: {reason}")
        self.seconds = seconds
        self.uncertain = uncertain


class SlackClient:
    """One bot token's calls. `open` and `close` it on the loop that uses it."""

    def __init__(self, settings: SlackSettings) -> None:
        if settings.slack_bot_token is None:
            raise ValueError("SlackClient needs settings with SLACK_BOT_TOKEN")
        self.refused_token = ""
        """What Slack said when it last refused the bot token; "" since it has taken it again."""
        self.calls: Counter[tuple[str, str]] = Counter()
        """Calls by method and outcome: ok, refused, or away (no answer, or a pause that Slack asked for)."""
        self._app_token = settings.slack_app_token
        self._web = AsyncWebClient(
            settings.slack_bot_token.get_secret_value(), base_url=settings.slack_api_url, retry_handlers=[]
        )
        if settings.on_this_machine:
            self._web.proxy = None

    @property
    def proxy(self) -> str | None:
        """The proxy of the environment that calls go through."""
        return self._web.proxy

    async def open(self) -> None:
        """Opens the session that every call shares."""
        self._web.session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=TIMEOUT), cookie_jar=aiohttp.DummyCookieJar()
        )

    async def close(self) -> None:
        if self._web.session is not None:
            await self._web.session.close()

    async def auth_test(self) -> dict[str, Any]:
        """Whose token it is: `team_id`, `user_id`, `bot_id`, `url`, and `scopes` as Slack's header says."""
        response = await self._send("auth.test")
        granted = response.headers.get("x-oauth-scopes", "")
        return {**_data(response), "scopes": [scope for scope in granted.split(",") if scope]}

    async def connection_url(self) -> str:
        """A WebSocket URL for Socket Mode, good for one connection within seconds."""
        token = self._app_token.get_secret_value() if self._app_token is not None else ""
        answer = await self._call("apps.connections.open", headers={"Authorization": f"Bearer {token}"})
        return str(answer["url"])

    async def post(
        self,
        channel: str,
        message: Message,
        *,
        thread_ts: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> tuple[str, str]:
        """Posts; returns (channel, ts). `channel` may be a user's id: then it is their direct message."""
        answer = await self._call(
            "chat.postMessage",
            body={
                "channel": channel,
                "text": message.text,
                "blocks": message.blocks,
                "thread_ts": thread_ts,
                "metadata": metadata,
                "unfurl_links": False,
                "unfurl_media": False,
            },
        )
        return str(answer["channel"]), str(answer["ts"])

    async def update(self, channel: str, ts: str, message: Message) -> None:
        """Replaces text and blocks; always both, as text alone takes the blocks away."""
        await self._call(
            "chat.update", body={"channel": channel, "ts": ts, "text": message.text, "blocks": message.blocks}
        )

    async def ephemeral(self, channel: str, user: str, message: Message, *, thread_ts: str | None = None) -> None:
        """Shows a message to one person alone."""
        await self._call(
            "chat.postEphemeral",
            body={
                "channel": channel,
                "user": user,
                "text": message.text,
                "blocks": message.blocks or None,
                "thread_ts": thread_ts,
            },
        )

    async def open_view(self, trigger_id: str, view: Mapping[str, Any]) -> None:
        """Opens a modal, within three seconds of the click that gave the trigger."""
        await self._call("views.open", body={"trigger_id": trigger_id, "view": view})

    async def publish_home(self, user: str, blocks: Blocks) -> None:
        """Replaces somebody's App Home."""
        await self._call("views.publish", body={"user_id": user, "view": {"type": "home", "blocks": blocks}})

    async def user(self, user: str) -> dict[str, Any]:
        """The user object."""
        answer: dict[str, Any] = (await self._call("users.info", query={"user": user}))["user"]
        return answer

    async def user_by_email(self, email: str) -> dict[str, Any]:
        """The user object of whom an e-mail address belongs to."""
        answer: dict[str, Any] = (await self._call("users.lookupByEmail", query={"email": email}))["user"]
        return answer

    async def app_of_bot(self, bot_id: str) -> str:
        """The id of the app that a bot belongs to; "" where Slack does not say."""
        return str((await self._call("bots.info", query={"bot": bot_id}))["bot"].get("app_id") or "")

    async def groups(self) -> list[dict[str, Any]]:
        """Every user group that is not disabled, with its members."""
        answer: list[dict[str, Any]] = (await self._call("usergroups.list", query={"include_users": "true"}))[
            "usergroups"
        ]
        return answer

    async def direct_message(self, user: str) -> str:
        """The channel of the direct message with a person."""
        return str((await self._call("conversations.open", body={"users": user}))["channel"]["id"])

    async def history(
        self, channel: str, *, thread_ts: str | None, oldest: str, cursor: str = ""
    ) -> tuple[list[dict[str, Any]], str]:
        """Messages of a channel, or of a thread, with their metadata, and the cursor of the next page ("": none)."""
        query = {"channel": channel, "oldest": oldest, "limit": "200", "include_all_metadata": "true"}
        if cursor:
            query["cursor"] = cursor
        if thread_ts is None:
            answer = await self._call("conversations.history", query=query)
        else:
            answer = await self._call("conversations.replies", query={**query, "ts": thread_ts})
        following = (answer.get("response_metadata") or {}).get("next_cursor") or ""
        return list(answer["messages"]), str(following)

    async def _call(
        self,
        method: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        return _data(await self._send(method, body=body, query=query, headers=headers))

    async def _send(
        self,
        method: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """One request; methods that read take a form, those that write take JSON. Raises SlackRefused, SlackAway."""
        given = None if body is None else {name: value for name, value in body.items() if value is not None}
        try:
            answer = await self._web.api_call(
                method,
                json=given,
                data=dict(query) if query is not None else None,
                headers=dict(headers) if headers is not None else None,
            )
        except SlackApiError as error:
            failure = _failure(method, error)
            self.calls[method, "refused" if isinstance(failure, SlackRefused) else "away"] += 1
            if headers is None and isinstance(failure, SlackRefused) and failure.code in TOKEN_REFUSED:
                self._token_was_refused(failure)
            raise failure from None
        except aiohttp.ClientConnectorError as error:
            self.calls[method, "away"] += 1
            raise SlackAway(method, "cannot be reached", uncertain=False) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.calls[method, "away"] += 1
            raise SlackAway(method, type(error).__name__) from error
        self.calls[method, "ok"] += 1
        if headers is None and self.refused_token:
            log.info("slack: the bot token is taken again")
            self.refused_token = ""
        return answer

    def _token_was_refused(self, failure: SlackRefused) -> None:
        """Said once, not for all that waits."""
        if not self.refused_token:
            log.error(
                "slack: the bot token is refused; nothing is lost, what is to be shown waits", reason=str(failure)
            )
        self.refused_token = str(failure)


def _data(response: Any) -> dict[str, Any]:
    return dict(response.data)


def _failure(method: str, error: SlackApiError) -> SlackRefused | SlackAway:
    response: Any = error.response
    status = int(getattr(response, "status_code", 0) or getattr(response, "status", 0))
    data = getattr(response, "data", None)
    code = str(data.get("error", "")) if isinstance(data, dict) else ""
    if status == 429 or code in {"ratelimited", "rate_limited"}:
        return SlackAway(method, "rate limited", _retry_after(response), uncertain=False)
    if status >= 500 or not code or code in TRANSIENT:
        return SlackAway(method, code or f"status {status}")
    assert isinstance(data, dict)
    messages = (data.get("response_metadata") or {}).get("messages") or ()
    return SlackRefused(method, code, str(data.get("needed") or ""), [str(message) for message in messages])


def _retry_after(response: Any) -> float:
    try:
        return max(1.0, float(response.headers.get("Retry-After", 30)))
    except (AttributeError, ValueError):
        return 30.0


def metadata(event_type: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Message metadata (docs.slack.dev/messaging/message-metadata)."""
    return {"event_type": event_type, "event_payload": dict(payload)}

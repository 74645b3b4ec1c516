"""HTTP mode: signed POSTs to the app's request URL.

Source: docs.slack.dev/authentication/verifying-requests-from-slack (the signature) and
docs.slack.dev/apis/events-api (url_verification, retries, `X-Slack-No-Retry`).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import aiohttp

from bot.sandbox.config import SandboxConfig
from bot.sandbox.delivery.outgoing import Ack, Outgoing
from bot.sandbox.faults import Faults

USER_AGENT = "Slackbot 1.0 (+https://api.slack.com/robots)"
MAX_REDIRECTS = 2
JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded"


def signature(signing_secret: str, timestamp: str, body: bytes) -> str:
    """Slack's `X-Slack-Signature`: HMAC-SHA256 of `v0:timestamp:body`, in hex after `v0=`."""
    message = b"v0:" + timestamp.encode() + b":" + body
    return "v0=" + hmac.new(signing_secret.encode(), message, hashlib.sha256).hexdigest()


class HttpDelivery:
    """Posts to `request_url`. The session belongs to whoever made it."""

    def __init__(
        self,
        config: SandboxConfig,
        request_url: str,
        session: aiohttp.ClientSession,
        faults: Callable[[], Faults],
    ) -> None:
        self._config = config
        self._session = session
        self._faults = faults
        self.request_url = request_url

    async def verify(self) -> str | None:
        """Slack's url_verification: the app must answer the challenge. None if it did, else what is wrong."""
        challenge = secrets.token_urlsafe(32)
        payload = {
            "type": "url_verification",
            "token": self._config.verification_token,
            "challenge": challenge,
        }
        ack = await self._post(json.dumps(payload).encode(), JSON_TYPE, {})
        if not ack.ok:
            return f"the request URL did not answer url_verification with 200 in time ({ack.reason})"
        answered = ack.payload.get("challenge") if isinstance(ack.payload, dict) else ack.payload
        return None if answered == challenge else "the request URL did not answer with the challenge"

    async def deliver(self, outgoing: Outgoing) -> Ack:
        headers = {}
        if outgoing.retry_num:
            headers = {
                "X-Slack-Retry-Num": str(outgoing.retry_num),
                "X-Slack-Retry-Reason": outgoing.retry_reason,
            }
        match outgoing.kind:
            case "events_api":
                return await self._post(json.dumps(outgoing.payload).encode(), JSON_TYPE, headers)
            case "interactive":
                form = urlencode({"payload": json.dumps(outgoing.payload)})
            case "slash_commands":
                form = urlencode(outgoing.payload)
        return await self._post(form.encode(), FORM_TYPE, headers)

    async def _post(self, body: bytes, content_type: str, headers: dict[str, str]) -> Ack:
        timestamp = str(int(time.time()))
        signed = {
            **headers,
            "Content-Type": content_type,
            "User-Agent": USER_AGENT,
            "X-Slack-Request-Timestamp": timestamp,
            "X-Slack-Signature": signature(self._config.signing_secret, timestamp, body),
        }
        try:
            async with (
                asyncio.timeout(self._config.ack_seconds),
                self._session.post(
                    self.request_url, data=body, headers=signed, max_redirects=MAX_REDIRECTS
                ) as response,
            ):
                text = (await response.read()).decode(errors="replace")
                await asyncio.sleep(self._faults().delay_acks)
        except TimeoutError:
            return Ack(False, reason="http_timeout")
        except aiohttp.TooManyRedirects:
            return Ack(False, reason="too_many_redirects")
        except aiohttp.ClientError:
            return Ack(False, reason="connection_failed")
        no_retry = response.headers.get("X-Slack-No-Retry") == "1"
        if not 200 <= response.status < 300:
            return Ack(False, reason="http_error", no_retry=no_retry)
        return Ack(True, _payload_of(text, response.content_type), no_retry=no_retry)


def _payload_of(text: str, content_type: str) -> Any:
    if not text:
        return None
    if content_type == JSON_TYPE:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text

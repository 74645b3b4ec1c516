"""HTTP mode: whether Slack's calls would arrive, tried with the question that Slack itself asks of a new address."""

from __future__ import annotations

import json
import secrets
import time

import aiohttp
from slack_sdk.signature import SignatureVerifier
from yarl import URL

from bot.checks.finding import Finding, bad, good, note
from bot.settings import SlackSettings

TIMEOUT = 10.0

_ABOUT = "Slack request URL"


async def check_request_url(settings: SlackSettings) -> list[Finding]:
    """Sends `url_verification` to the public address, signed as Slack signs (docs.slack.dev/apis/events-api)."""
    if settings.slack_signing_secret is None:
        return []
    from bot.transport.http import PATH  # brings Slack's framework with it

    needed = settings.mode == "http"
    if not settings.public_url:
        if not needed:
            return [
                note(_ABOUT, "SLACK_SIGNING_SECRET is set without COUNTERSIGN_PUBLIC_URL: only Socket Mode is used")
            ]
        return [
            bad(
                _ABOUT,
                "COUNTERSIGN_PUBLIC_URL is not set, so Slack cannot be told where to call",
                "set it to the address at which the internet reaches this server, or set SLACK_APP_TOKEN (Socket Mode)",
            )
        ]
    url = f"{settings.public_url}{PATH}"
    found = [await _ask(settings, url)]
    if URL(url).scheme != "https":
        found.append(note(_ABOUT, f"{url}: Slack calls https:// addresses", "put a proxy with a certificate before it"))
    return found


async def _ask(settings: SlackSettings, url: str) -> Finding:
    challenge = secrets.token_urlsafe(16)
    body = json.dumps({"type": "url_verification", "token": "doctor", "challenge": challenge})
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT), trust_env=True) as session,
            session.post(url, data=body, headers=_signed(settings, body), allow_redirects=False) as answer,
        ):
            text = (await answer.content.read(4096)).decode(errors="replace")
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return note(
            _ABOUT,
            f"{url} does not answer from here ({type(error).__name__})",
            "start `countersign serve` behind it and run this again; a firewall may also let in nobody but Slack",
        )
    if answer.status == 200 and challenge in text:
        return good(_ABOUT, f"{url} answers, with this signing secret")
    if answer.status == 401:
        return bad(
            _ABOUT,
            f"{url} refuses what is signed with SLACK_SIGNING_SECRET",
            "start the server with the same secret as here: the app's Basic Information → Signing Secret",
        )
    return bad(
        _ABOUT,
        f"{url} answered {answer.status} and not the challenge",
        "let the proxy pass POST /slack/events on, body and X-Slack-… headers unchanged, to this server",
    )


def _signed(settings: SlackSettings, body: str) -> dict[str, str]:
    secret = settings.slack_signing_secret
    assert secret is not None
    now = str(int(time.time()))
    signature = SignatureVerifier(secret.get_secret_value()).generate_signature(timestamp=now, body=body)
    return {
        "Content-Type": "application/json",
        "X-Slack-Request-Timestamp": now,
        "X-Slack-Signature": signature or "",
    }

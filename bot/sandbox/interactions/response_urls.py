"""Response URLs: five uses within 30 minutes to answer an interaction, without a token.

Source: docs.slack.dev/interactivity/handling-user-interaction, "Using a response URL".
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from bot.sandbox.errors import SlackError

MAX_USES = 5
LIFETIME_SECONDS = 30 * 60.0


@dataclass(frozen=True)
class Answerable:
    """What a response URL answers: who did it, where, and on which message (`ts`, None for a command)."""

    user: str
    channel: str
    ts: str | None = None
    thread_ts: str | None = None


@dataclass
class _Issued:
    answerable: Answerable
    expires_at: float
    uses: int = 0


class ResponseUrls:
    """The URLs that still may be used. `now` gives seconds; `time_scale` multiplies the 30 minutes."""

    def __init__(self, *, now: Callable[[], float], time_scale: float) -> None:
        self._now = now
        self._lifetime = LIFETIME_SECONDS * time_scale
        self._issued: dict[str, _Issued] = {}

    def issue(self, answerable: Answerable) -> str:
        """The path's last part, which nobody can guess."""
        now = self._now()
        self._issued = {secret: i for secret, i in self._issued.items() if i.expires_at > now - LIFETIME_SECONDS}
        secret = secrets.token_urlsafe(24)
        self._issued[secret] = _Issued(answerable, now + self._lifetime)
        return secret

    def use(self, secret: str) -> Answerable:
        """Counts one use.

        Raises:
            SlackError: `invalid_url`, `expired_url` or `used_url`, all with status 404.
        """
        issued = self._issued.get(secret)
        if issued is None:
            raise SlackError("invalid_url", status=404)
        if issued.expires_at <= self._now():
            raise SlackError("expired_url", status=404)
        if issued.uses >= MAX_USES:
            raise SlackError("used_url", status=404)
        issued.uses += 1
        return issued.answerable

"""Trigger ids: they prove that a person just did something, live 3 s and open one view.

Source: docs.slack.dev/interactivity/handling-user-interaction; errors from the views.open reference.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from bot.sandbox.errors import SlackError


@dataclass
class _Trigger:
    user: str
    expires_at: float
    is_exchanged: bool = False


class Triggers:
    """Trigger ids that live `lifetime` seconds, or none at all where `already_expired` says so."""

    def __init__(self, lifetime: float, *, now: Callable[[], float], already_expired: Callable[[], bool]) -> None:
        self._lifetime = lifetime
        self._now = now
        self._already_expired = already_expired
        self._issued: dict[str, _Trigger] = {}

    def issue(self, user: str) -> str:
        now = self._now()
        # Those long dead are forgotten, and answer as invalid then.
        self._issued = {key: t for key, t in self._issued.items() if t.expires_at > now - 600}
        trigger_id = f"{secrets.randbelow(10**12)}.{secrets.randbelow(10**9)}.{secrets.token_hex(16)}"
        self._issued[trigger_id] = _Trigger(user, now if self._already_expired() else now + self._lifetime)
        return trigger_id

    def exchange(self, trigger_id: str) -> str:
        """Uses the trigger up.

        Returns:
            The id of the user who caused it.
        Raises:
            SlackError: `invalid_trigger_id`, `exchanged_trigger_id`, `expired_trigger_id`.
        """
        trigger = self._issued.get(trigger_id)
        if trigger is None:
            raise SlackError("invalid_trigger_id")
        if trigger.is_exchanged:
            raise SlackError("exchanged_trigger_id")
        if trigger.expires_at <= self._now():
            raise SlackError("expired_trigger_id")
        trigger.is_exchanged = True
        return trigger.user

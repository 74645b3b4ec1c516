"""A person opens the App Home."""

from __future__ import annotations

from typing import Any

from bot.sandbox.interactions.payloads import acting_user
from bot.sandbox.modals import shown_view
from bot.sandbox.server import SandboxServer


def open_home(server: SandboxServer, *, user: str) -> dict[str, Any]:
    """Opens the App Home: an `app_home_opened` event, and the Home as it was published so far (or None)."""
    person = acting_user(server, user)
    channel = server.workspace.open_dm(person.id)
    server.workspace.homes_opened.add(person.id)
    home = server.workspace.views.home(person.id)
    shown = None if home is None else shown_view(server, home)
    event: dict[str, Any] = {
        "type": "app_home_opened",
        "user": person.id,
        "channel": channel.id,
        "tab": "home",
        "event_ts": server.clock.next_ts(),
    }
    if shown is not None:
        event["view"] = shown
    event_id = server.events.publish("app_home_opened", event)
    return {"ok": True, "event_id": event_id, "view": shown, "channel": channel.id}

"""Modals and App Homes: at most three modals a person, one on another, and one Home."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

from bot.sandbox.workspace.clock import Clock, random_id

MAX_STACK = 3  # docs.slack.dev/surfaces/modals: a view stack holds up to three views

_SHOWN = (
    "title",
    "submit",
    "close",
    "private_metadata",
    "callback_id",
    "external_id",
    "clear_on_close",
    "notify_on_close",
    "submit_disabled",
)


@dataclass
class View:
    """One view as published by the app, and what its user has filled in so far (`values`)."""

    id: str
    user: str
    type: str
    content: dict[str, Any]
    hash: str
    root_view_id: str
    previous_view_id: str | None = None
    values: dict[str, dict[str, Any]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def blocks(self) -> list[dict[str, Any]]:
        blocks: list[dict[str, Any]] = self.content["blocks"]
        return blocks

    @property
    def external_id(self) -> str:
        return str(self.content.get("external_id") or "")


class Views:
    """The views that are open, a stack for each person, and the Homes that were published."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._by_id: dict[str, View] = {}
        self._stacks: dict[str, list[View]] = {}
        self._homes: dict[str, View] = {}

    def get(self, view_id: str) -> View | None:
        return self._by_id.get(view_id)

    def by_external_id(self, external_id: str) -> View | None:
        return next((view for view in self._by_id.values() if view.external_id == external_id), None)

    def stack(self, user: str) -> list[View]:
        """The person's modals, the one on top last."""
        return list(self._stacks.get(user, []))

    def home(self, user: str) -> View | None:
        return self._homes.get(user)

    def open(self, user: str, content: dict[str, Any]) -> View:
        """Opens a modal in place of those that are open."""
        self.clear(user)
        return self._put_on_top(user, content)

    def push(self, user: str, content: dict[str, Any]) -> View:
        return self._put_on_top(user, content)

    def publish_home(self, user: str, content: dict[str, Any]) -> View:
        home = self._homes.get(user)
        if home is not None:
            self.replace(home, content)
            return home
        view = self._new(user, content)
        self._homes[user] = view
        return view

    def replace(self, view: View, content: dict[str, Any]) -> None:
        """New content under the same id. What was filled in stays where block and action ids are the same."""
        view.content = content
        view.type = str(content["type"])
        view.hash = self._hash()
        view.errors = {}

    def close(self, view: View) -> None:
        stack = self._stacks.get(view.user, [])
        if view in stack:
            stack.remove(view)
            del self._by_id[view.id]

    def clear(self, user: str) -> None:
        for view in self._stacks.pop(user, []):
            del self._by_id[view.id]

    def _put_on_top(self, user: str, content: dict[str, Any]) -> View:
        stack = self._stacks.setdefault(user, [])
        view = self._new(user, content)
        if stack:
            view.root_view_id = stack[0].id
            view.previous_view_id = stack[-1].id
        stack.append(view)
        return view

    def _new(self, user: str, content: dict[str, Any]) -> View:
        view_id = random_id("V")
        view = View(view_id, user, str(content["type"]), content, self._hash(), root_view_id=view_id)
        self._by_id[view_id] = view
        return view

    def _hash(self) -> str:
        return f"{self._clock.seconds()}.{secrets.token_hex(4)}"


def view_json(view: View, *, team_id: str, app_id: str, bot_id: str, state: dict[str, Any]) -> dict[str, Any]:
    """The view object of API answers and interaction payloads."""
    shown = {name: view.content.get(name) for name in _SHOWN}
    return {
        "id": view.id,
        "team_id": team_id,
        "type": view.type,
        **shown,
        "blocks": view.blocks,
        "private_metadata": shown["private_metadata"] or "",
        "callback_id": shown["callback_id"] or "",
        "external_id": view.external_id,
        "clear_on_close": bool(shown["clear_on_close"]),
        "notify_on_close": bool(shown["notify_on_close"]),
        "submit_disabled": bool(shown["submit_disabled"]),
        "state": {"values": state},
        "hash": view.hash,
        "root_view_id": view.root_view_id,
        "previous_view_id": view.previous_view_id,
        "app_id": app_id,
        "app_installed_team_id": team_id,
        "bot_id": bot_id,
    }

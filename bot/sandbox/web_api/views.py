"""views.* methods: modals and the App Home."""

from __future__ import annotations

from typing import Any

from bot.sandbox.blocks.validate import check_view
from bot.sandbox.errors import SlackError
from bot.sandbox.modals import shown_view, stored_view, tell_page
from bot.sandbox.rates import TIER_4
from bot.sandbox.web_api.method import Call, Method
from bot.sandbox.workspace.views import MAX_STACK, View


def open_(call: Call) -> dict[str, Any]:
    content = _content(call, "modal")
    user = call.server.triggers.exchange(_trigger(call))
    return _answer(call, call.workspace.views.open(user, content))


def push(call: Call) -> dict[str, Any]:
    content = _content(call, "modal")
    user = call.server.triggers.exchange(_trigger(call))
    stack = call.workspace.views.stack(user)
    if not stack:
        raise SlackError("not_found")
    if len(stack) >= MAX_STACK:
        raise SlackError("push_limit_reached")
    return _answer(call, call.workspace.views.push(user, content))


def update(call: Call) -> dict[str, Any]:
    view = _named(call)
    content = _content(call, view.type, updates=view)
    _check_hash(call, view)
    call.workspace.views.replace(view, content)
    return _answer(call, view)


def publish(call: Call) -> dict[str, Any]:
    user = call.workspace.users.get(call.args.required("user_id"))
    if user is None or user.is_bot:
        raise SlackError("invalid_arguments", messages=["[ERROR] invalid `user_id`"])
    home = call.workspace.views.home(user.id)
    content = _content(call, "home", updates=home)
    if home is not None:
        _check_hash(call, home)
    return _answer(call, call.workspace.views.publish_home(user.id, content))


def _content(call: Call, kind: str, updates: View | None = None) -> dict[str, Any]:
    view = check_view(call.args.json("view"), allowed=(kind,))
    if view.get("external_id"):
        other = call.workspace.views.by_external_id(view["external_id"])
        if other is not None and other is not updates:
            raise SlackError("duplicate_external_id")
    return stored_view(view)


def _trigger(call: Call) -> str:
    return call.args.text("trigger_id") or call.args.required("interactivity_pointer")


def _named(call: Call) -> View:
    view_id, external_id = call.args.text("view_id"), call.args.text("external_id")
    if not view_id and not external_id:
        call.args.required("view_id")
    views = call.workspace.views
    view = views.get(view_id) if view_id else views.by_external_id(external_id)
    if view is None:
        raise SlackError("not_found")
    return view


def _check_hash(call: Call, view: View) -> None:
    if call.args.text("hash") not in ("", view.hash):
        raise SlackError("hash_conflict")


def _answer(call: Call, view: View) -> dict[str, Any]:
    tell_page(call.server, view)
    return {"view": shown_view(call.server, view)}


METHODS = (
    Method("views.open", open_, TIER_4),
    Method("views.push", push, TIER_4),
    Method("views.update", update, TIER_4),
    Method("views.publish", publish, TIER_4),
)

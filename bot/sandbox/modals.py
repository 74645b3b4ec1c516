"""How a view is stored and shown, on the page and to the app."""

from __future__ import annotations

from typing import Any

from bot.sandbox.blocks.fill import with_ids
from bot.sandbox.blocks.state import Values, find_element, held_value, state_values
from bot.sandbox.errors import ControlError
from bot.sandbox.server import SandboxServer
from bot.sandbox.workspace.views import View, view_json


def stored_view(view: dict[str, Any]) -> dict[str, Any]:
    """A checked view as it is kept: with every id filled in."""
    return view | {"blocks": with_ids(view["blocks"])}


def shown_view(server: SandboxServer, view: View) -> dict[str, Any]:
    """The view object of answers, payloads and the page."""
    config = server.config
    return view_json(
        view,
        team_id=config.team_id,
        app_id=config.app_id,
        bot_id=config.bot_id,
        state=state_values(view.blocks, view.values),
    )


def fill_in(view: View, values: Values) -> None:
    """Remembers what a person filled in: objects as in `view.state.values`, or bare values.

    Raises:
        ControlError: 422 where the view has no such input, or nobody could fill in that; nothing is kept then.
    """
    filled = {
        (block_id, action_id): _filled_in(view, block_id, action_id, given)
        for block_id, actions in values.items()
        for action_id, given in actions.items()
    }
    for (block_id, action_id), value in filled.items():
        view.values.setdefault(block_id, {})[action_id] = value


def _filled_in(view: View, block_id: str, action_id: str, given: Any) -> dict[str, Any]:
    field = f"values.{block_id}.{action_id}"
    found = find_element(view.blocks, action_id, block_id)
    if found is None:
        inputs = ", ".join(f"{b}.{a}" for b, actions in state_values(view.blocks, {}).items() for a in actions)
        raise ControlError(422, "no_such_input", f"{field}: this view has the inputs {inputs or 'none'}")
    return held_value(found[1], given, field)


def tell_page(server: SandboxServer, view: View, change: str = "shown") -> None:
    server.notices.publish(
        "view",
        audience=frozenset({view.user}),
        view=view.id,
        view_type=view.type,
        user=view.user,
        change=change,
    )

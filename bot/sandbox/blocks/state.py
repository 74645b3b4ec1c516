"""What a person has chosen or typed: `state.values` of views and messages
(docs.slack.dev/reference/interaction-payloads)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bot.sandbox.blocks.validate import elements_of
from bot.sandbox.errors import ControlError

Values = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class _Held:
    """Under which key an element type holds its value, and under which its initial value comes."""

    key: str
    initial: str
    has_options: bool = False
    is_many: bool = False


_HELD: dict[str, _Held] = {
    "plain_text_input": _Held("value", "initial_value"),
    "email_text_input": _Held("value", "initial_value"),
    "url_text_input": _Held("value", "initial_value"),
    "number_input": _Held("value", "initial_value"),
    "rich_text_input": _Held("rich_text_value", "initial_value"),
    "file_input": _Held("files", "initial_files", is_many=True),
    "static_select": _Held("selected_option", "initial_option", has_options=True),
    "external_select": _Held("selected_option", "initial_option"),
    "radio_buttons": _Held("selected_option", "initial_option", has_options=True),
    "checkboxes": _Held("selected_options", "initial_options", has_options=True, is_many=True),
    "multi_static_select": _Held("selected_options", "initial_options", has_options=True, is_many=True),
    "multi_external_select": _Held("selected_options", "initial_options", is_many=True),
    "users_select": _Held("selected_user", "initial_user"),
    "multi_users_select": _Held("selected_users", "initial_users", is_many=True),
    "conversations_select": _Held("selected_conversation", "initial_conversation"),
    "multi_conversations_select": _Held("selected_conversations", "initial_conversations", is_many=True),
    "channels_select": _Held("selected_channel", "initial_channel"),
    "multi_channels_select": _Held("selected_channels", "initial_channels", is_many=True),
    "datepicker": _Held("selected_date", "initial_date"),
    "timepicker": _Held("selected_time", "initial_time"),
    "datetimepicker": _Held("selected_date_time", "initial_date_time"),
}


def find_element(
    blocks: list[dict[str, Any]], action_id: str, block_id: str | None = None
) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The first element with this action_id, with its block; in `block_id` alone where one is given."""
    for block in blocks:
        if block_id is not None and block.get("block_id") != block_id:
            continue
        for _, element in elements_of(block):
            if element.get("action_id") == action_id:
                return block, element
    return None


def state_values(blocks: list[dict[str, Any]], filled: Values) -> Values:
    """Every element that holds a value, with what was filled in, else its initial value, else nothing."""
    state: Values = {}
    for block, element, held in _stateful(blocks):
        value = filled.get(block["block_id"], {}).get(element["action_id"])
        if value is None:
            empty: Any = [] if held.is_many else None
            value = {"type": element["type"], held.key: element.get(held.initial, empty)}
        state.setdefault(block["block_id"], {})[element["action_id"]] = value
    return state


def held_value(element: dict[str, Any], given: Any, field: str) -> dict[str, Any]:
    """What the element would hold.

    Args:
        given: an object as in `view.state.values`, or the bare value; an option by itself or by its `value`.
        field: how a refusal names it.
    Raises:
        ControlError: 422 where no person could have chosen that.
    """
    kind = element["type"]
    held = _HELD.get(kind)
    if held is None:
        raise ControlError(422, "not_an_input", f"{field} is a {kind}: it holds no value")
    value = given
    if isinstance(given, dict):
        if held.key in given:
            value = given[held.key]
        elif held.key not in ("selected_option", "rich_text_value"):
            raise ControlError(422, "invalid_value", f"{field} is a {kind}: give it as {held.key}")
    if value is None or value == "":
        return {"type": kind, held.key: [] if held.is_many else None}
    if held.has_options and held.is_many:
        value = [option_of(element, item, field) for item in _listed(value, field)]
    elif held.has_options:
        value = option_of(element, value, field)
    elif held.is_many:
        value = _listed(value, field)
    elif held.key == "value" and not isinstance(value, str):
        raise ControlError(422, "invalid_value", f"{field} takes a string")
    return {"type": kind, held.key: value}


def option_of(element: dict[str, Any], chosen: Any, field: str) -> dict[str, Any]:
    """The element's own option that `chosen` (an option or its `value`) means."""
    wanted = chosen.get("value") if isinstance(chosen, dict) else chosen
    groups = element.get("option_groups") or []
    options = [*(element.get("options") or []), *(o for group in groups for o in group["options"])]
    for option in options:
        if option["value"] == wanted:
            found: dict[str, Any] = option
            return found
    offered = ", ".join(repr(option["value"]) for option in options)
    raise ControlError(422, "no_such_option", f"{field} offers {offered}, not {wanted!r}")


def unfilled(blocks: list[dict[str, Any]], values: Values) -> dict[str, str]:
    """The words by block_id in which a Slack client refuses to submit, before the app is asked."""
    refusals: dict[str, str] = {}
    for block, element, held in _stateful(blocks):
        if block["type"] != "input":
            continue
        value = values[block["block_id"]][element["action_id"]].get(held.key)
        refusal = _refusal(element, value, optional=bool(block.get("optional")))
        if refusal:
            refusals[block["block_id"]] = refusal
    return refusals


def _refusal(element: dict[str, Any], value: Any, *, optional: bool) -> str | None:
    if value in (None, "", []):
        return None if optional else "Please complete this required field."
    if isinstance(value, str):
        # An input without max_length still takes 3000 characters at most.
        if len(value) < element.get("min_length", 0):
            return f"Please enter at least {element['min_length']} characters."
        if element["type"] == "plain_text_input" and len(value) > element.get("max_length", 3000):
            return f"Please enter at most {element.get('max_length', 3000)} characters."
    return None


def _stateful(blocks: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any], _Held]]:
    for block in blocks:
        for _, element in elements_of(block):
            held = _HELD.get(element["type"])
            if held is not None:
                yield block, element, held


def _listed(value: Any, field: str) -> list[Any]:
    if not isinstance(value, list):
        raise ControlError(422, "invalid_value", f"{field} takes a list")
    return value

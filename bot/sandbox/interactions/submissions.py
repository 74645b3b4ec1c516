"""A person submits or closes a modal: `view_submission`, `view_closed`, and what the app answers.

Source: docs.slack.dev/surfaces/modals ("response actions") and the view interaction payloads reference.
"""

from __future__ import annotations

from typing import Any

from bot.sandbox.blocks.state import Values, state_values, unfilled
from bot.sandbox.blocks.validate import check_view
from bot.sandbox.delivery.outgoing import Outgoing
from bot.sandbox.errors import ControlError, SlackError
from bot.sandbox.interactions.outcome import outcome
from bot.sandbox.interactions.payloads import acting_user, payload
from bot.sandbox.modals import fill_in, shown_view, stored_view, tell_page
from bot.sandbox.server import SandboxServer
from bot.sandbox.workspace.views import MAX_STACK, View


async def submit(server: SandboxServer, *, user: str, view: View, values: Values) -> dict[str, Any]:
    """Fills in `values` (as `view.state.values`, or bare values) and submits.

    Returns:
        `acked`, `response_action`, and `errors` by block_id where the app refuses.
    Raises:
        ControlError: 404, or 422 where Slack's client would not let the person submit.
    """
    person = acting_user(server, user)
    _check_on_top(server, view, person.id)
    if view.content.get("submit") is None:
        raise ControlError(422, "no_submit_button", "this modal has no submit button")
    fill_in(view, values)
    view.errors = {}
    refusals = unfilled(view.blocks, state_values(view.blocks, view.values))
    if refusals:
        raise ControlError(422, "input_required", "Slack's client does not submit this", errors=refusals)
    body = payload(server, "view_submission", person) | {
        "view": shown_view(server, view),
        "response_urls": [],
    }
    ack = await server.transport.deliver(Outgoing("interactive", body))
    if not ack.ok:
        # What the person reads then; the modal stays open.
        return outcome(ack, error="We had some trouble connecting. Try again?")
    return outcome(ack, **_respond(server, view, ack.payload))


async def close(server: SandboxServer, *, user: str, view: View, clear: bool = False) -> dict[str, Any]:
    """Closes the modal on top, or with `clear` all of them. The app is told where the view asks for it."""
    person = acting_user(server, user)
    _check_on_top(server, view, person.id)
    # Closing with the x (clear) ends the whole stack; so does closing one whose view says clear_on_close.
    is_cleared = clear or bool(view.content.get("clear_on_close"))
    shown = shown_view(server, view)
    if is_cleared:
        server.workspace.views.clear(person.id)
    else:
        server.workspace.views.close(view)
    tell_page(server, view, "closed")
    if not view.content.get("notify_on_close"):
        return {"ok": True, "acked": None}
    body = payload(server, "view_closed", person, trigger=False) | {"view": shown, "is_cleared": is_cleared}
    return outcome(await server.transport.deliver(Outgoing("interactive", body)))


def _check_on_top(server: SandboxServer, view: View, user: str) -> None:
    stack = server.workspace.views.stack(user)
    if view not in stack:
        raise ControlError(404, "view_not_found", f"{user} does not have the modal {view.id} open")
    if stack[-1] is not view:
        raise ControlError(409, "view_not_on_top", f"the modal {stack[-1].id} lies on top of {view.id}")


def _respond(server: SandboxServer, view: View, answer: Any) -> dict[str, Any]:
    """Does what the app answered: nothing closes this view, the stack below shows again."""
    views = server.workspace.views
    action = answer.get("response_action") if isinstance(answer, dict) else None
    try:
        match action:
            case None:
                views.close(view)
                tell_page(server, view, "closed")
            case "clear":
                views.clear(view.user)
                tell_page(server, view, "closed")
            case "errors":
                view.errors = _checked_errors(view, answer.get("errors"))
                tell_page(server, view)
                return {"response_action": "errors", "errors": view.errors}
            case "update":
                views.replace(view, stored_view(check_view(answer.get("view"), allowed=("modal",))))
                tell_page(server, view)
            case "push":
                if len(views.stack(view.user)) >= MAX_STACK:
                    raise SlackError("push_limit_reached")
                pushed = views.push(view.user, stored_view(check_view(answer.get("view"), allowed=("modal",))))
                tell_page(server, pushed)
            case _:
                raise SlackError("invalid_response_action")
    except SlackError as refusal:
        # Slack tells the person only that connecting had failed; tests are told what was wrong.
        return {
            "response_action": action,
            "error": "We had some trouble connecting. Try again?",
            "problem": refusal.body(),
        }
    return {"response_action": action}


def _checked_errors(view: View, errors: Any) -> dict[str, str]:
    """Slack takes errors only on the input blocks that are there."""
    inputs = {block["block_id"] for block in view.blocks if block["type"] == "input"}
    if not isinstance(errors, dict) or not errors or not set(errors) <= inputs:
        raise SlackError("invalid_errors", messages=[f"[ERROR] errors must name input blocks: {sorted(inputs)}"])
    return {str(block_id): str(message) for block_id, message in errors.items()}

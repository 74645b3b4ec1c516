"""The bodies that control endpoints take."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.sandbox.errors import ControlError


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PostMessage(Body):
    channel: str
    user: str
    text: Annotated[str, Field(min_length=1, max_length=40_000)]
    thread_ts: str | None = None


class Act(Body):
    """A click. What is typed or chosen comes under the name that the element's state has for it.

    `values` is what else was filled in on the view so far."""

    user: str
    action_id: str
    channel: str | None = None
    message_ts: str | None = None
    view_id: str | None = None
    block_id: str | None = None
    confirm: bool = False
    values: dict[str, dict[str, Any]] = {}
    value: Any = None
    selected_option: Any = None
    selected_options: Any = None
    selected_user: Any = None
    selected_users: Any = None
    selected_conversation: Any = None
    selected_conversations: Any = None
    selected_channel: Any = None
    selected_channels: Any = None
    selected_date: Any = None
    selected_time: Any = None
    selected_date_time: Any = None
    rich_text_value: Any = None

    @property
    def chosen(self) -> Any:
        """What is typed or chosen, None where nothing is."""
        names = [name for name in type(self).model_fields if name.startswith(("selected_", "rich_text_"))]
        given = (getattr(self, name) for name in ("value", *names))
        return next((value for value in given if value is not None), None)


class Submit(Body):
    user: str
    values: dict[str, dict[str, Any]] = {}


class Close(Body):
    user: str
    clear: bool = False


class Command(Body):
    user: str
    channel: str
    command: str
    text: str = ""


class Shortcut(Body):
    user: str
    callback_id: str
    channel: str | None = None
    message_ts: str | None = None


class Home(Body):
    user: str


class AppProcess(Body):
    action: Literal["kill", "start"]


class UserChange(Body):
    deleted: bool | None = None
    is_restricted: bool | None = None
    name: Annotated[str, Field(min_length=1)] | None = None
    email: str | None = None


class GroupChange(Body):
    users: list[str]


class Membership(Body):
    user: str
    present: bool


class ChannelChange(Body):
    is_archived: bool


class RequestUrl(Body):
    url: Annotated[str, Field(pattern=r"^https?://")] | None


class Delivery(Body):
    type: Literal["events_api", "interactive", "slash_commands"]
    payload: dict[str, Any]


_B = TypeVar("_B", bound=BaseModel)


async def read_body(request: web.Request, model: type[_B]) -> _B:
    """Raises: ControlError 422, naming each field that is wrong."""
    try:
        return model.model_validate_json(await request.read() or b"{}")
    except ValidationError as problem:
        errors = [
            {"field": ".".join(str(part) for part in error["loc"]), "message": error["msg"]}
            for error in problem.errors(include_url=False, include_input=False, include_context=False)
        ]
        listed = "; ".join(f"{error['field'] or 'body'}: {error['message']}" for error in errors)
        raise ControlError(422, "invalid_request", listed, errors=errors) from None

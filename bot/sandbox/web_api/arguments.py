"""The arguments of a Web API call, however they were sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from bot.sandbox.errors import SlackError

_MISSING = object()


class Arguments:
    """Arguments by name. Forms carry everything as text, so each getter knows what its argument means."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = {name: value for name, value in given.items() if value is not None}

    def __contains__(self, name: str) -> bool:
        return name in self._given

    def text(self, name: str, default: str = "") -> str:
        value = self._given.get(name, default)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise _invalid(name, "must be a string")
        return str(value)

    def required(self, name: str) -> str:
        """Raises: SlackError `invalid_arguments` where it is missing or empty."""
        value = self.text(name)
        if not value:
            raise SlackError("invalid_arguments", messages=[f"[ERROR] missing required field: {name}"])
        return value

    def flag(self, name: str) -> bool:
        return self._given.get(name, False) in (True, 1, "1", "true", "True", "t")

    def number(self, name: str, default: int) -> int:
        value = self._given.get(name, default)
        try:
            return int(value)
        except (TypeError, ValueError):
            raise _invalid(name, "must be an integer") from None

    def json(self, name: str, default: Any = None, *, error: str = "invalid_arguments") -> Any:
        """A structured argument: JSON as it is, or as text in a form.

        Raises:
            SlackError: `error` where the text is not JSON.
        """
        value = self._given.get(name, _MISSING)
        if value is _MISSING or value == "":
            return default
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            if error == "invalid_arguments":
                raise _invalid(name, "must be valid JSON") from None
            raise SlackError(error) from None

    def listed(self, name: str) -> list[str]:
        """A comma-separated list, or a JSON array."""
        value = self._given.get(name, "")
        items = value if isinstance(value, list) else str(value).split(",")
        return [str(item).strip() for item in items if str(item).strip()]


def _invalid(name: str, problem: str) -> SlackError:
    return SlackError("invalid_arguments", messages=[f"[ERROR] {problem} [json-pointer:/{name}]"])


async def read_arguments(request: web.Request, *, takes_json: bool) -> tuple[Arguments, str]:
    """The arguments of a call and its token.

    A JSON body is read only by methods that take JSON, and never carries a token: then it is in the header
    (docs.slack.dev/apis/web-api/, "JSON-encoded bodies").

    Raises:
        SlackError: `invalid_json`, `json_not_object`, `invalid_post_type`.
    """
    given: dict[str, Any] = dict(request.query)
    token = str(given.pop("token", ""))
    if request.method == "POST" and request.can_read_body:
        if request.content_type == "application/json":
            if takes_json:
                given |= await _json_object(request)
                given.pop("token", None)
        elif request.content_type in ("application/x-www-form-urlencoded", "multipart/form-data"):
            form = await request.post()
            given |= {name: value for name, value in form.items() if isinstance(value, str)}
            token = str(given.pop("token", token))
        else:
            raise SlackError("invalid_post_type")
    scheme, _, header_token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and header_token:
        token = header_token.strip()
    return Arguments(given), token


async def _json_object(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.text())
    except (ValueError, RecursionError):
        raise SlackError("invalid_json") from None
    if not isinstance(body, dict):
        raise SlackError("json_not_object")
    return body

"""Query parameters and opaque cursors, as strict as bodies."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from agent_runtime.core.canonical import MAX_SAFE_INTEGER, canonical, parse_json
from agent_runtime.errors import InvalidRequest
from agent_runtime.web.bodies import validated

LONGEST_WAIT = 60
"""Seconds that one request waits at most."""


class Query(BaseModel):
    """The query string of a request; an unknown or repeated parameter is refused, so that no filter is ignored."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Page(Query):
    """Which part of a list."""

    limit: int = Field(50, ge=1, le=200, description="items at most, 1 to 200")
    cursor: str | None = Field(None, max_length=1_000, description="next_cursor of the page before")


class ExecutionsQuery(Page):
    """Which executions; newest first."""

    status: Literal["queued", "running", "waiting", "succeeded", "failed", "cancelled"] | None = None
    agent: str | None = Field(None, pattern=r"^[A-Za-z_][\w-]*$", max_length=200, description="an agent's name")


class ApprovalsQuery(Page):
    """Which approvals; newest first, but pending ones oldest first."""

    status: Literal["pending", "approved", "rejected", "request_changes", "expired", "cancelled"] | None = None
    kind: Literal["tool", "pause", "external", "in_doubt"] | None = None


class ApprovalQuery(Query):
    """Whether to wait for the decision."""

    wait: float = Field(
        0, ge=0, le=LONGEST_WAIT, allow_inf_nan=False, description="seconds to wait for the decision, at most 60"
    )


Q = TypeVar("Q", bound=Query)


def query_of(request: web.Request, model: type[Q]) -> Q:
    """The query string as `model`; raises InvalidRequest naming each parameter that cannot be used."""
    given: dict[str, str] = {}
    for name, value in request.query.items():
        if name in given:
            raise InvalidRequest(f"{name}: is given more than once; give it once")
        given[name] = value
    return validated(given, model)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page ended: the creation time and id of its last item, in the list called `order`."""

    order: str
    at: int
    id: str

    def encoded(self) -> str:
        """The text that clients hand back as it is."""
        return base64.urlsafe_b64encode(canonical([self.order, self.at, self.id]).encode()).decode().rstrip("=")


def cursor_of(text: str, order: str) -> Cursor:
    """The cursor that `encoded` wrote for the same list. Raises InvalidRequest for anything else."""
    refused = InvalidRequest("cursor: is none of this list's; take next_cursor from the page before, same filters")
    try:
        value = parse_json(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        raise refused from None
    match value:
        case [str(given), int(at), str(item)] if given == order and 0 <= at <= MAX_SAFE_INTEGER and "\0" not in item:
            return Cursor(order, at, item)
    raise refused


def next_cursor(order: str, rows: Sequence[tuple[int, str]], limit: int) -> str | None:
    """The cursor after the first `limit` of `rows` ((created_at, id) each); None where there are no more."""
    return Cursor(order, *rows[limit - 1]).encoded() if len(rows) > limit else None

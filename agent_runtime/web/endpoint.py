"""An endpoint: one row of the table from which both the routes and the OpenAPI document are made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from aiohttp import web
from pydantic import BaseModel

from agent_runtime.core.approval import ApprovalRequest
from agent_runtime.core.principal import Actor, Via
from agent_runtime.errors import NotAuthorized
from agent_runtime.operations.resolve import record_refused
from agent_runtime.operations.tokens import Scope
from agent_runtime.store.tx import Tx
from agent_runtime.web.authentication import DATABASE, IDENTITY, Identity
from agent_runtime.web.csrf import SAFE, from_browser, require_token

S = TypeVar("S")


async def nothing(request: web.Request) -> None:
    """The `find` of an endpoint that is about no single thing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint(Generic[S]):
    """One method of one path.

    `find` returns what the request is about or raises NotFound, `scope` is what a token needs (None: any token, or none
    where the path is public), and `answer` parses, does it and answers. They run in the order in which refusals are
    promised: 401 (before this), 404, 403, then 422 and 409.
    """

    method: str
    path: str
    summary: str
    find: Callable[[web.Request], Awaitable[S]]
    scope: Scope | None
    answer: Callable[[web.Request, Identity, S], Awaitable[web.StreamResponse]]
    answers: Mapping[int, type[BaseModel] | str]
    """What it answers by status: a model, or the media type of something else."""
    body: type[BaseModel] | None = None
    body_optional: bool = False
    query: type[BaseModel] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Request headers with their meaning."""
    refusals: tuple[int, ...] = ()
    """Statuses of its problem documents, beside those of authentication."""
    browser: bool = False
    """Whether our pages post to it, as a form or as JSON: whatever a browser sends must carry the token of its page."""
    barred_too: bool = False
    """Whether those may whom a surface bars: with scope `start`, what tells about something that was begun before."""

    def route(self) -> web.RouteDef:
        """The route that serves it."""

        async def handle(request: web.Request) -> web.StreamResponse:
            identity = request[IDENTITY]
            subject = await self.find(request)
            try:
                if self.scope is not None:
                    identity.require(self.scope)
                if self.scope is Scope.start and not self.barred_too:
                    identity.require_in_good_standing()
                if self.method not in SAFE and (identity.session or (self.browser and from_browser(request))):
                    await require_token(request)
                return await self.answer(request, identity, subject)
            except NotAuthorized as refused:
                if self.method not in SAFE and isinstance(subject, ApprovalRequest):
                    via = Via.dashboard if self.browser and from_browser(request) else Via.api
                    await remember(request, subject, refused, by=identity.actor, via=via)
                raise

        return web.route(self.method, self.path, handle)


async def remember(
    request: web.Request, approval: ApprovalRequest, refused: NotAuthorized, *, by: Actor, via: Via
) -> None:
    """The audit trail also holds an attempt that was refused here, before the operation that records its own."""
    if refused.leaves is None:
        await request.app[DATABASE].write(_record, approval, by=by, via=via, reason=refused.message)


def _record(tx: Tx, approval: ApprovalRequest, *, by: Actor, via: Via, reason: str) -> None:
    record_refused(tx, approval=approval, by=by, via=via, reason=reason)


def answered(model: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """`model` as JSON."""
    return web.Response(
        status=status, text=model.model_dump_json(), content_type="application/json", headers=dict(headers or {})
    )


AnyEndpoint = Endpoint[Any]

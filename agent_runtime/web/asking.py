"""Outside agents ask people: `POST /api/v1/approvals`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from aiohttp import web
from pydantic import BeforeValidator, Field, field_validator, model_validator

from agent_runtime.core.addresses import refusal_of_callback, refusal_of_url
from agent_runtime.core.duration import microseconds
from agent_runtime.core.ids import APPROVAL_REQUEST_ID, APPROVAL_REQUEST_ID_RULE
from agent_runtime.core.policy import Approval, Defaults
from agent_runtime.core.principal import Via
from agent_runtime.errors import CountersignError, InvalidRequest
from agent_runtime.operations.ask import Asked, ask
from agent_runtime.operations.tokens import Scope
from agent_runtime.web.answers import ApprovalAnswer
from agent_runtime.web.authentication import DATABASE, Identity
from agent_runtime.web.bodies import Body, Text, body_of
from agent_runtime.web.endpoint import Endpoint, answered, nothing
from agent_runtime.web.views import approval_answer

DEFAULTS = web.AppKey("defaults", Defaults)
"""The environment's answers where what is asked leaves them open."""

CALLBACK_HOSTS = web.AppKey("callback_hosts", tuple[str, ...])
"""Hosts that a callback_url may name although they are not public."""

LONGEST_TITLE = 500
LONGEST_URL = 2_000
MOST_REVIEWERS = 50


def _link(value: Any) -> Any:
    """A link for people or programs: http or https, a host, no credentials in it."""
    if not isinstance(value, str) or not value:
        return value
    if refused := refusal_of_url(value):
        raise ValueError(refused)
    return value


Link = Annotated[Text, Field(max_length=LONGEST_URL), BeforeValidator(_link)]


class PreviewBody(Body):
    """What the call would do; shown to people as the asker's word."""

    title: Annotated[Text, Field(max_length=LONGEST_TITLE)] | None = Field(None, description="the consequence")
    target: dict[str, Any] | None = Field(None, description="where: system, environment, resource")
    effects: list[Any] | None = Field(None, description="what would change, and how much of it")
    undo: Any = Field(None, description="how it is undone, or that it cannot be")
    facts: dict[str, Any] | None = Field(None, description="what a reviewer should know")
    warnings: list[Text] | None = Field(None, description="what may go wrong")
    diff: Any = Field(None, description="what would change, line by line")
    sample: list[Any] | None = Field(None, description="some of what is concerned")
    links: list[Any] | None = Field(None, description="where to read more")
    state: dict[str, Any] | None = Field(None, description="what the preview was made from")
    valid_for: int | float | str | None = Field(None, description="seconds, or text such as 10m")

    @field_validator("valid_for")
    @classmethod
    def _span(cls, value: int | float | str | None) -> int | float | str | None:
        if value is not None:
            try:
                microseconds(value, "it")
            except CountersignError as error:
                raise ValueError(error.message) from error
        return value


class AskBody(Body):
    """What an outside agent asks."""

    approval_request_id: str | None = Field(None, description="an id of your own, used once; made where left out")
    title: Annotated[Text, Field(max_length=LONGEST_TITLE)] = Field(description="what people are asked, in a sentence")
    tool_name: Annotated[Text, Field(max_length=200)] = Field("", description="what would run")
    arguments: dict[str, Any] = Field(default_factory=dict, description="what it would run with")
    preview: PreviewBody | None = Field(None, description="what it would do")
    context: dict[str, Any] | None = Field(None, description="what you say about it, labelled as your words")
    requested_by: Annotated[Text, Field(max_length=200)] = Field(
        "", description="for whom you ask; recorded as your word, and never a requester or reviewer by it"
    )
    reviewers: Annotated[list[Text], Field(max_length=MOST_REVIEWERS)] | None = Field(
        None, description="who may decide: U…, S… or @handle, e-mail, api:NAME"
    )
    quorum: int | None = Field(None, description="how many must approve, 1 to 20")
    risk: Literal["normal", "high"] | None = Field(None, description="normal or high")
    expires_in_hours: float | None = Field(None, description="hours until nobody may decide any more")
    url: Link = Field("", description="where people can read more")
    callback_url: Link = Field("", description="where the decision is sent")

    @field_validator("title")
    @classmethod
    def _not_empty(cls, title: str) -> str:
        if not title.strip():
            raise ValueError("is empty; say in one sentence what people are asked")
        return title

    @field_validator("approval_request_id")
    @classmethod
    def _id(cls, given: str | None) -> str | None:
        if given is not None and not APPROVAL_REQUEST_ID.fullmatch(given):
            raise ValueError(APPROVAL_REQUEST_ID_RULE)
        return given

    @model_validator(mode="after")
    def _usable_policy(self) -> Self:
        try:
            self.approval()
        except CountersignError as error:
            raise ValueError(error.message) from error
        return self

    def approval(self) -> Approval:
        """What it wants of the policy. Raises InvalidDefinition naming the field."""
        return Approval(
            reviewers=self.reviewers, quorum=self.quorum, risk=self.risk, expires_in_hours=self.expires_in_hours
        )

    def asked(self) -> Asked:
        """What operations.ask takes."""
        return Asked(
            title=self.title,
            tool_name=self.tool_name,
            arguments=self.arguments,
            preview=None if self.preview is None else self.preview.model_dump(exclude_none=True),
            context=self.context,
            requested_by=self.requested_by,
            approval=self.approval(),
            url=self.url,
            callback_url=self.callback_url,
            approval_request_id=self.approval_request_id,
        )


async def asked(request: web.Request, identity: Identity, _: None) -> web.StreamResponse:
    database = request.app[DATABASE]
    body = await body_of(request, AskBody)
    allowed = request.app[CALLBACK_HOSTS]
    if body.callback_url and (refused := refusal_of_callback(body.callback_url, allowed)):
        problem = {"field": "callback_url", "message": refused}
        raise InvalidRequest(f"callback_url: {refused}", errors=[problem])
    asking = await database.write(ask, body.asked(), request.app[DEFAULTS], by=identity.actor, via=Via.api)
    return answered(
        await approval_answer(database, asking.approval),
        201 if asking.created else 200,
        {"Location": f"/api/v1/approvals/{asking.approval.approval_request_id}"},
    )


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/api/v1/approvals",
        summary="An outside agent asks people; the same id and body again return the first approval",
        find=nothing,
        scope=Scope.start,
        answer=asked,
        body=AskBody,
        answers={201: ApprovalAnswer, 200: ApprovalAnswer},
        refusals=(403, 409, 413, 422),
    ),
)

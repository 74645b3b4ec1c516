"""What clients send, parsed strictly: nothing is guessed, defaulted or ignored, and errors name the field."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from agent_runtime.core.canonical import JsonValue, parse_json
from agent_runtime.core.text import LONGEST_WORDS
from agent_runtime.errors import InvalidRequest

MAX_BYTES = 262_144
"""A body's size at most."""

_SECONDS_TO_SEND = 30.0

TOLD_AT_MOST = 20
"""Fields that one refusal names: a body may have thousands."""


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("holds a NUL character (U+0000), which no database text can hold; remove it")
    return text


Text = Annotated[str, AfterValidator(_storable)]
Words = Annotated[Text, Field(max_length=LONGEST_WORDS)]


class Body(BaseModel):
    """A request body: a closed JSON object whose values have the very types that are asked for."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class StartBody(Body):
    """Starts an execution: a prompt or an input."""

    prompt: Text | None = Field(None, description="what the agent is to do, in words")
    input: dict[str, Any] | None = Field(None, description="the same as a JSON object, or a reasoner's arguments")

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.prompt is None) == (self.input is None):
            raise ValueError("send either a prompt (text) or an input (a JSON object)")
        return self

    def given(self) -> dict[str, Any]:
        """What operations.start takes."""
        return {"prompt": self.prompt} if self.prompt is not None else {"input": self.input}


class CancelBody(Body):
    """Cancels an execution; the body may be left out."""

    reason: Words = Field("", description="why, for the record")


Verdicts = Literal["approved", "rejected", "request_changes", "approve", "reject"]


class DecisionBody(Body):
    """One decision on one approval."""

    decision: Verdicts = Field(description="approved, rejected or request_changes")
    feedback: Words | None = Field(None, description="what the agent is told, verbatim")
    edited_arguments: dict[str, Any] | None = Field(
        None, description="what is to run instead; only with approved, and where the approval allows edits"
    )
    digest: str | None = Field(None, max_length=200, description="that of what was shown; a stale one is refused")


class SettleBody(Body):
    """What became of a call in doubt."""

    outcome: Literal["happened", "not_happened", "stop"] = Field(
        description="happened (with its result), not_happened (ask afresh, then run), or stop"
    )
    result: Any = Field(None, description="the call's result, any JSON value; only with happened")
    evidence: Words | None = Field(None, description="how that is known, for the record")

    @model_validator(mode="after")
    def _result_of_what_happened(self) -> Self:
        if "result" in self.model_fields_set and self.outcome != "happened":
            raise ValueError("result: only a call that happened has one; leave it out")
        return self


class SwitchBody(Body):
    """Stops or resumes."""

    stopped: bool = Field(description="true stops, false resumes")
    name: Annotated[Text, Field(max_length=200)] = Field("", description="an agent or a tool; everything without it")
    kind: Literal["", "agent", "tool"] = Field("", description="where an agent and a tool share the name")
    reason: Words = Field("", description="why, for the record")


class WebhookBody(Body):
    """A decision by the signed webhook."""

    requestId: str = Field(description="the approval_request_id", min_length=1, max_length=200)
    decision: Verdicts = Field(description="approved, rejected or request_changes")
    feedback: Words | None = Field(None, description="what the agent is told, verbatim")


M = TypeVar("M", bound=BaseModel)


async def body_of(request: web.Request, model: type[M], *, optional: bool = False) -> M:
    """The request's body. Raises InvalidRequest naming each field that cannot be used, with the remedy."""
    raw = await raw_body(request)
    if optional and not raw:
        return model()
    return parse(raw, model)


async def raw_body(request: web.Request) -> bytes:
    """The exact bytes; a body that is too large, too slow or no bytes at all is refused as 413, 408 or 400."""
    length = request.content_length or 0
    if length > MAX_BYTES:
        raise web.HTTPRequestEntityTooLarge(max_size=MAX_BYTES, actual_size=length)
    try:
        async with asyncio.timeout(_SECONDS_TO_SEND):
            return await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    except web.RequestPayloadError:
        raise web.HTTPBadRequest(reason="the body is not encoded as its headers say; send it as it is") from None


def parse(raw: bytes, model: type[M]) -> M:
    """`raw` as `model`; raises InvalidRequest."""
    return validated(parse_object(raw), model)


def parse_object(raw: bytes) -> dict[str, JsonValue]:
    """`raw` as a JSON object; raises InvalidRequest (duplicate keys, NaN, depth, size: see parse_json)."""
    value = parse_json(raw, max_bytes=MAX_BYTES) if raw else None
    if not isinstance(value, dict):
        raise InvalidRequest("body: must be a JSON object")
    return value


def validated(value: Any, model: type[M]) -> M:
    """`value` as `model`; raises InvalidRequest with an entry in `errors` for each field that cannot be used, up to
    TOLD_AT_MOST.
    """
    known, left_out = _few(value, model)
    try:
        valid = model.model_validate(known)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
    else:
        return valid
    problems = [_in_words(dict(problem), model) for problem in found[:TOLD_AT_MOST]]
    detail = "; ".join(f"{problem['field']}: {problem['message']}" for problem in problems)
    if left_out := left_out + len(found) - len(problems):
        detail += f"; and {left_out} more"
    raise InvalidRequest(detail, errors=problems)


def _few(value: Any, model: type[BaseModel]) -> tuple[Any, int]:
    """`value` without fields that are unknown here past TOLD_AT_MOST, and how many these were: each costs the
    validation a multiple of what it costs to send.
    """
    if not isinstance(value, dict) or len(value) <= len(model.model_fields) + TOLD_AT_MOST:
        return value, 0
    known = {name: item for name, item in value.items() if name in model.model_fields}
    unknown = [name for name in value if name not in known]
    return known | {name: value[name] for name in unknown[:TOLD_AT_MOST]}, max(0, len(unknown) - TOLD_AT_MOST)


def _in_words(problem: dict[str, Any], model: type[BaseModel]) -> dict[str, str]:
    path = problem["loc"]
    field = ".".join(str(step) for step in path) or "body"
    place, known = _place(model, path)
    meaning = f": {known.description}" if known is not None and known.description else ""
    if problem["type"] == "missing":
        message = f"is missing; send {known.description if known is not None else 'it'}"
    elif problem["type"] == "extra_forbidden":
        message = f"is unknown here; known are {', '.join(place.model_fields)}"
    elif problem["type"] == "too_long" and problem["ctx"]["field_type"] == "Value":
        message = f"must have at most {problem['ctx']['max_length']} characters{meaning}"
    elif problem["type"] == "literal_error":
        message = f"must be one of {problem['ctx']['expected'].replace(' or ', ', ')}"
    elif problem["type"] == "value_error":
        message = problem["msg"].removeprefix("Value error, ")
        owner, separator, rest = message.partition(": ")
        if not path and separator and owner in model.model_fields:
            field, message = owner, rest
    else:
        message = f"{problem['msg'][:1].lower()}{problem['msg'][1:]}{meaning}"
    return {"field": field, "message": message}


def _place(model: type[BaseModel], path: tuple[int | str, ...]) -> tuple[type[BaseModel], FieldInfo | None]:
    """The object that `path` ends in, and the last of its fields on the way; None where it has no such field."""
    known = None
    for step in path:
        inside = known and next((kind for kind in get_args(known.annotation) if _is_body(kind)), None)
        if inside:
            model, known = inside, None
        if known is None:
            known = model.model_fields.get(str(step))
    return model, known


def _is_body(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)

"""Bodies that may be JSON or a form's fields, parsed equally strictly."""

from __future__ import annotations

from typing import TypeVar
from urllib.parse import parse_qsl

from aiohttp import web
from pydantic import BaseModel

from agent_runtime.core.canonical import JsonValue
from agent_runtime.errors import InvalidRequest
from agent_runtime.web.bodies import MAX_BYTES, parse_object, raw_body, validated

FORM = "application/x-www-form-urlencoded"
_FIELDS = 50
CSRF_FIELD = "csrf_token"

M = TypeVar("M", bound=BaseModel)


async def body_of_either(request: web.Request, model: type[M]) -> M:
    """The request's body as `model`: a form's fields where it says so, else JSON.

    An empty field of a form counts as left out, as a form sends every field that it has. Raises InvalidRequest.
    """
    raw = await raw_body(request)
    if request.content_type == "multipart/form-data":
        raise InvalidRequest(f"body: send application/json or {FORM}")
    if request.content_type != FORM:
        return validated(parse_object(raw), model)
    fields: dict[str, JsonValue] = {name: value for name, value in form_fields(raw).items() if value}
    fields.pop(CSRF_FIELD, None)
    return validated(fields, model)


def form_fields(raw: bytes) -> dict[str, str]:
    """The fields of a form (WHATWG URL standard, 5.1). Raises InvalidRequest for one that is given twice."""
    if len(raw) > MAX_BYTES:
        raise InvalidRequest(f"body: is larger than {MAX_BYTES // 1024} KiB")
    try:
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(raw),
            errors="strict",
            max_num_fields=_FIELDS,
        )
    except ValueError as error:
        raise InvalidRequest(f"body: is no form in UTF-8 of at most {_FIELDS} fields") from error
    fields: dict[str, str] = {}
    for name, value in pairs:
        if name in fields:
            raise InvalidRequest(f"{name}: is given more than once; give it once")
        fields[name] = value.replace("\r\n", "\n")
    return fields

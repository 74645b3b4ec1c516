"""Errors as RFC 9457 problem documents, mapped once for every resource."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from traceback import format_exc
from typing import Any

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from agent_runtime.errors import CountersignError, InvalidRequest, NotAuthenticated

log = structlog.get_logger(__name__)

PROBLEM_TYPE = "urn:countersign:problem:"
MEDIA_TYPE = "application/problem+json"

_MEMBERS = frozenset({"type", "title", "status", "detail", "instance"})
_SLUGS = {
    400: "bad-request",
    404: "not-found",
    405: "method-not-allowed",
    408: "request-timeout",
    413: "content-too-large",
}
_REMEDIES = {
    404: "nothing is at this path; /openapi.json lists what there is",
    408: "the body did not come in time; send it whole within 30 seconds",
    413: "the body is too large; at most 256 KiB are accepted",
}


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answers what a handler raises as application/problem+json; the unexpected is logged and told by an id alone."""
    try:
        return await handler(request)
    except CountersignError as error:
        if error.status >= 500:
            log.warning("request failed", path=request.rel_url.raw_path, problem=error.slug, reason=error.message)
        return problem_of(error, request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        detail = _REMEDIES.get(error.status, error.reason)
        headers = {name: error.headers[name] for name in ("Allow",) if name in error.headers}
        if "Allow" in headers:
            detail = f"this path takes {headers['Allow'].replace(',', ', ')}"
        return problem(request, error.status, _SLUGS.get(error.status, "http"), detail, headers=headers)
    except Exception:  # noqa: BLE001 - logged, and told by an id alone
        error_id = secrets.token_hex(8)
        # As text: a logger that shows local variables would show bodies and tokens.
        log.error("unexpected error", error_id=error_id, path=request.rel_url.raw_path, traceback=format_exc())
        detail = f"something unexpected went wrong; the log has it under {error_id}"
        return problem(request, 500, "internal", detail, members={"error_id": error_id})


def problem_of(error: CountersignError, request: web.Request) -> web.Response:
    """The problem document of one of our own errors, with its details."""
    headers = {}
    if isinstance(error, NotAuthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="countersign"'
    if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = "1"
    title = " ".join((type(error).__doc__ or "").split()).rstrip(".")
    if isinstance(error, InvalidRequest):
        # A parser's own error class says no more than this one.
        title = (InvalidRequest.__doc__ or "").rstrip(".")
    return problem(
        request, error.status, error.slug, error.message, title=title, members=error.details, headers=headers
    )


def problem(
    request: web.BaseRequest,
    status: int,
    slug: str,
    detail: str,
    *,
    title: str = "",
    members: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """A problem document (RFC 9457, section 3); `members` are its extension members."""
    document = {
        "type": PROBLEM_TYPE + slug,
        "title": title or HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": request.rel_url.raw_path,
        **_extensions(members or {}),
    }
    return web.Response(status=status, text=json.dumps(document), content_type=MEDIA_TYPE, headers=headers)


def _extensions(details: Mapping[str, Any]) -> dict[str, Any]:
    """Details under names that RFC 9457 leaves free, as far as JSON can hold them."""
    plain = {name: value for name, value in details.items() if isinstance(value, str | int | float | list | None)}
    return {f"recorded_{name}" if name in _MEMBERS else name: value for name, value in plain.items()}

"""What a server sends: refusals, as the errors that they stand for, and server-sent events."""

from __future__ import annotations

import functools
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp

from agent_runtime.errors import CountersignError, ServerUnavailable


async def raise_refusal(response: aiohttp.ClientResponse) -> None:
    """Raises what the server refuses with."""
    if response.status < 400:
        return
    text = await response.text()
    try:
        document = json.loads(text)
    except json.JSONDecodeError:
        document = None
    if not isinstance(document, dict) or "detail" not in document:
        said = f"{response.url.origin()} answered {response.status}, not as Countersign does"
        raise ServerUnavailable(said, status=response.status)
    raise problem(document, response.status)


def problem(document: Mapping[str, Any], status: int) -> CountersignError:
    """The error that a problem document (RFC 9457) stands for."""
    slug = str(document.get("type", "")).rpartition(":")[2]
    error = _errors().get(slug, CountersignError)(str(document.get("detail", "")))
    known = {"type", "title", "status", "detail", "instance"}
    error.details = {"status": status, **{name: value for name, value in document.items() if name not in known}}
    return error


@functools.cache
def _errors() -> Mapping[str, type[CountersignError]]:
    """Every error by its slug."""
    found: list[type[CountersignError]] = [CountersignError]
    for kind in found:
        found += kind.__subclasses__()
    return {kind.slug: kind for kind in reversed(found)}


async def sent_events(body: aiohttp.StreamReader) -> AsyncIterator[tuple[str, str]]:
    """(name, data) of server-sent events (HTML standard, 9.2.6)."""
    name, data = "", []
    async for line in _lines(body):
        field, _, value = line.partition(":")
        if field == "event":
            name = value.removeprefix(" ")
        elif field == "data":
            data.append(value.removeprefix(" "))
        elif not field and not value and data:
            yield name, "\n".join(data)
            name, data = "", []


async def _lines(body: aiohttp.StreamReader) -> AsyncIterator[str]:
    """Lines of any length; the reader's own are bounded."""
    rest = b""
    async for chunk in body.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.decode().rstrip("\r")

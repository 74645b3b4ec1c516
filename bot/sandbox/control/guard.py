"""Who may use the control endpoints: this machine's own page and programs."""

from __future__ import annotations

from urllib.parse import urlsplit

from aiohttp import web

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def refusal(request: web.Request) -> str | None:
    """Why this request is refused, None where it is not.

    A name that was rebound to loopback shows in `Host`; another site's page in `Origin` or `Sec-Fetch-Site`.
    """
    if _name_of(request.host) not in LOOPBACK:
        return f"the host {request.host!r} is not loopback: use http://127.0.0.1 and this port"
    origin = request.headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != request.host:
        return "requests of other origins are refused"
    if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        return "requests of other sites are refused"
    return None


def _name_of(host: str) -> str | None:
    """The host without its port, None where it is malformed."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None

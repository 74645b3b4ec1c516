"""Headers on every answer."""

from __future__ import annotations

from aiohttp import web

_ALWAYS = {
    "Server": "countersign",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_UNLESS_SET = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
}


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """The handler of `on_response_prepare`."""
    guard(response)


def guard(response: web.StreamResponse) -> None:
    """Nothing is sniffed, framed, cached or told to other sites."""
    for name, value in _ALWAYS.items():
        response.headers[name] = value
    for name, value in _UNLESS_SET.items():
        response.headers.setdefault(name, value)

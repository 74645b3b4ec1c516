"""Whether a request certainly comes from this machine's own user: the only ones served without any API token."""

from __future__ import annotations

import functools
import ipaddress
import re

from aiohttp import web

_FORWARDED = ("forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip")
_HOST = re.compile(r"(?P<name>[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?", re.ASCII | re.IGNORECASE)
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def refusal(request: web.Request) -> str:
    """Why this request is not taken for the local operator's; "" where it is.

    A reverse proxy on this machine shows by its headers, a web page that was rebound to a loopback address by its
    `Host`, and another site's script or form by its `Origin` or `Sec-Fetch-Site`.
    """
    transport = request.transport
    peer = transport.get_extra_info("peername") if transport is not None else None
    if not peer or not _is_loopback_address(str(peer[0])):
        return "it does not come from this machine"
    for name in request.headers:
        if name.lower() in _FORWARDED or name.lower().startswith("x-forwarded-"):
            return f"it was forwarded ({name})"
    hosts = request.headers.getall("Host", [])
    if len(hosts) != 1 or not _is_loopback_host(hosts[0]):
        return "its Host header does not name a loopback address"
    own = f"{request.scheme}://{hosts[0]}".lower()
    if any(origin.lower() != own for origin in request.headers.getall("Origin", [])):
        return "it comes from another site's page (Origin)"
    sites = request.headers.getall("Sec-Fetch-Site", [])
    if request.method not in _SAFE and not {site.lower() for site in sites} <= {"same-origin", "none"}:
        return "it comes from another site's page (Sec-Fetch-Site)"
    return ""


def _is_loopback_host(host: str) -> bool:
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = match["name"].lower().strip("[]")
    return name == "localhost" or _is_loopback_address(name)


@functools.lru_cache(maxsize=256)
def _is_loopback_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback

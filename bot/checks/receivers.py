"""The receivers of outbound webhooks: whether their hosts can be found."""

from __future__ import annotations

import asyncio
import socket

from yarl import URL

from agent_runtime.settings import Settings
from bot.checks.finding import Finding, bad, good

ABOUT = "outbound webhooks"


async def check_receivers(settings: Settings) -> list[Finding]:
    """A finding for each host of COUNTERSIGN_NOTIFY_URLS that has no address; paths may be secret and are not shown."""
    if not settings.notify_urls:
        return [good(ABOUT, "off (COUNTERSIGN_NOTIFY_URLS is not set)")]
    urls = [URL(url) for url in settings.notify_urls]
    found = await asyncio.gather(*map(_has_address, urls))
    missing = [url.host for url, there in zip(urls, found, strict=True) if not there]
    if missing:
        return [
            bad(ABOUT, f"{host} has no address, so nothing can be sent to it", "correct COUNTERSIGN_NOTIFY_URLS")
            for host in missing
        ]
    return [good(ABOUT, f"signed, to {', '.join(str(url.host) for url in urls)}")]


async def _has_address(url: URL) -> bool:
    try:
        return bool(await asyncio.get_running_loop().getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM))
    except OSError:
        return False

"""The local workspace's control endpoints, as the demo itself uses them.

With the standard library's client: the demo makes a handful of calls, and another import would make it start later.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from bot.demo.child import ChildFailed

LOOKS_EVERY = 0.05
CALL_TIMEOUT = 10.0
"""Seconds."""


class Control:
    """The endpoints below `sandbox_url`."""

    def __init__(self, sandbox_url: str) -> None:
        self._base = f"{sandbox_url}/sandbox/api"

    async def get(self, path: str) -> dict[str, Any]:
        """What is there. Raises ChildFailed where the workspace refuses or is gone."""
        return await asyncio.to_thread(_call, self._base + path, None)

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Does something. Raises as `get`."""
        return await asyncio.to_thread(_call, self._base + path, json.dumps(dict(body)).encode())

    async def shows(self, path: str, wanted: Callable[[dict[str, Any]], bool], within: float) -> bool:
        """Whether `path` comes to show what is wanted within so many seconds."""
        loop = asyncio.get_running_loop()
        until = loop.time() + within
        while loop.time() < until:
            if wanted(await self.get(path)):
                return True
            await asyncio.sleep(LOOKS_EVERY)
        return False


def _call(url: str, body: bytes | None) -> dict[str, Any]:
    from urllib.error import HTTPError, URLError
    from urllib.request import ProxyHandler, Request, build_opener

    here = build_opener(ProxyHandler({}))  # a proxy of the environment must not see what stays on this machine
    try:
        with here.open(Request(url, data=body), timeout=CALL_TIMEOUT) as answer:  # noqa: S310 - a URL of our child's
            told: dict[str, Any] = json.load(answer)
            return told
    except HTTPError as error:
        with error:
            raise ChildFailed(f"the local workspace refused {url}: {error.read().decode(errors='replace')}") from error
    except URLError as error:
        raise ChildFailed(f"the local workspace does not answer at {url}: {error.reason}") from error

"""Connections that go to public addresses alone, whatever a name resolves to from one moment to the next."""

from __future__ import annotations

import socket
from collections.abc import Collection
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from agent_runtime.core.addresses import is_address, is_public


class Blocked(OSError):
    """A receiver's address is not on the public internet."""


class PublicResolver(AbstractResolver):
    """Looks names up and refuses those with an address that is not public.

    aiohttp connects to the very addresses that this returns and looks nothing up again, so that what was checked is
    what is reached: a name that answers differently the next time (DNS rebinding) is checked anew.
    """

    def __init__(self, allowed_hosts: Collection[str] = (), resolver: AbstractResolver | None = None) -> None:
        self._allowed = frozenset(allowed_hosts)
        self._resolver = resolver or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        if host.lower() not in self._allowed:
            for one in found:
                if not is_public(one["host"]):
                    raise Blocked(f"{host} has the address {one['host']}, which is not on the public internet")
        return found

    async def close(self) -> None:
        await self._resolver.close()


def guarded_connector(
    allowed_hosts: Collection[str] = (), resolver: AbstractResolver | None = None
) -> aiohttp.TCPConnector:
    """A connector for receivers that strangers name; `allowed_hosts` (names or addresses, lower case) may be private.

    No connection is kept: each delivery is looked up and checked by itself.
    """
    allowed = frozenset(allowed_hosts)
    literal = frozenset(host for host in allowed if is_address(host))
    return _Connector(
        literal,
        resolver=PublicResolver(allowed, resolver),
        use_dns_cache=False,
        force_close=True,
        limit=0,
    )


class _Connector(aiohttp.TCPConnector):
    """aiohttp asks its resolver only for names; an address that stands in the URL itself is checked here."""

    def __init__(self, allowed_addresses: frozenset[str], **options: Any) -> None:
        super().__init__(**options)
        self._allowed_addresses = allowed_addresses

    async def _resolve_host(self, host: str, port: int, traces: Any = None) -> list[ResolveResult]:
        if is_address(host) and host not in self._allowed_addresses and not is_public(host):
            raise Blocked(f"{host} is not on the public internet")
        return await super()._resolve_host(host, port, traces)

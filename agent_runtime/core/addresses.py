"""Which addresses the runtime may send to on a stranger's word: public ones of the internet alone. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_SPECIAL = [
    ipaddress.ip_network(network)
    for network in (
        "168.63.129.16/32",  # Azure's metadata service (learn.microsoft.com: What is IP address 168.63.129.16)
        "192.0.0.0/24",
        "192.88.99.0/24",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",  # with Teredo
        "2002::/16",  # 6to4
        "3fff::/20",
        "5f00::/16",
        "fec0::/10",
    )
]
"""What Python's own tables leave out in some of its versions, of IANA's special-purpose address registries."""


def is_public(address: str) -> bool:
    """Whether `address` (an IP address as text) is a host of the public internet.

    Not public: private, loopback, link-local (with the clouds' metadata services), carrier-grade NAT, multicast,
    unspecified, documentation and other reserved ranges (IANA's special-purpose registries), also where an IPv6 address
    carries such an IPv4 address (mapped, NAT64), and the tunnels 6to4 and Teredo.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and (inner := _carried(parsed)) is not None:
        parsed = inner
    return (
        parsed.is_global
        and not parsed.is_multicast
        and not parsed.is_reserved
        and not any(parsed in network for network in _SPECIAL)
    )


def _carried(address: ipaddress.IPv6Address) -> Address | None:
    """The IPv4 address that traffic to this IPv6 address ends at."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None


def is_address(host: str) -> bool:
    """Whether `host` is an IP address rather than a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def refusal_of_url(text: str) -> str:
    """Why `text` cannot be a receiver's or a link's address; "" where it can."""
    from yarl import URL  # slow to import, and few programs send to anybody

    try:
        url = URL(text)
    except ValueError:
        return "is no URL"
    if url.scheme not in {"http", "https"} or not url.host:
        return "must begin with http:// or https:// and name a host"
    if url.user is not None or url.password is not None:
        return "must hold no user or password"
    if not text.isprintable() or " " in text:
        return "must hold no space, line break or invisible character; write it percent-encoded"
    return ""


def refusal_of_callback(text: str, allowed_hosts: Collection[str]) -> str:
    """Why a caller's callback address cannot be used, as far as it says so itself; names are looked up on sending."""
    from yarl import URL

    refused = refusal_of_url(text)
    host = (URL(text).host or "").lower() if not refused else ""
    if refused or host in allowed_hosts:
        return refused
    numeric = is_address(host) or host.replace(".", "").isdigit()  # 127.1 and 2130706433 are 127.0.0.1 to some systems
    if host == "localhost" or host.endswith(".localhost") or (numeric and not is_public(host)):
        return "must be on the public internet; the operator may allow other hosts in COUNTERSIGN_CALLBACK_HOSTS"
    return ""

"""The guard of callbacks: which addresses are public, and that what was checked is what is reached."""

from __future__ import annotations

import asyncio
import socket

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from agent_runtime.core.addresses import is_public, refusal_of_callback, refusal_of_url
from agent_runtime.delivery.guard import Blocked, PublicResolver
from agent_runtime.delivery.receivers import Message, NotTaken, Refused, Sender
from tests.delivery.receiver import receiving

PUBLIC = ["1.1.1.1", "8.8.8.8", "193.99.144.80", "2606:4700:4700::1111", "2a00:1450:4001:80b::200e"]
NOT_PUBLIC = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.8.8.8",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.192",
    "192.0.2.7",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "no address",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "http://",
        "https:///path",
        "//example.com",
        "https://user@example.com/",
        "https://user:secret@example.com/",
        "http://[::1",
    ],
)
def test_urls_that_nothing_is_sent_to(url: str) -> None:
    assert refusal_of_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8080/",
        "http://a.localhost/",
        "http://127.0.0.1/",
        "http://[::1]/",
        "http://169.254.169.254/latest",
        "http://127.1/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://127.0.0.1./",
        "http://8.8.8/",
    ],
)
def test_callbacks_that_say_themselves_that_they_are_private(url: str) -> None:
    assert refusal_of_callback(url, ())
    assert not refusal_of_callback("http://hooks.internal:8080/x", ())  # told when its name is looked up
    assert not refusal_of_callback("http://localhost:8080/", ("localhost",))


class Names(AbstractResolver):
    """Answers each look-up with the next of `answers`, the last one for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        addresses = self._answers[min(self.asked, len(self._answers) - 1)]
        self.asked += 1
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        return None


async def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    with pytest.raises(Blocked, match=r"10\.0\.0\.1"):
        await PublicResolver(resolver=Names(["1.1.1.1", "10.0.0.1"])).resolve("mixed.example", 443)


async def test_a_name_that_turns_private_after_it_was_checked_reaches_nothing() -> None:
    async with receiving() as receiver:
        url = receiver.url.replace("127.0.0.1", "rebound.example")
        names = Names(["1.1.1.1"], ["127.0.0.1"])
        guard = PublicResolver(resolver=names)
        assert await guard.resolve("rebound.example")  # what a check beforehand would have seen
        async with Sender(None, (), names) as sender:
            with pytest.raises(Refused, match=r"127\.0\.0\.1"):
                await sender.send(url, Message("msg_1", b"{}"), trusted=False)
        assert names.asked == 2
        assert receiver.received == []


async def test_each_delivery_is_looked_up_once_and_goes_to_that_address() -> None:
    async with receiving() as receiver:
        url = receiver.url.replace("127.0.0.1", "hooks.internal")
        names = Names(["127.0.0.1"], ["203.0.113.1"])
        async with Sender(None, ("hooks.internal",), names) as sender:
            assert await sender.send(url, Message("msg_1", b"{}"), trusted=False) == 204
        assert (names.asked, len(receiver.received)) == (1, 1)
        assert receiver.received[0].headers["host"].startswith("hooks.internal:")


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1", "017700000001", "[::ffff:127.0.0.1]"])
async def test_other_spellings_of_this_machine_reach_nothing(host: str) -> None:
    async with receiving() as receiver, Sender(None) as sender:
        url = receiver.url.replace("127.0.0.1", host)
        with pytest.raises((Refused, NotTaken)):
            await sender.send(url, Message("msg_1", b"{}"), trusted=False)
        assert receiver.received == []


async def test_nothing_of_a_url_is_told_where_it_fails() -> None:
    async with Sender(None) as sender:
        with pytest.raises(NotTaken) as told:
            await sender.send("http://127.0.0.1:1/secret-path", Message("msg_1", b"{}"), trusted=True)
    assert "secret-path" not in str(told.value)


async def test_a_receiver_that_hangs_is_left_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_runtime.delivery.receivers.TOTAL_TIMEOUT", 0.05)
    async with receiving() as receiver, Sender(None) as sender:
        receiver.hangs = asyncio.Event()
        with pytest.raises(NotTaken, match="no answer within"):
            await sender.send(receiver.url, Message("msg_1", b"{}"), trusted=True)


async def test_the_body_of_an_answer_is_not_waited_for() -> None:
    async with receiving() as receiver, Sender(None) as sender:
        receiver.answer = lambda received: web.Response(body=b"x" * 20_000_000)
        assert await sender.send(receiver.url, Message("msg_1", b"{}"), trusted=True) == 200

"""Sends one signed message to one receiver (Standard Webhooks 1.0.0), and says what came of it."""

from __future__ import annotations

import email.utils
from collections.abc import Callable, Collection
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver

from agent_runtime.core.addresses import refusal_of_callback, refusal_of_url
from agent_runtime.core.duration import SECOND
from agent_runtime.core.standard_webhooks import HEADERS, signature
from agent_runtime.delivery.guard import Blocked, guarded_connector
from agent_runtime.store.clock import system_clock

TOTAL_TIMEOUT = 10.0
"""Seconds for one delivery, from the look-up of the name to the status line."""

LONGEST_RETRY_AFTER = 86_400.0
_GONE = 410
_USER_AGENT = "Countersign-Webhooks"


class Refused(Exception):
    """It was not taken, and will not be: nothing is tried again."""


class NotTaken(Exception):
    """It was not taken this time; `seconds` is the pause that the receiver asks for, if it does."""

    def __init__(self, reason: str, seconds: float | None = None) -> None:
        super().__init__(reason)
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent; the same bytes under the same id at every try."""

    id: str
    body: bytes


class Sender:
    """Two ways out: to the operator's receivers as they are, and to callers' callbacks on the public internet.

    `key` signs (None: unsigned), `allowed_hosts` are callback hosts that may be private, `clock` (epoch microseconds)
    is the time that is signed: the database's, as this process's may be off. A context manager.
    """

    def __init__(
        self,
        key: bytes | None,
        allowed_hosts: Collection[str] = (),
        resolver: AbstractResolver | None = None,
        clock: Callable[[], int] = system_clock,
    ) -> None:
        self._key = key
        self._clock = clock
        self._allowed = frozenset(allowed_hosts)
        self._resolver = resolver

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=TOTAL_TIMEOUT)
        self._trusted = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True, limit=0),
            timeout=timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self._guarded = aiohttp.ClientSession(
            connector=guarded_connector(self._allowed, self._resolver),
            timeout=timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._trusted.close()
        await self._guarded.close()

    async def send(self, url: str, message: Message, *, trusted: bool) -> int:
        """Posts it; returns the status where the receiver took it (2xx).

        `trusted`: the operator named the receiver. Raises Refused or NotTaken, whose words hold no URL, as that may
        be a secret.
        """
        refused = refusal_of_url(url) if trusted else refusal_of_callback(url, self._allowed)
        if refused:
            raise Refused(f"the address {refused}")
        session = self._trusted if trusted else self._guarded
        try:
            async with session.post(
                url, data=message.body, headers=self._headers(message), allow_redirects=False
            ) as response:
                return _taken(response, self._clock() / SECOND)  # the answer's body is never read
        except Blocked as error:
            raise Refused(str(error)) from error
        except TimeoutError as error:
            raise NotTaken(f"no answer within {TOTAL_TIMEOUT:g} s") from error
        except aiohttp.ClientError as error:
            if isinstance(blocked := getattr(error, "os_error", None), Blocked):
                raise Refused(str(blocked)) from error
            raise NotTaken(_reason(error)) from error
        except OSError as error:
            raise NotTaken(type(error).__name__) from error

    def _headers(self, message: Message) -> dict[str, str]:
        timestamp = str(self._clock() // SECOND)
        message_id, sent_at, signed = HEADERS
        headers = {
            "Content-Type": "application/json",
            "User-Agent": _USER_AGENT,
            message_id: message.id,
            sent_at: timestamp,
        }
        if self._key is not None:
            headers[signed] = signature(self._key, message.id.encode(), timestamp.encode(), message.body).decode()
        return headers


def _taken(response: aiohttp.ClientResponse, now: float) -> int:
    if 200 <= response.status < 300:
        return response.status
    if response.status == _GONE:
        raise Refused("the receiver answered 410: it is gone")
    redirect = "; redirects are not followed" if 300 <= response.status < 400 else ""
    raise NotTaken(f"the receiver answered {response.status}{redirect}", _retry_after(response, now))


def _retry_after(response: aiohttp.ClientResponse, now: float) -> float | None:
    """Retry-After in seconds (RFC 9110, 10.2.3: seconds or a date); None where there is none that can be read.

    A date is by the receiver's clock, which the answer's own Date tells; `now` (epoch seconds) where it tells none.
    """
    given = response.headers.get("Retry-After", "").strip()
    if given.isascii() and given.isdigit():
        return min(float(given), LONGEST_RETRY_AFTER)
    at = _date(given)
    if at is None:
        return None
    said = _date(response.headers.get("Date", ""))
    return min(max(0.0, at - (now if said is None else said)), LONGEST_RETRY_AFTER)


def _date(text: str) -> float | None:
    """An HTTP date as epoch seconds; None where it is none."""
    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def _reason(error: aiohttp.ClientError) -> str:
    """In words that hold neither the URL nor what it holds."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the host's name has no address"
    if isinstance(error, aiohttp.ClientSSLError):
        return "no secure connection (TLS)"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect: {error.os_error.strerror or type(error.os_error).__name__}"
    return type(error).__name__

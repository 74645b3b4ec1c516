"""The HTTP API for programs of any framework: `AsyncClient`, and `Client` for code without an event loop."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar
from urllib.parse import quote

import aiohttp

from agent_runtime.errors import CountersignError, InvalidRequest, InvalidSetting, ServerUnavailable
from agent_runtime.sdk.loops import Home, background
from agent_runtime.sdk.wire import problem, raise_refusal, sent_events

P = ParamSpec("P")
R = TypeVar("R")
Answer = dict[str, Any]

TIMEOUT_SECONDS = 30.0
RETRIES = (0.1, 0.5, 2.0)
"""Pauses in seconds before a read is tried again where the server was away; what changes something is sent once."""


class AsyncClient:
    """The API of one server. Use it with `async with`, or `close()` it; answers are the API's JSON as dicts.

    Args:
        server_url: where `countersign serve` listens, such as http://127.0.0.1:8080.
        api_token: a bearer token made by `countersign tokens create`; none for a local server that has none.
        timeout_seconds: how long an answer may take, a long poll's own wait apart.

    Every method raises what the server refuses with, as the class in `agent_runtime.errors` (NotFound, Conflict, …),
    and ServerUnavailable.
    """

    def __init__(
        self, server_url: str, api_token: str | None = None, *, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        if not server_url.startswith(("http://", "https://")):
            raise InvalidSetting(f"server_url: {server_url!r} must begin with http:// or https://")
        self.server_url = server_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {api_token}"} if api_token else {}
        self._timeout_seconds = timeout_seconds
        self._opened: aiohttp.ClientSession | None = None

    async def start(
        self,
        agent: str,
        prompt: str | None = None,
        *,
        input: Mapping[str, Any] | None = None,
        reasoner: str | None = None,
        idempotency_key: str | None = None,
    ) -> Answer:
        """Starts an execution of a deployed agent and answers at once. Send a `prompt` (text) or an `input`."""
        target = agent if reasoner is None else f"{agent}.{reasoner}"
        body = {"prompt": prompt} if input is None else {"input": dict(input)}
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        return await self._send("POST", f"/api/v1/execute/async/{_part(target)}", body, headers)

    async def execution(self, execution_id: str) -> Answer:
        """One execution: its status, result, approvals and steps."""
        return await self._read(f"/api/v1/executions/{_part(execution_id)}")

    async def executions(
        self, *, status: str | None = None, agent: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Answer:
        """A page of executions, newest first: {"items": […], "next_cursor": …}."""
        return await self._read("/api/v1/executions", status=status, agent=agent, limit=limit, cursor=cursor)

    async def cancel(self, execution_id: str, reason: str = "") -> Answer:
        """Cancels an execution; what it asked is withdrawn."""
        return await self._send("POST", f"/api/v1/executions/{_part(execution_id)}/cancel", {"reason": reason})

    async def events(self, execution_id: str, after: int = 0) -> AsyncGenerator[Answer, None]:
        """The audit events of an execution from number `after` on, as they are recorded, until it has ended."""
        headers = {"Last-Event-ID": str(after)} if after else {}
        url = f"/api/v1/executions/{_part(execution_id)}/events"
        endless = aiohttp.ClientTimeout(total=None, sock_connect=self._timeout_seconds)
        try:
            async with self._session.get(self.server_url + url, headers=headers, timeout=endless) as response:
                if response.status != 204:
                    await raise_refusal(response)
                    async for name, data in sent_events(response.content):
                        if name == "problem":
                            raise problem(json.loads(data), 503)
                        yield json.loads(data)
        except (aiohttp.ClientError, ConnectionError) as error:
            raise ServerUnavailable(f"{self.server_url}: the events broke off: {error}") from error

    async def approvals(
        self, *, status: str | None = None, kind: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Answer:
        """A page of approvals, newest first, pending ones oldest first: {"items": […], "next_cursor": …}."""
        return await self._read("/api/v1/approvals", status=status, kind=kind, limit=limit, cursor=cursor)

    async def approval(self, approval_request_id: str, *, wait_seconds: float = 0) -> Answer:
        """One approval, at once or when it is decided, after `wait_seconds` (60 at most) as it is then."""
        return await self._read(f"/api/v1/approvals/{_part(approval_request_id)}", wait=wait_seconds or None)

    async def decide(
        self,
        approval_request_id: str,
        decision: str,
        feedback: str = "",
        *,
        edited_arguments: Mapping[str, Any] | None = None,
        digest: str | None = None,
    ) -> Answer:
        """Decides: "approved", "rejected" or "request_changes". The same again changes nothing
        (`already_processed`); `digest` is that of what was shown, so that a stale decision is refused.
        """
        body: dict[str, Any] = {"decision": decision, "feedback": feedback}
        body |= {} if edited_arguments is None else {"edited_arguments": dict(edited_arguments)}
        body |= {} if digest is None else {"digest": digest}
        return await self._send("POST", f"/api/v1/approvals/{_part(approval_request_id)}/decision", body)

    async def settle(self, approval_request_id: str, outcome: str, *, result: Any = None, evidence: str = "") -> Answer:
        """Says what became of a call in doubt: "happened" (with its result), "not_happened" or "stop"."""
        body: dict[str, Any] = {"outcome": outcome, "evidence": evidence}
        body |= {"result": result} if outcome == "happened" else {}
        return await self._send("POST", f"/api/v1/approvals/{_part(approval_request_id)}/settle", body)

    async def close(self) -> None:
        """Lets go of the connections."""
        if self._opened is not None:
            await self._opened.close()
            self._opened = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            timeout = aiohttp.ClientTimeout(total=self._timeout_seconds)
            self._opened = aiohttp.ClientSession(headers=self._headers, timeout=timeout)
        return self._opened

    async def _read(self, path: str, **query: str | float | None) -> Answer:
        params = {name: str(value) for name, value in query.items() if value is not None}
        timeout = aiohttp.ClientTimeout(total=self._timeout_seconds + float(query.get("wait") or 0))
        for pause in RETRIES:
            try:
                return await self._exchange("GET", path, params=params, timeout=timeout)
            except CountersignError as error:
                if not _may_pass(error):
                    raise
                await asyncio.sleep(pause)
        return await self._exchange("GET", path, params=params, timeout=timeout)

    async def _send(
        self, method: str, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> Answer:
        return await self._exchange(method, path, json=dict(body), headers=dict(headers or {}))

    async def _exchange(self, method: str, path: str, **options: Any) -> Answer:
        try:
            async with self._session.request(method, self.server_url + path, **options) as response:
                await raise_refusal(response)
                answer: Answer = await response.json()
                return answer
        except TimeoutError as error:
            raise ServerUnavailable(f"{self.server_url}: no answer within {self._timeout_seconds:g} s") from error
        except (aiohttp.ClientError, ConnectionError, json.JSONDecodeError) as error:
            raise ServerUnavailable(f"{self.server_url}: {error}") from error


def _may_pass(error: CountersignError) -> bool:
    """Whether asking again may help: the server is away or busy, and this is no other server's refusal."""
    return error.status == 503 and error.details.get("status", 503) >= 500


def _part(text: str) -> str:
    """One part of a path."""
    if not text:
        raise InvalidRequest("an id or a name must not be empty")
    return quote(text, safe="")


def _blocking(
    method: Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[Client, P], R]:
    @functools.wraps(method)
    def call(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._home().wait(lambda: method(self._client, *args, **kwargs), method.__name__)

    return call


class Client:
    """`AsyncClient` for code without an event loop: the same methods and arguments; use it with `with`, or close it."""

    def __init__(
        self, server_url: str, api_token: str | None = None, *, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        self._client = AsyncClient(server_url, api_token, timeout_seconds=timeout_seconds)
        self._lives_on: Home | None = None

    start = _blocking(AsyncClient.start)
    execution = _blocking(AsyncClient.execution)
    executions = _blocking(AsyncClient.executions)
    cancel = _blocking(AsyncClient.cancel)
    approvals = _blocking(AsyncClient.approvals)
    approval = _blocking(AsyncClient.approval)
    decide = _blocking(AsyncClient.decide)
    settle = _blocking(AsyncClient.settle)

    def events(self, execution_id: str, after: int = 0) -> Iterator[Answer]:
        """See `AsyncClient.events`."""
        home, stream = self._home(), self._client.events(execution_id, after)

        async def following() -> Answer | None:
            return await anext(stream, None)

        try:
            while (event := home.wait(following, "events")) is not None:
                yield event
        finally:
            if self._lives_on is home:  # not closed before this iterator
                home.wait(stream.aclose, "events")

    def close(self) -> None:
        """Lets go of the connections."""
        if self._lives_on is not None:
            self._lives_on.wait(self._client.close, "close")
            self._lives_on = None
            background.release(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _home(self) -> Home:
        if self._lives_on is None:
            self._lives_on = background.hold(self)
        return self._lives_on

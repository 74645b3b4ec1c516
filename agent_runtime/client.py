"""The HTTP API for programs of any framework: `AsyncClient`, and `Client` for code without an event loop."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from agent_runtime.sdk.approvals_api import ApprovalsApi
from agent_runtime.sdk.executions_api import ExecutionsApi
from agent_runtime.sdk.loops import Home, background
from agent_runtime.sdk.permits import Permit
from agent_runtime.sdk.transport import Answer, Transport

__all__ = ["Answer", "AsyncClient", "Client", "Permit"]

P = ParamSpec("P")
R = TypeVar("R")

TIMEOUT_SECONDS = 30.0


class AsyncClient(ExecutionsApi, ApprovalsApi):
    """The API of one server. Use it with `async with`, or `close()` it; answers are the API's JSON as dicts.

    Args:
        server_url: where `countersign serve` listens, such as http://127.0.0.1:8080.
        api_token: a bearer token made by `countersign tokens create`; none for a local server that has none.
        timeout_seconds: how long an answer may take, a long poll's own wait apart.

    Every method raises what the server refuses with, as the class in `agent_runtime.errors` (NotFound, Conflict, …),
    and ServerUnavailable. Where the server is away, what is idempotent is sent again, three times at most: everything
    but `cancel`, and `start` without an idempotency key.
    """

    def __init__(
        self, server_url: str, api_token: str | None = None, *, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        self._http = Transport(server_url, api_token, timeout_seconds)

    @property
    def server_url(self) -> str:
        return self._http.server_url

    async def close(self) -> None:
        """Lets go of the connections."""
        await self._http.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


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
    ask = _blocking(AsyncClient.ask)
    wait = _blocking(AsyncClient.wait)
    claim = _blocking(AsyncClient.claim)
    report_result = _blocking(AsyncClient.report_result)
    approval_events = _blocking(AsyncClient.approval_events)

    @contextmanager
    def approved(
        self,
        approval: str | Mapping[str, Any],
        *,
        timeout_seconds: float | None = None,
        attempt_key: str | None = None,
        runs_for_seconds: int | None = None,
    ) -> Iterator[Permit]:
        """See `AsyncClient.approved`."""
        home = self._home()
        block = self._client.approved(
            approval, timeout_seconds=timeout_seconds, attempt_key=attempt_key, runs_for_seconds=runs_for_seconds
        )
        permit = home.wait(block.__aenter__, "approved")
        ended: BaseException | None = None
        try:
            yield permit
        except BaseException as error:
            ended = error
            raise
        finally:
            home.wait(lambda: block.__aexit__(type(ended) if ended else None, ended, None), "approved")

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

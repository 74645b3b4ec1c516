"""AgentRuntime: deploys, starts, runs and streams agents, on a database of its own or over HTTP."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from agent_runtime.agent import Agent
from agent_runtime.errors import InvalidSetting, RuntimeClosed
from agent_runtime.sdk.executions import Executions, StartOptions, wanted_start
from agent_runtime.sdk.handles import AgentHandle
from agent_runtime.sdk.logs import keep_quiet
from agent_runtime.sdk.loops import Home, awaiting, background, blocking
from agent_runtime.sdk.results import AgentResult
from agent_runtime.sdk.signals import Stop, told_to_stop, wait_until_told
from agent_runtime.sdk.streaming import AgentStream
from agent_runtime.settings import Settings, load

if TYPE_CHECKING:
    from agent_runtime.engine.model import Model
    from agent_runtime.replica import Replica


class AgentRuntime:
    """Where agents are deployed, started and run.

    Use it as a context manager: `with` runs it on a background thread, `async with` on the loop of the caller. Without
    either, its first use opens it on the background thread, and the end of the process closes it. Leaving it lets what
    it runs finish (30 s at most); what waits for people stays waiting, for whoever serves the agent next.

    Args:
        database_url: where the state is; COUNTERSIGN_DATABASE_URL by default.
        server_url: start, run and stream on that server, over HTTP, instead; COUNTERSIGN_SERVER_URL by default.
        api_token: the bearer token for the server; COUNTERSIGN_API_TOKEN by default.
        settings: checked settings; those above, `configure()` and the environment by default.
        env_file: a `.env` file for settings that the environment leaves out.
        model: what answers the agents' turns; the chat API by default.
        surfaces: whether what is installed and configured to show approvals (Slack) is opened.
        clock: epoch microseconds (SQLite only), the system's by default; for tests.

    Raises InvalidSetting; when it opens also SchemaMismatch or StoreUnavailable.
    """

    def __init__(
        self,
        database_url: str | None = None,
        *,
        server_url: str | None = None,
        api_token: str | None = None,
        settings: Settings | None = None,
        env_file: str | None = None,
        model: Model | None = None,
        surfaces: bool = True,
        clock: Callable[[], int] | None = None,
    ) -> None:
        if database_url is not None and server_url is not None:
            raise InvalidSetting("server_url: the server has the database; give one of server_url and database_url")
        self.settings: Settings = settings or load(
            Settings, env_file=env_file, database_url=database_url, server_url=server_url, api_token=api_token
        )
        self._server_url = "" if database_url is not None else self.settings.server_url
        self._parts: dict[str, Any] = {"env_file": env_file, "model": model, "surfaces": surfaces}
        self._parts |= {} if clock is None else {"clock": clock}
        if not self._server_url:
            import agent_runtime.sdk.local  # noqa: F401 - engine and store: now, rather than while somebody waits
        self._lock = threading.Lock()
        self._lives_on: Home | None = None
        self._closed = False
        self._opening = asyncio.Lock()
        self._opened: Executions | None = None
        self._stop_serving = Stop()

    # --- what it is for ---------------------------------------------------------------------------------------------

    async def _deploy(self, *agents: Agent) -> None:
        """Stores the definitions as those that start new executions, and runs the agents here.

        Raises InvalidRequest with `server_url`.
        """
        await (await self._executions()).deploy(*agents)

    async def _start(
        self, agent: Agent | str, prompt: str | None = None, **options: Unpack[StartOptions]
    ) -> AgentHandle:
        """Starts an execution and returns at once.

        Args:
            agent: an agent, deployed first, or the name of one that was deployed before; also "agent.reasoner".
            prompt: what it is to do, in words.
            options: see `StartOptions`: input, reasoner, idempotency_key.

        Raises NotFound for a name that was never deployed, InvalidRequest, Conflict for a key that came with another
        request.
        """
        wanted = wanted_start(agent, prompt, options)
        return AgentHandle(await (await self._executions()).start(wanted), self)

    async def _run(self, agent: Agent | str, prompt: str | None = None, **options: Unpack[StartOptions]) -> AgentResult:
        """Starts an execution and waits until it is complete, however long people take; arguments as `start`'s.

        Raises as `start` does, and CollaborationError or TimeoutError where a gate with `stop` ended it.
        """
        return await (await self._start(agent, prompt, **options))._get_result()

    async def _stream(
        self, agent: Agent | str, prompt: str | None = None, **options: Unpack[StartOptions]
    ) -> AgentStream:
        """Starts an execution and returns its events as they happen; arguments and errors as `start`'s."""
        return (await self._start(agent, prompt, **options)).stream()

    deploy, deploy_async = blocking(_deploy), awaiting(_deploy)
    start, start_async = blocking(_start), awaiting(_start)
    run, run_async = blocking(_run), awaiting(_run)
    stream, stream_async = blocking(_stream), awaiting(_stream)

    def serve(self, *agents: Agent, blocking: bool = True) -> None:
        """Deploys the agents and keeps running them: until Ctrl-C, SIGTERM or `close()`, or in the background.

        Raises InvalidRequest with `server_url`.
        """
        self.deploy(*agents)
        if blocking:
            wait_until_told(self._stop_serving)

    async def serve_async(self, *agents: Agent, blocking: bool = True) -> None:
        """The same, awaited; until SIGTERM, `close()` or being cancelled."""
        await self.deploy_async(*agents)
        if blocking:
            await told_to_stop(self._stop_serving)

    # --- opening and closing ----------------------------------------------------------------------------------------

    @property
    def replica(self) -> Replica:
        """What runs here, for code on this runtime's own loop. Raises RuntimeClosed, also before it has opened."""
        from agent_runtime.sdk.local import LocalExecutions

        if not isinstance(self._opened, LocalExecutions):
            raise RuntimeClosed("this runtime has nothing open here: enter it, and give it no server_url")
        return self._opened.replica

    def __enter__(self) -> Self:
        self._enter(background.hold(self))
        try:
            self._home().wait(self._executions, "__enter__")
        except BaseException:
            self._left()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        self._enter(Home(asyncio.get_running_loop()))
        try:
            await self._executions()
        except BaseException:
            self._left()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close_async()

    def close(self) -> None:
        """Lets what runs here finish (30 s at most) and lets go of everything; closing again changes nothing."""
        if self._lives_on is not None:
            self._lives_on.refuse_to_block("close")
        home = self._begin_closing()
        if home is not None:
            try:
                home.wait(self._close, "close")
            finally:
                self._left()

    async def close_async(self) -> None:
        """The same, awaited."""
        home = self._begin_closing()
        if home is not None:
            try:
                await home.here(self._close)
            finally:
                self._left()

    def _home(self) -> Home:
        """The loop that it lives on: the one that it was entered on, else the background one."""
        with self._lock:
            if self._closed:
                raise RuntimeClosed()
            if self._lives_on is None:
                self._lives_on = background.hold(self)
            return self._lives_on

    def _enter(self, home: Home) -> None:
        with self._lock:
            if self._lives_on is not None:
                raise RuntimeClosed("this runtime is open already; enter another one")
            self._lives_on, self._closed = home, False
            self._opening, self._opened = asyncio.Lock(), None
            self._stop_serving.clear()

    async def _executions(self) -> Executions:
        """What it reaches executions through, opened on first use; at home."""
        if self._opened is not None and not self._closed:
            return self._opened
        async with self._opening:
            if self._closed:
                raise RuntimeClosed()
            if self._opened is None:
                self._opened = await self._open()
            return self._opened

    async def _open(self) -> Executions:
        keep_quiet()
        if self._server_url:
            from agent_runtime.sdk.remote import RemoteExecutions  # with an HTTP client, which is slow to import

            return RemoteExecutions(self._server_url, self.settings.api_token)
        from agent_runtime.replica import Replica
        from agent_runtime.sdk.local import LocalExecutions

        return LocalExecutions(await Replica(self.settings, **self._parts).__aenter__())

    def _begin_closing(self) -> Home | None:
        with self._lock:
            home = None if self._closed else self._lives_on
            self._closed = True
        self._stop_serving.set()
        return home

    async def _close(self) -> None:
        async with self._opening:
            if self._opened is not None:
                await self._opened.close()
                self._opened = None

    def _left(self) -> None:
        with self._lock:
            self._closed, self._lives_on = True, None
        background.release(self)

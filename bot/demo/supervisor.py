"""Starts the workspace, the scripted model and the server; stops and starts the server as the page asks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from bot.demo.child import Child, ChildFailed
from bot.demo.control import Control
from bot.demo.workspace import FIRST_SCENARIO, local_environment, server_environment, workspace

SAMPLES = ("refund_agent", "prod_change_demo")
STARTS_WITHIN = 50.0
STOPS_WITHIN = 10.0
CONNECTS_WITHIN = 30.0
FIRST_CARD_WITHIN = 5.0


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the demo listens on loopback; 0 for any free port."""

    server: int
    sandbox: int


async def run_demo(ports: Ports) -> int:
    """Runs until Ctrl-C, SIGTERM or the end of a piped standard input; the exit status."""
    folder = Path(tempfile.mkdtemp(prefix="countersign-demo-"))
    try:
        return await until_stopped(Demo(ports, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Processes(Protocol):
    """What a demo runs."""

    async def start(self) -> None:
        """Everything up."""
        ...

    async def stop(self) -> None:
        """Everything down, also what had only half started."""
        ...


async def until_stopped(demo: Processes) -> int:
    """Runs `demo` until Ctrl-C, SIGTERM or the end of a piped standard input; the exit status."""
    from bot.cli.serving import stop_at_end_of_input

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stop.set)
    stop_at_end_of_input(stop)
    try:
        starting = asyncio.create_task(demo.start())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            await stopping
        else:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
        return 0
    finally:
        await demo.stop()


class Demo:
    """The three processes, and what connects them."""

    def __init__(self, ports: Ports, folder: Path) -> None:
        self._ports = ports
        self._folder = folder
        self._children: list[Child] = []
        self._server: Child | None = None
        self._server_port = ports.server
        self._environment: dict[str, str] = {}
        self._listening: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Everything up, the URLs printed, and a first card on its way."""
        sandbox = await self._spawn(
            "the local Slack workspace", "bot.sandbox", ["--port", str(self._ports.sandbox), "--config", "-"]
        )
        model = await self._spawn("the scripted model", "bot.scripted_model", [])
        config = workspace()
        await sandbox.told(config.model_dump_json())
        sandbox_url, model_url = await asyncio.gather(self._url_of_sandbox(sandbox), ready_url(model))
        self._environment = server_environment(config, self._folder, sandbox_url, model_url)
        self._listening.append(asyncio.create_task(self._obey(sandbox)))
        server_url = await self._start_server()
        await self._ask_first(sandbox_url)
        say(f"API and dashboard: {server_url}")
        say(f"Slack sandbox: {sandbox_url}")
        say("Press Ctrl-C to stop. Everything here is local: no account, no key, no real workspace.")

    async def stop(self) -> None:
        """Everything down, the server first and gracefully."""
        for listening in self._listening:
            listening.cancel()
        await asyncio.gather(*self._listening, return_exceptions=True)
        if self._server is not None:
            await self._server.stop(STOPS_WITHIN)
        await asyncio.gather(*(child.stop(STOPS_WITHIN) for child in self._children))

    async def _url_of_sandbox(self, sandbox: Child) -> str:
        port = self._ports.sandbox
        try:
            return await ready_url(sandbox)
        except ChildFailed as error:
            hint = f" (COUNTERSIGN_SANDBOX_PORT is {port}; choose another, or 0 for any free one)" if port else ""
            raise ChildFailed(error.message + hint) from error

    async def _spawn(self, name: str, module: str, arguments: list[str]) -> Child:
        child = await Child.start(name, module, arguments, local_environment(), folder=self._folder)
        self._children.append(child)
        return child

    async def _start_server(self) -> str:
        server = await start_server(self._server_port, self._environment, self._folder)
        self._server = server
        url = await server_url(server)
        self._server_port = int(url.rpartition(":")[2])
        self._listening.append(asyncio.create_task(drain(server)))
        return url

    async def _obey(self, sandbox: Child) -> None:
        """The page may stop the server hard, as a crash would, and start it again."""
        async for line in sandbox.lines():
            event = json.loads(line).get("event")
            if event == "server.kill" and self._server is not None:
                self._server.kill()
                await self._server.process.wait()
                say("The server was stopped hard (kill -9), as the page asked.")
            elif event == "server.start" and (self._server is None or self._server.process.returncode is not None):
                try:
                    say(f"The server is up again: {await self._start_server()}")
                except ChildFailed as error:
                    say(f"The server did not start again: {error.message}")

    async def _ask_first(self, sandbox_url: str) -> None:
        """The first scenario, so that a card waits when the page is opened."""
        control = Control(sandbox_url)
        if not await control.shows("/state", _bot_is_connected, CONNECTS_WITHIN):
            raise ChildFailed(f"the server did not connect to the workspace within {CONNECTS_WITHIN:.0f} s")
        channel = (await control.post(f"/scenarios/{FIRST_SCENARIO}", {}))["channel"]
        # Where it takes longer, the card comes while the page is looked at.
        await control.shows(f"/channels/{channel}/messages", _card_is_up, FIRST_CARD_WITHIN)


def _bot_is_connected(state: dict[str, Any]) -> bool:
    return bool(state["connections"])


def _card_is_up(channel: dict[str, Any]) -> bool:
    return any("approval.approve" in json.dumps(message) for message in channel["messages"])


async def start_server(port: int, environment: Mapping[str, str], folder: Path | None = None) -> Child:
    """The server with the sample agents, on loopback. It reads the `.env` of `folder` (None: where the parent is)."""
    address = {"COUNTERSIGN_HOST": "127.0.0.1", "COUNTERSIGN_PORT": str(port)}
    arguments = ["serve"]
    for sample in SAMPLES:
        arguments += ["--agents", f"{samples_package()}.{sample}:agent"]
    return await Child.start("the server", "bot", arguments, {**environment, **address}, folder=folder)


async def server_url(server: Child) -> str:
    """Where the server listens, once it does."""
    return (await server.first_line(STARTS_WITHIN)).removeprefix("API and dashboard: ")


async def ready_url(child: Child) -> str:
    """Where another child listens, once it does."""
    return str(json.loads(await child.first_line(STARTS_WITHIN))["url"])


def samples_package() -> str:
    """Where the sample agents are: `bot.samples` in a wheel, `examples` in a checkout."""
    return "bot.samples" if find_spec("bot.samples") else "examples"


async def drain(server: Child) -> None:
    """Reads on, so that the pipe never fills."""
    with contextlib.suppress(asyncio.CancelledError):
        async for _ in server.lines():
            pass


def say(line: str) -> None:
    """A line for whoever runs the demo."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()

"""`countersign serve` and `countersign demo`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import stat
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from agent_runtime.errors import InvalidSetting
from bot.cli.session import ENV_FILE

if TYPE_CHECKING:
    from agent_runtime.agent import Agent


def serve(
    agents: Annotated[
        list[str] | None,
        typer.Option("--agents", metavar="MODULE:ATTR", help="An Agent, a list of them, or a module; may be repeated."),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Where to listen; COUNTERSIGN_HOST, else 127.0.0.1.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="COUNTERSIGN_PORT, else 8080; 0 for any free one.")
    ] = None,
) -> None:
    """Serve agents, the HTTP API, timers, and Slack where its tokens are set. Ctrl-C stops it cleanly."""
    from agent_runtime import server
    from agent_runtime.loading import load_agents
    from bot.checks.model import missing_keys
    from bot.settings import slack_settings

    configure_logging()
    settings = slack_settings(env_file=ENV_FILE, host=host, port=port)  # all of them, before anything is opened
    loaded = load_agents(agents or [])

    def ready(up: server.Server) -> None:
        typer.echo(f"API and dashboard: {up.url}")
        typer.echo(f"Agents: {', '.join(sorted(up.runtime.agents)) or 'none (name them with --agents module:attr)'}")
        for lacking in missing_keys(settings, models_of(loaded, settings.model)):
            typer.echo(f"Model: {lacking.text}; set it")
        if not up.runtime.surfaces:
            typer.echo(
                "Slack: not configured; set SLACK_BOT_TOKEN, and SLACK_APP_TOKEN (Socket Mode) or "
                "SLACK_SIGNING_SECRET (HTTP mode). API and timers are served."
            )
        for surface in up.runtime.surfaces:
            typer.echo(f"Slack: {surface.status().get('summary', 'configured')}")
        sys.stdout.flush()

    async def run() -> None:
        stop = asyncio.Event()
        stop_at_end_of_input(stop)
        await server.serve(loaded, settings=settings, env_file=ENV_FILE, ready=ready, stop=stop)

    with named_as_given(host, port):
        asyncio.run(run())


def models_of(agents: Iterable[Agent], default: str) -> set[str]:
    """The models that these agents cannot do without. One with reasoners may well ask none, where it names none."""
    return {agent.model or default for agent in agents if agent.model or not agent.reasoners}


@contextlib.contextmanager
def named_as_given(host: str | None, port: int | None) -> Iterator[None]:
    """An address that cannot be used is named as it was given: the option, or the setting."""
    options = {"COUNTERSIGN_HOST": ("--host", host), "COUNTERSIGN_PORT": ("--port", port)}
    try:
        yield
    except InvalidSetting as error:
        setting, _, reason = error.message.partition(": ")
        option, given = options.get(setting, ("", None))
        if given is None:
            raise
        raise InvalidSetting(f"{option}: {reason}") from error


def demo(
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="The server's port; COUNTERSIGN_PORT, else 8080.")
    ] = None,
    sandbox_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="The local workspace's port; COUNTERSIGN_SANDBOX_PORT, else 8090."),
    ] = None,
    slack: Annotated[
        bool, typer.Option("--slack", help="In your own workspace, with the Slack tokens that are set (docs/slack.md).")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --slack: do not ask before posting there.")] = False,
) -> None:
    """Run the main job with no account anywhere: a local Slack workspace, a scripted model, two sample agents."""
    from bot.cli.demonstration import demo_in_slack
    from bot.demo.supervisor import Ports, run_demo

    if slack:
        raise typer.Exit(demo_in_slack(port, yes=yes))
    ports = Ports(
        server=port if port is not None else port_setting("COUNTERSIGN_PORT", 8080),
        sandbox=sandbox_port if sandbox_port is not None else port_setting("COUNTERSIGN_SANDBOX_PORT", 8090),
    )
    raise typer.Exit(asyncio.run(run_demo(ports)))


def port_setting(name: str, default: int) -> int:
    """A port from the environment; raises InvalidSetting naming it."""
    text = os.environ.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or int(text) > 65535:
        raise InvalidSetting(f"{name}: {text!r} is no port; write 0 to 65535 (0 for any free one)")
    return int(text)


def configure_logging() -> None:
    """Structured lines on standard error; bodies and tokens are never among them."""
    import structlog

    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
            if sys.stderr.isatty()
            else structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def stop_at_end_of_input(stop: asyncio.Event) -> None:
    """Where standard input is a pipe, its end stops the process: it never outlives the parent at the other end."""
    kind = os.fstat(0).st_mode
    if not stat.S_ISFIFO(kind) and not stat.S_ISSOCK(kind):  # some parents make their pipes of sockets
        return
    loop = asyncio.get_running_loop()

    def wait() -> None:
        while os.read(0, 4096):
            pass
        if not loop.is_closed():
            loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=wait, daemon=True, name="end-of-input").start()

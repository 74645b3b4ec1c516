"""`python -m bot.sandbox`: the workspace as a process of its own.

It prints one JSON line on stdout when it listens, `{"event": "ready", "url": …}`, and later one for each thing
that the page asks of the app's process. It ends at SIGTERM, SIGINT, or the end of stdin where that is a pipe, so
that it never outlives the parent that holds the other end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import stat
import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bot.sandbox.app import running_sandbox
from bot.sandbox.config import SandboxConfig


def main() -> int:
    """Returns the exit status: 0 ended, 1 could not listen, 2 usage."""
    options = _parser().parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        config = _read_config(options.config)
    except (OSError, ValidationError) as problem:
        sys.stderr.write(f"sandbox: --config: {problem}\n")
        return 2
    try:
        asyncio.run(_serve(config, options.host, options.port))
    except OSError as problem:
        sys.stderr.write(f"sandbox: cannot listen on {options.host}:{options.port}: {problem}\n")
        return 1
    return 0


async def _serve(config: SandboxConfig, host: str, port: int) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    async with running_sandbox(config, host=host, port=port, announce=_announce) as sandbox:
        watch = await _watch_parent(ended)
        _announce({"event": "ready", "url": sandbox.url})
        await ended.wait()
        if watch is not None:
            watch.close()


def _announce(event: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


class _ParentWatch(asyncio.Protocol):
    def __init__(self, ended: asyncio.Event) -> None:
        self._ended = ended

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended.set()


async def _watch_parent(ended: asyncio.Event) -> asyncio.ReadTransport | None:
    """Sets `ended` at the end of stdin. A terminal or a file is no parent."""
    kind = os.fstat(sys.stdin.fileno()).st_mode
    if not stat.S_ISFIFO(kind) and not stat.S_ISSOCK(kind):
        return None
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: _ParentWatch(ended), sys.stdin.buffer)
    return transport


def _read_config(source: str | None) -> SandboxConfig:
    """The configuration: from a file, or with `-` from the first line of stdin."""
    if source is None:
        return SandboxConfig()
    text = sys.stdin.buffer.readline() if source == "-" else Path(source).read_bytes()
    return SandboxConfig.model_validate_json(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bot.sandbox", description="A local Slack workspace.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: 0, any free one)")
    parser.add_argument("--config", metavar="-|PATH", help="JSON configuration; - reads one line of stdin")
    return parser


if __name__ == "__main__":
    sys.exit(main())

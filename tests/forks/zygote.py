"""The process that has imported everything and forks: `python -m tests.forks.zygote SOCKET`.

Each packet on the socket is a JSON object (`arguments` after `python -m`, `settings`, `folder`) with four file
descriptors: standard input, output, error, and where the exit status goes. It answers with the process id. It has no
threads and no event loop, so that a fork of it is as clean as a new interpreter.
"""

from __future__ import annotations

import gc
import io
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import sys
from importlib import import_module
from typing import Any

PACKAGES = ("agent_runtime", "bot", "examples")
LIBRARIES = ("aiosqlite", "asyncpg", "openai.resources.chat", "rich.markup", "rich.table", "slack_bolt.async_app")
"""What the packages import only where it is needed."""


def main() -> None:
    channel = socket.socket(fileno=int(sys.argv[1]))
    _import_everything()
    gc.freeze()
    wanted = _serve(channel)
    if wanted is not None:
        _become(**wanted)


def _import_everything() -> None:
    for name in PACKAGES:
        for module in pkgutil.walk_packages(import_module(name).__path__, f"{name}."):
            if not module.name.endswith(("__main__", ".env")) and ".versions." not in module.name:
                import_module(module.name)
    for name in LIBRARIES:
        import_module(name)


def _serve(channel: socket.socket) -> dict[str, Any] | None:
    """Forks for each packet, until the socket is closed; in a fork it returns what that is to become."""
    running: dict[int, int] = {}
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt ends the tests, and with them this
    signal.set_wakeup_fd(wake)
    channel.settimeout(None)
    while True:
        if not _readable(channel, woken, running):
            continue
        packet, descriptors, _, _ = socket.recv_fds(channel, 1 << 20, 4)
        if not packet:
            break
        *streams, ends = descriptors
        pid = os.fork()
        if pid == 0:
            for descriptor in (channel.detach(), woken, wake, ends, *running.values()):
                os.close(descriptor)
            _reset_signals()
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
                os.close(stream)
            return dict(json.loads(packet))
        running[pid] = ends
        for stream in streams:
            os.close(stream)
        channel.send(str(pid).encode())
    for pid in running:
        os.kill(pid, signal.SIGKILL)
    return None


def _readable(channel: socket.socket, woken: int, running: dict[int, int]) -> bool:
    """Waits until the channel has something to say, or reaps what ended."""
    ready, _, _ = select.select([channel, woken], [], [])
    if woken in ready:
        os.read(woken, 4096)
        for pid in [*running]:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                ends = running.pop(pid)
                os.write(ends, str(os.waitstatus_to_exitcode(status)).encode())
                os.close(ends)
    return channel in ready


def _reset_signals() -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _become(arguments: list[str], settings: dict[str, str], folder: str) -> None:
    """Goes on as `python -m MODULE …`; the interpreter ends as it would there."""
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(settings)
    sys.path[0:1] = [folder, *settings.get("PYTHONPATH", "").split(os.pathsep)]
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - for as long as the process lives
    sys.stdout, sys.stderr = _output(1), _output(2)
    sys.argv = ["", *arguments[1:]]
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)


def _output(descriptor: int) -> io.TextIOWrapper:
    at_once = bool(os.environ.get("PYTHONUNBUFFERED")) or descriptor == 2
    return open(descriptor, "w", closefd=False, buffering=1 if at_once else -1)


if __name__ == "__main__":
    main()

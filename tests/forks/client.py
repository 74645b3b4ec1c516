"""Asking the zygote for processes."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

REPOSITORY = Path(__file__).parents[2]


class Fork:
    """A forked process; the part of `subprocess.Popen`'s interface that tests use."""

    def __init__(self, pid: int, ended: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = ended
        self._process = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """Its exit status, the negative signal that killed it, or None while it runs."""
        if self.returncode is None and select.select([self._ended], [], [], 0)[0]:
            return self.wait()
        return self.returncode

    def wait(self) -> int:
        """Its exit status, once it has ended."""
        if self.returncode is None:
            said = os.read(self._ended, 16)
            assert said, "the zygote is gone"
            self.returncode = int(said)
            os.close(self._ended)
            os.close(self._process)
        return self.returncode

    def send_signal(self, signum: int) -> None:
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._process, signum)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


Process = Fork | subprocess.Popen[bytes]


def launch(
    command: Sequence[str], *, settings: Mapping[str, str], folder: Path, streams: Sequence[IO[bytes]]
) -> Process:
    """Starts `command` in `folder`, in a session of its own, with `settings` as its environment.

    `streams` are its standard input, output and error. It is a fork where the command is `python -m MODULE …` of this
    interpreter and the system can do it.
    """
    if sys.platform != "linux" or [*command[:2]] != [sys.executable, "-m"]:
        stdin, stdout, stderr = streams
        return subprocess.Popen(
            [*command],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=folder,
            env=dict(settings),
            start_new_session=True,
        )
    ended, ends = os.pipe()
    try:
        wanted = {"arguments": [*command[2:]], "settings": dict(settings), "folder": str(folder)}
        socket.send_fds(_zygote(), [json.dumps(wanted).encode()], [*(each.fileno() for each in streams), ends])
    finally:
        os.close(ends)
    return Fork(int(_zygote().recv(32)), ended)


@functools.cache
def _zygote() -> socket.socket:
    """One for each process that runs tests; it ends, with all that it forked, when its socket is closed."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.forks.zygote", str(its.fileno())], pass_fds=[its.fileno()], cwd=REPOSITORY
        )
    _kept.append(process)
    return ours


_kept: list[subprocess.Popen[bytes]] = []
"""Held until the interpreter ends: a Popen that is dropped warns of a process that still runs."""

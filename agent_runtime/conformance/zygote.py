"""A process that has everything imported and forks a server for each line on its standard input.

An interpreter takes a second to start, a fork some milliseconds, so that a server can be killed thousands of times. The
zygote has one thread and no event loop. Its standard output has a JSON line for each server that is ready, and for each
that has ended. At the end of its input it kills what it forked and ends.
"""

from __future__ import annotations

import gc
import json
import os
import selectors
import signal
from collections.abc import Callable

# imported once here, not in every fork
from agent_runtime.conformance import child, command, imports
from agent_runtime.store.url import parse_database_url

Run = Callable[[int], int]
"""What a fork does with the descriptor on which it tells; returns its exit status."""


def main() -> None:
    """Serves the lines of standard input; see `child.Wanted`."""
    children: dict[int, int] = {}
    lifeline, held = os.pipe()
    woken, wake = os.pipe()
    for descriptor in (woken, wake):
        os.set_blocking(descriptor, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt in the terminal ends the parent, and then this
    signal.set_wakeup_fd(wake)
    gc.freeze()
    selector = selectors.DefaultSelector()
    selector.register(0, selectors.EVENT_READ)
    selector.register(woken, selectors.EVENT_READ)
    _say({"zygote": os.getpid()})
    pending = b""
    while True:
        for key, _ in selector.select():
            if key.fd == woken:
                os.read(woken, 4096)
                _reap(children)
                continue
            said = os.read(0, 65536)
            if not said:
                _end(children)
                return
            *lines, pending = (pending + said).split(b"\n")
            for line in map(json.loads, lines):
                if "signal" in line:
                    _signal(children, **line)
                    continue
                runs = _command(**line) if "command" in line else _server(child.Wanted(**line), lifeline)
                _fork(line["number"], runs, children, (held, woken, wake))


def _server(wanted: child.Wanted, lifeline: int) -> Run:
    imports.database(parse_database_url(wanted.database_url).get_backend_name())
    if wanted.environment:
        imports.surfaces(tuple(wanted.environment.items()))

    def serve(told: int) -> int:
        child.run(wanted, told, lifeline)
        return 0

    return serve


def _command(number: int, database_url: str, **words: list[str]) -> Run:
    command.command_line()  # imported here, not in every fork

    def run(told: int) -> int:
        status, said = command.run(words["command"], database_url)
        _say({"number": number, "said": said}, told)
        return status

    return run


def _fork(number: int, run: Run, children: dict[int, int], not_its: tuple[int, ...]) -> None:
    pid = os.fork()
    if pid:
        children[pid] = number
        _say({"number": number, "pid": pid})
        return
    status, told = 1, 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for descriptor in not_its:
            os.close(descriptor)
        told = os.dup(1)
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)  # where logs go
        status = run(told)
    except BaseException as error:  # noqa: BLE001 - the fork ends here, whatever it was; the parent is told why
        _say({"number": number, "failed": f"{type(error).__name__}: {error}"}, told)
    finally:
        os._exit(status)


def _signal(children: dict[int, int], number: int, signal: int) -> None:
    """Only to one that was not waited for: its process id cannot be another's."""
    for pid in [pid for pid, other in children.items() if other == number]:
        os.kill(pid, signal)


def _reap(children: dict[int, int]) -> None:
    for pid in list(children):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            _say({"number": children.pop(pid), "ended": os.waitstatus_to_exitcode(status)})


def _end(children: dict[int, int]) -> None:
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _say(line: dict[str, object], to: int = 1) -> None:
    os.write(to, (json.dumps(line) + "\n").encode())


if __name__ == "__main__":
    main()

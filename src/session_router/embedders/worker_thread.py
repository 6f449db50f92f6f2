"""One thread that does one thing at a time, so that a model that blocks does not block an event loop."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class WorkerThread:
    """Starts with its first work, and ends with its owner.

    The loop's own threads would not do: requests that wait for one model would take all of them from the application.
    """

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None
        self._process = 0

    async def run(self, function: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        """Call `function` in the thread, in the caller's context; what waits in line is dropped when its waiter is cancelled."""
        call = functools.partial(contextvars.copy_context().run, function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._executor(), call)

    def _executor(self) -> ThreadPoolExecutor:
        # A fork copies the executor and not its thread: work given to it would wait for ever.
        if self._threads is None or self._process != os.getpid():
            self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="session-router-embedder")
            self._process = os.getpid()
        return self._threads

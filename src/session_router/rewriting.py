"""Asking a rewriter, and waiting for it no longer than it says."""

from __future__ import annotations

import contextvars
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from session_router.core.checking import check_kind, check_methods, check_number
from session_router.core.rewritten import Rewritten
from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from session_router.ports import QuestionRewriter

AT_ONCE: Final = 64
"""Threads that may wait for a rewriter; beyond, questions stay as they are: one that hangs must not fill the process."""

LONGEST_SECONDS: Final = 60.0


class Rewriting:
    """A rewriter with its time limit. Safe to use from many threads and event loops.

    Args:
        rewriter: What to ask.

    Raises:
        ConfigurationError: It is no rewriter.
    """

    def __init__(self, rewriter: QuestionRewriter) -> None:
        rule = "give a question rewriter: `version`, `seconds`, `rewrite` and `arewrite`."
        check_methods(rewriter, "rewrite", "arewrite", key="rewriter", rule=rule)
        version: object = getattr(rewriter, "version", None)
        check_kind(version, str, key="rewriter.version", rule="give a text that changes whenever a question may become another one.")
        if not version:
            raise ConfigurationError(key="rewriter.version", value=version, rule="give a text that is not empty.")
        seconds: object = getattr(rewriter, "seconds", None)
        rule = f"give seconds above 0, at most {LONGEST_SECONDS:g}."
        check_number(seconds, key="rewriter.seconds", rule=rule, high=LONGEST_SECONDS)
        if not seconds:
            raise ConfigurationError(key="rewriter.seconds", value=seconds, rule=rule)
        # Not when it is needed: a child of a fork can never import what another thread of its parent was about to.
        import_module("concurrent.futures")
        self._rewriter = rewriter
        self._room = threading.BoundedSemaphore(AT_ONCE)

    def ask(self, said: Sequence[tuple[str, str]]) -> Rewritten | None:
        """Return the last question of a conversation so that it stands alone, or `None` when it is to stay as it is.

        Raises:
            TimeoutError: It is late, or too many are waiting.
            Exception: It failed.
        """
        if not self._room.acquire(blocking=False):
            msg = f"{AT_ONCE} threads are waiting for the rewriter already"
            raise TimeoutError(msg)
        from concurrent.futures import Future

        answer = Future[Any]()
        context = contextvars.copy_context()

        def run() -> None:
            try:
                answer.set_result(context.run(self._rewriter.rewrite, said))
            except BaseException as error:  # noqa: BLE001 -- whoever waits is told; nothing of it may end the caller
                answer.set_exception(error if isinstance(error, Exception) else RuntimeError(type(error).__name__))
            finally:
                self._room.release()

        # A thread of its own, which does not keep a program alive: what is late cannot be stopped, only left alone.
        threading.Thread(target=run, name="session-router-rewriter", daemon=True).start()
        return self._rewritten(answer.result(self._rewriter.seconds))

    async def aask(self, said: Sequence[tuple[str, str]]) -> Rewritten | None:
        """Do what `ask` does without blocking the event loop."""
        import asyncio

        task = asyncio.ensure_future(self._rewriter.arewrite(said))
        try:
            # Not `wait_for`: it waits on for a task that does not heed its cancellation.
            await asyncio.wait({task}, timeout=self._rewriter.seconds)
            if not task.done():
                msg = "the rewriter is late"
                raise TimeoutError(msg)
            if task.cancelled():
                msg = "the rewriter cancelled itself"
                raise RuntimeError(msg)
            return self._rewritten(task.result())
        finally:
            if not task.done():
                task.add_done_callback(_is_over)
                task.cancel()

    def _rewritten(self, text: object) -> Rewritten | None:
        if not isinstance(text, str) or not text.strip():
            return None
        return Rewritten(text=text, version=self._rewriter.version)


def _is_over(task: asyncio.Future[Any]) -> None:
    """Look at what came of a task, so that nothing complains that nobody did."""
    if not task.cancelled():
        task.exception()

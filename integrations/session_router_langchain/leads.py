"""Who is asking a model what: a caller that is told nothing of a failure is known by what it does next."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from session_router.core.cached import CacheQuestion


class Leads:
    """The question that each thread or task is asking a model. Safe to use from many threads.

    LangChain tells a cache of answers, and of no failure. A caller that asks for something else, or the same again, and a task that
    ends, has no answer to come: whoever waits for it goes on.

    Args:
        abandon: Told of questions that will not be answered. Must not block.
    """

    def __init__(self, abandon: Callable[[CacheQuestion], None]) -> None:
        self._abandon = abandon
        self._asked: dict[object, CacheQuestion] = {}
        self._guard = threading.Lock()

    def begun(self, question: CacheQuestion) -> None:
        """Remember what this caller asks a model."""
        caller = _caller()
        with self._guard:
            self._asked[caller] = question
        if isinstance(caller, asyncio.Task):
            caller.add_done_callback(self._ended)

    def taken(self, question: CacheQuestion) -> CacheQuestion:
        """Return `question` as this caller asked it, with the time of then; as it is where it was not asked."""
        lead = self._taken(_caller())
        if lead is None or replace(lead, now=question.now) != question:
            self._left(lead)
            return question
        return lead

    def left(self) -> None:
        """Whatever this caller asked before will not be answered."""
        self._left(self._taken(_caller()))

    def _taken(self, caller: asyncio.Task[Any] | int) -> CacheQuestion | None:
        with self._guard:
            lead = self._asked.pop(caller, None)
        if isinstance(caller, asyncio.Task):
            caller.remove_done_callback(self._ended)
        return lead

    def _ended(self, task: asyncio.Task[Any]) -> None:
        with self._guard:
            lead = self._asked.pop(task, None)
        self._left(lead)

    def _left(self, lead: CacheQuestion | None) -> None:
        if lead is not None:
            self._abandon(lead)


def _caller() -> asyncio.Task[Any] | int:
    """Return the task that runs, or the number of the thread where there is none."""
    try:
        task: asyncio.Task[Any] | None = asyncio.current_task()
    except RuntimeError:
        task = None
    return threading.get_ident() if task is None else task

"""Writes what happened to a router into its audit log, and warns of what stands out."""

from __future__ import annotations

import logging
import os
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any

from session_router.core.audit_row import decision_row, outcome_row
from session_router.core.call import CANCELLED, Outcome
from session_router.core.effects import AppendOutcome, AppendRecord

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future, ThreadPoolExecutor

    from session_router.core.decision import Decision
    from session_router.core.governance import Clearance
    from session_router.core.model import ModelName, ModelSpec
    from session_router.ports import AuditLog

logger = logging.getLogger("session_router")
alarms = logging.getLogger("session_router.alarms")


class Recorder:
    """Records decisions and outcomes, if there is a log. Safe to use from many threads and event loops.

    What is awaited is written by a thread of its own, in the order in which it was handed in: a disk that is slow holds up the call
    that waits for its record, and no other.

    Args:
        audit: The log; `None` for none.
        specs: Returns the routes, whose clearances a row tells.
    """

    def __init__(self, audit: AuditLog | None, specs: Callable[[], Mapping[ModelName, ModelSpec]]) -> None:
        self._audit = audit
        self._specs = specs
        self._writer: ThreadPoolExecutor | None = None
        self._process = 0
        self._guard = threading.Lock()
        if audit is not None:
            # Not when it is needed: a child of a fork can never import what another thread of its parent was about to.
            import_module("concurrent.futures.thread")

    def record(self, what: AppendRecord | AppendOutcome) -> None:
        """Record a decision, or what came of it.

        Raises:
            AuditError: It could not be written.
        """
        if isinstance(what, AppendRecord):
            _warn(what.decision)
        if self._audit is not None:
            self._audit.append(self._row(what))

    async def arecord(self, what: AppendRecord | AppendOutcome) -> None:
        """Do what `record` does without blocking the event loop."""
        if isinstance(what, AppendRecord):
            _warn(what.decision)
        if self._audit is None:
            return
        import asyncio

        writing = asyncio.wrap_future(self._thread().submit(self._audit.append, self._row(what)))
        writing.add_done_callback(_is_over)
        try:
            # Whoever is cancelled while it waits leaves a record behind all the same: it may have been sent.
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            if isinstance(what, AppendRecord) and not what.decision.refused:
                outcome = Outcome(at=what.decision.at, model=None, error=CANCELLED)
                # Behind the decision's own record, which the thread may be about to write.
                self._thread().submit(self._audit.append, self._row(AppendOutcome(what.decision, outcome))).add_done_callback(_tell_failure)
            raise

    def _row(self, what: AppendRecord | AppendOutcome) -> dict[str, Any]:
        decision = what.decision
        if isinstance(what, AppendRecord):
            return decision_row(decision, tag=decision.tag, clearance=self._clearance(decision.model))
        return outcome_row(decision, what.outcome, clearance=self._clearance(what.outcome.model))

    def _clearance(self, model: ModelName | None) -> Clearance | None:
        spec = None if model is None else self._specs().get(model)
        return None if spec is None else spec.clearance

    def _thread(self) -> ThreadPoolExecutor:
        from concurrent.futures import ThreadPoolExecutor

        with self._guard:
            if self._writer is None or self._process != os.getpid():
                # In a forked child the parent's thread is not there.
                self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="session-router-audit")
                self._process = os.getpid()
            return self._writer


def _warn(decision: Decision) -> None:
    if (alarm := decision.evidence.alarm) is not None:
        alarms.warning(
            "decision %s: without its %s, the text asks for a dearer model by %.2f less (alarm above %.2f); the score is of the rest",
            decision.id,
            alarm.window,
            alarm.jump,
            alarm.limit,
        )


def _tell_failure(writing: Future[None]) -> None:
    if (error := writing.exception()) is not None:
        logger.warning("what came of a call that was given up is not recorded: %s: %s", type(error).__name__, error)


def _is_over(writing: asyncio.Future[None]) -> None:
    """Look at what came of it, so that nothing complains that nobody did."""
    if not writing.cancelled():
        writing.exception()

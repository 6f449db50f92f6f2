"""A run that is going on, in the OpenTelemetry context: whose model calls must not be left open when it ends, and who was chosen in it."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Final

from opentelemetry import context as contexts
from opentelemetry.trace import Status, StatusCode

from session_router_otel.conventions import ERROR_TYPE

if TYPE_CHECKING:
    from uuid import UUID
    from weakref import ref

    from opentelemetry.context import Context
    from opentelemetry.trace import Span

    from session_router.core.model import ModelName
    from session_router.router import Router

_KEY: Final = contexts.create_key("session_router_otel.run")


@dataclass(frozen=True, slots=True)
class Chosen:
    """Who was chosen for the next model call: its answer may name several routes.

    Attributes:
        router: Who chose.
        model: Who was chosen.
    """

    router: ref[Router]
    model: ModelName


@dataclass(slots=True)
class Run:
    """An agent's run, or a model call outside of any.

    Attributes:
        around: The run that it is part of.
        answer: The last answer of a model in it, where content may be told; empty otherwise.
        chosen: Who was chosen last in it; `None` for nobody.
    """

    around: Run | None = None
    answer: str = ""
    chosen: Chosen | None = None
    _open: dict[UUID, Span] = field(default_factory=dict["UUID", "Span"])
    _guard: Lock = field(default_factory=Lock)

    def opened(self, run_id: UUID, span: Span) -> None:
        """Remember the span of a model call that has begun."""
        with self._guard:
            self._open[run_id] = span

    def closed(self, run_id: UUID) -> None:
        """Forget the span of a model call that has ended."""
        with self._guard:
            self._open.pop(run_id, None)

    def answered(self, text: str) -> None:
        """Remember what a model said."""
        self.answer = text
        if self.around is not None:
            self.around.answered(text)

    def end(self, error: BaseException | None) -> list[UUID]:
        """End the spans of model calls that nobody will end: a cancelled call reports nothing. Returns whose they were."""
        with self._guard:
            left, self._open = self._open, {}
        for span in left.values():
            fail(span, error)
            span.end()
        return list(left)


def within_run(run: Run, context: Context | None = None) -> Context:
    """Return `context`, or the current one, with `run` going on in it."""
    return contexts.set_value(_KEY, run, context)


def current_run() -> Run | None:
    """Return the run that is going on in this context."""
    run = contexts.get_value(_KEY)
    return run if isinstance(run, Run) else None


_chosen: ContextVar[tuple[Run | None, Chosen] | None] = ContextVar("session_router_otel.chosen", default=None)


def choose(chosen: Chosen) -> None:
    """Remember who was chosen, in this context and in the run that is going on."""
    run = current_run()
    _chosen.set((run, chosen))
    if run is not None:
        run.chosen = chosen


def chosen_here() -> Chosen | None:
    """Return who was chosen for a model call that is made here.

    That is whoever was chosen last in this context, as calls may be made side by side in one run; or where another node of the graph
    decided, whose context is not this one, whoever was chosen last in the run.
    """
    known, run = _chosen.get(), current_run()
    while True:
        if known is not None and known[0] is run:
            return known[1]
        if run is None or run.chosen is not None:
            return None if run is None else run.chosen
        run = run.around


def fail(span: Span, error: BaseException | None) -> None:
    """Mark a span as failed, by the name of the error's type: what it says may be content."""
    kind = "cancelled" if error is None else type(error).__name__
    span.set_attribute(ERROR_TYPE, kind)
    span.set_status(Status(StatusCode.ERROR))

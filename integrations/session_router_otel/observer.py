"""Observes a router: a span and metrics for every decision, metrics for every outcome."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING
from weakref import ref

from opentelemetry.trace import SpanKind

from session_router.core.cached import CacheHit
from session_router.core.decision import Action
from session_router.core.pricing import call_cost
from session_router_otel import content
from session_router_otel import conventions as names
from session_router_otel.attributes import attributes_of, cache_attributes, expected_cost, labels_of, lock_state, looked_up, saved_cost
from session_router_otel.endpoints import endpoint_of
from session_router_otel.instrumentors import makes_metrics, parent_context
from session_router_otel.lock_watch import LockWatch
from session_router_otel.runs import Chosen, choose, current_run
from session_router_otel.sessions import session_of

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer
    from opentelemetry.util.types import AttributeValue

    from session_router.core.call import Call, Outcome
    from session_router.core.decision import Decision
    from session_router.core.model import ModelName
    from session_router.router import Router
    from session_router_otel.metrics import Label, Metrics


@dataclass(frozen=True, slots=True)
class _Begun:
    """The call that is being routed in this context.

    Attributes:
        at: When it came, in nanoseconds since the epoch.
        tick: The same by the steady clock.
        failed: Models that have just failed it.
    """

    at: int
    tick: int
    failed: tuple[ModelName, ...]


_begun: ContextVar[_Begun | None] = ContextVar("session_router_otel.begun", default=None)


class TelemetryObserver:
    """Turns what happens to a router into spans and metrics. Its failures are the router's to drop.

    Args:
        router: The router.
        tracer: Makes the spans.
        metrics: Takes the values.
    """

    def __init__(self, router: Router, tracer: Tracer, metrics: Metrics) -> None:
        self._router = router
        self._itself = ref(router)
        self._tracer = tracer
        self._metrics = metrics
        self._locks = LockWatch()
        self._endpoints: dict[ModelName | None, tuple[object, tuple[Label, ...]]] = {}

    def on_call(self, call: Call) -> None:
        """See that a call is about to be routed."""
        _begun.set(_Begun(time_ns(), perf_counter_ns(), call.failed))

    def on_decision(self, decision: Decision) -> None:
        """Emit the route span, whole: it is as short as the decision took, and never open while a model answers."""
        begun = _begun.get() or _Begun(time_ns(), perf_counter_ns(), ())
        _begun.set(None)
        taken = perf_counter_ns() - begun.tick
        state = lock_state(decision)
        event = None if decision.internal else self._locks.seen(decision.session_id, state)
        self._trace(decision, begun, taken, event)
        self._count(decision, state, event)
        _tell_answer(decision)
        if decision.model is not None and decision.hit is None:
            choose(Chosen(self._itself, decision.model))
        self._metrics.overhead.add(taken / 1e9, ((names.DECISION, decision.action.value),))

    def on_outcome(self, decision: Decision, outcome: Outcome) -> None:
        """Record what the call took."""
        metrics, name = self._metrics, outcome.model or decision.model
        spec = None if name is None else self._router.models.get(name)
        usage = outcome.usage
        if spec is not None and name is not None and usage is not None and spec.prices is not None:
            metrics.cost.add(call_cost(spec.prices, usage), ((names.MODEL_SELECTED, name), (names.COST_BASIS, "billed")))
        if makes_metrics():
            return
        labels = self._endpoint(name)
        if usage is not None:
            metrics.tokens.add(usage.input, (*labels, (names.TOKEN_TYPE, "input")))
            metrics.tokens.add(usage.output, (*labels, (names.TOKEN_TYPE, "output")))
        failed = () if outcome.error is None else ((names.ERROR_TYPE, outcome.error),)
        metrics.duration.add(max(0.0, outcome.at - decision.at), (*labels, *failed))

    def _trace(self, decision: Decision, begun: _Begun, taken: int, lock_event: str | None) -> None:
        session, end = session_of(decision), begun.at + taken
        # The sampler sees the session; the rest is worked out only for spans that are kept.
        known = None if session is None else {names.SESSION_ID: session, names.CONVERSATION_ID: session}
        parent = parent_context()
        span = self._tracer.start_span(names.ROUTE, context=parent, kind=SpanKind.INTERNAL, attributes=known, start_time=begun.at)
        if span.is_recording():
            span.set_attributes(attributes_of(decision))
            for name, facts in _events(decision, lock_event, begun.failed):
                span.add_event(name, facts, timestamp=end)
        span.end(end)

    def _count(self, decision: Decision, state: str, event: str | None) -> None:
        metrics = self._metrics
        action, reason = (names.DECISION, decision.action.value), (names.REASON, decision.reason.value)
        model = (names.MODEL_SELECTED, decision.model or "")
        metrics.decisions.add(1, (action, reason, model, (names.LOCK_STATE, state), (names.POLICY, decision.policy)))
        if decision.switched:
            metrics.switches.add(1, (action, reason, (names.MODEL_PREVIOUS, decision.previous or ""), model))
        if event is not None:
            metrics.locks.add(1, ((names.LOCK_EVENT, event.removeprefix("lock.")),))
        if decision.action is Action.REFUSE:
            metrics.refusals.add(1, (reason, (names.GOVERNANCE_TAGS, ",".join(labels_of(decision)))))
        if (found := looked_up(decision)) is not None:
            told = cache_attributes(found)
            metrics.lookups.add(1, tuple((key, str(told[key])) for key in (names.CACHE_RESULT, names.CACHE_REASON)))
        if (cost := expected_cost(decision)) is not None:
            metrics.cost.add(cost, (model, (names.COST_BASIS, "expected")))
        if (saved := saved_cost(decision)) is not None:
            metrics.saved.add(saved, (action, model))

    def _endpoint(self, name: ModelName | None) -> tuple[Label, ...]:
        spec = None if name is None else self._router.models.get(name)
        if name is None or spec is None:
            return ((names.OPERATION_NAME, names.CHAT), (names.PROVIDER_NAME, "unknown"))
        # What an integration finds out about a route arrives in a new spec.
        known = self._endpoints.get(name)
        if known is None or known[0] is not spec:
            known = self._endpoints[name] = spec, endpoint_of(name, spec)
        return known[1]


def _tell_answer(decision: Decision) -> None:
    """Tell a stored answer to the run that it answers, where content was asked for: no model call will."""
    if decision.action is not Action.CACHE_HIT or not content.wanted() or (run := current_run()) is None:
        return
    if isinstance(found := looked_up(decision), CacheHit):
        run.answered(found.answer.text)


def _events(decision: Decision, lock_event: str | None, failed: tuple[ModelName, ...]) -> list[tuple[str, dict[str, AttributeValue]]]:
    events: list[tuple[str, dict[str, AttributeValue]]] = []
    if lock_event is not None:
        events.append((lock_event, {names.LOCK_STATE: lock_state(decision)}))
    if (found := looked_up(decision)) is not None:
        events.append((names.CACHE_LOOKUP, dict(cache_attributes(found))))
    if failed:
        events.append((names.FALLBACK, {names.FAILED_MODEL: failed}))
    return events

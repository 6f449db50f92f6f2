"""Switching telemetry on for a router, and off again."""

from __future__ import annotations

import sys
import weakref
from importlib.metadata import PackageNotFoundError, version
from threading import Lock
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics, trace

from session_router.core.checking import check_kind
from session_router.router import Router
from session_router_otel.conventions import SCOPE
from session_router_otel.metrics import Metrics
from session_router_otel.observer import TelemetryObserver

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Tracer, TracerProvider

_guard = Lock()
_instrumented: weakref.WeakKeyDictionary[Router, tuple[TelemetryObserver, Tracer, bool]] = weakref.WeakKeyDictionary()
_metrics: weakref.WeakKeyDictionary[Any, Metrics] = weakref.WeakKeyDictionary()
_with_processor: weakref.WeakSet[Any] = weakref.WeakSet()


def instrument(
    router: Router,
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    agent_spans: bool = True,
) -> None:
    """Make spans and metrics of what `router` decides. Asked again, it changes nothing.

    With the SDK of OpenTelemetry, its tracer provider also gets a `SessionSpanProcessor`. Set the provider up before.

    Args:
        router: The router.
        tracer_provider: Makes the spans; the global one unless given.
        meter_provider: Makes the instruments; the global one unless given.
        agent_spans: Whether the spans of agents and of model calls are made as well, process-wide, while no other instrumentation of
            LangChain makes them. The first router that asks says with which provider.

    Raises:
        ConfigurationError: It is no router.
    """
    check_kind(router, Router, key="router", rule="give a `session_router.Router`.")
    with _guard:
        if router in _instrumented:
            return
        tracers = tracer_provider or trace.get_tracer_provider()
        meters = meter_provider or metrics.get_meter_provider()
        tracer = tracers.get_tracer(SCOPE, _version())
        if meters not in _metrics:
            # Instruments of one name exist once: routers of one provider share them.
            _metrics[meters] = Metrics(meters.get_meter(SCOPE, _version()))
        observer = TelemetryObserver(router, tracer, _metrics[meters])
        _metrics[meters].routers.add(router)
        _instrumented[router] = observer, tracer, agent_spans
        _add_processor(tracers)
        router.observers = (*router.observers, observer)
        _switch_agent_spans()


def uninstrument(router: Router) -> None:
    """Stop making spans and metrics of what `router` decides; what was counted stays counted."""
    with _guard:
        observer, _tracer, _agent_spans = _instrumented.pop(router, (None, None, False))
        router.observers = tuple(one for one in router.observers if one is not observer)
        for made in _metrics.values():
            made.routers.discard(router)
        _switch_agent_spans()


def _switch_agent_spans() -> None:
    wanting = [(router, tracer) for router, (_, tracer, agent_spans) in _instrumented.items() if agent_spans]
    if not wanting and "session_router_otel.agents" not in sys.modules:
        return
    try:
        from session_router_otel import agents
        from session_router_otel.chats import Spans
    except ModuleNotFoundError as error:
        # Without LangChain there are no agents to see.
        if error.name is None or not error.name.startswith("lang"):
            raise
        return
    if wanting:
        agents.switch_on(Spans(wanting[0][1], tuple(weakref.proxy(router) for router, _ in wanting)))
    else:
        agents.switch_off()


def _add_processor(tracers: TracerProvider) -> None:
    add = getattr(tracers, "add_span_processor", None)
    if add is None or tracers in _with_processor:
        return
    from session_router_otel.processor import SessionSpanProcessor

    add(SessionSpanProcessor())
    _with_processor.add(tracers)


def _version() -> str | None:
    try:
        return version("session-router")
    except PackageNotFoundError:
        return None

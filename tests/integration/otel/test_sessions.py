"""The session on every span, and sampling that keeps sessions whole."""

from __future__ import annotations

import subprocess
import sys
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openinference.instrumentation import using_session
from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from session_router.errors import ConfigurationError
from session_router_otel import SessionSampler, SessionSpanProcessor, exporting, instrument, session, uninstrument
from session_router_otel.lock_watch import REMEMBERED, LockWatch
from support.telemetry import Exported
from values import SESSION, call_of, human, router

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

SHARES = st.floats(0.0, 1.0)
SESSIONS = st.uuids().map(str)


def told(exported: Exported) -> set[tuple[Any, Any]]:
    return {((one.attributes or {}).get("session.id"), (one.attributes or {}).get("gen_ai.conversation.id")) for one in exported.spans}


def test_every_span_in_a_session_is_its_own(exported: Exported) -> None:
    one = router()
    with exported.of(one):
        tracer = exported.tracers.get_tracer("the application")
        with session("S"), tracer.start_as_current_span("outer"):
            one.route(call_of(human("a")))
            tracer.start_span("inner").end()
    assert len(exported.spans) == 3
    assert told(exported) == {("S", "S")}


def test_the_context_of_openinference_is_understood(exported: Exported) -> None:
    one = router()
    with exported.of(one), using_session("S"):
        one.route(call_of(human("a")))
    assert told(exported) == {("S", "S")}


def test_what_a_span_brings_along_stays(exported: Exported) -> None:
    with exported.of(router()), session("S"):
        exported.tracers.get_tracer("x").start_span("x", attributes={"session.id": "other"}).end()
    assert told(exported) == {("other", "S")}


def test_outside_of_sessions_nothing_is_added(exported: Exported) -> None:
    with exported.of(router()):
        exported.tracers.get_tracer("x").start_span("x").end()
    assert told(exported) == {(None, None)}


def test_a_session_without_a_name_has_the_routers_id(exported: Exported) -> None:
    one = router()
    with exported.of(one):
        one.route(call_of(human("a")))
        one.route(call_of(human("a"), session=None))
    assert told(exported) == {(SESSION, SESSION), (None, None)}


def test_one_provider_gets_one_processor(exported: Exported) -> None:
    with exported.of(router(), router()):
        processors = exported.tracers._active_span_processor._span_processors
    assert sum(isinstance(one, SessionSpanProcessor) for one in processors) == 1


@given(names=st.lists(SESSIONS, min_size=1), less=SHARES, more=SHARES)
def test_what_a_smaller_share_keeps_a_larger_one_keeps(names: list[str], less: float, more: float) -> None:
    less, more = sorted((less, more))
    small, large = SessionSampler(less), SessionSampler(more)
    assert all(large.keeps(name) for name in names if small.keeps(name))
    assert all(SessionSampler(1.0).keeps(name) and not SessionSampler(0.0).keeps(name) for name in names)


def test_the_share_is_about_the_share() -> None:
    names = [str(uuid.UUID(int=number)) for number in range(10_000)]
    kept = sum(map(SessionSampler(0.25).keeps, names))
    assert abs(kept - 2_500) < 6 * (10_000 * 0.25 * 0.75) ** 0.5


def whole(sampler: Any, names: list[str]) -> set[int]:
    """Route three calls of each session, each a trace of its own; return how many spans of a session were kept."""
    exported = Exported(tracers=TracerProvider(sampler=sampler))
    one = router()
    with exported.of(one):
        for turn in range(3):
            for name in names:
                with session(name), exported.tracers.get_tracer("the application").start_as_current_span("turn"):
                    one.route(call_of(human("a"), now=1_000.0 + turn))
    kept = [sum((span.attributes or {}).get("session.id") == name for span in exported.spans) for name in names]
    return set(kept)


def test_a_session_is_kept_whole_or_not_at_all() -> None:
    names = [str(uuid.UUID(int=number)) for number in range(40)]
    assert whole(SessionSampler(0.5), names) == {0, 6}


def test_sampling_by_trace_splits_sessions() -> None:
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    names = [str(uuid.UUID(int=number)) for number in range(40)]
    assert whole(ParentBased(TraceIdRatioBased(0.5)), names) - {0, 6}


def kept(sampler: SessionSampler, *, remote: bool, sampled: bool, name: str | None) -> bool:
    flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    parent = trace.set_span_in_context(NonRecordingSpan(SpanContext(1, 2, remote, flags)), contexts.Context())
    attributes = None if name is None else {"session.id": name}
    return sampler.should_sample(parent, 1, "x", attributes=attributes).decision.is_sampled()


@pytest.mark.parametrize("sampled", [True, False])
def test_whom_a_sampler_follows(sampled: bool) -> None:
    sampler, opposite = SessionSampler(0.0 if sampled else 1.0), not sampled
    assert kept(sampler, remote=False, sampled=sampled, name="S") is sampled
    assert kept(sampler, remote=True, sampled=sampled, name="S") is opposite
    assert kept(sampler, remote=True, sampled=sampled, name=None) is sampled
    assert kept(SessionSampler(0.0 if sampled else 1.0, follow_remote=True), remote=True, sampled=sampled, name="S") is sampled


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan"), "half", True])
def test_a_share_is_a_share(share: Any) -> None:
    with pytest.raises(ConfigurationError, match="share"):
        SessionSampler(share)


def test_a_router_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="router"):
        instrument("router")  # type: ignore[arg-type]


def test_switching_off_what_was_never_on_is_nothing() -> None:
    uninstrument(router())


def test_locked_sessions_are_remembered_up_to_a_number() -> None:
    watch = LockWatch()
    for number in range(REMEMBERED + 50):
        assert watch.seen(f"{number}", "tool_results_unread") == "lock.acquired"  # type: ignore[arg-type]
    assert len(watch) == REMEMBERED
    assert watch.seen("0", "boundary") is None  # type: ignore[arg-type]
    assert watch.seen(f"{REMEMBERED}", "boundary") == "lock.released"  # type: ignore[arg-type]


class Stuck(SpanExporter):
    """A collector that accepts what it is sent, and does not answer until it is told to."""

    def __init__(self) -> None:
        self.asked, self.told = Event(), Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        del spans
        self.asked.set()
        self.told.wait(100)
        return SpanExportResult.SUCCESS


def test_a_collector_that_never_answers_holds_nobody_up() -> None:
    stuck, tracers, one = Stuck(), TracerProvider(), router()
    tracers.add_span_processor(BatchSpanProcessor(stuck))
    instrument(one, tracer_provider=tracers, agent_spans=False)
    # More than the queue has room for; what does not fit is dropped.
    for number in range(3_000):
        one.route(call_of(human("a"), now=1_000.0 + number))
    assert stuck.asked.is_set()
    stuck.told.set()
    uninstrument(one)
    tracers.shutdown()


def test_a_collector_that_is_asked_at_once_holds_up_who_routes() -> None:
    stuck, tracers, one = Stuck(), TracerProvider(), router()
    tracers.add_span_processor(SimpleSpanProcessor(stuck))
    instrument(one, tracer_provider=tracers, agent_spans=False)
    routing = Thread(target=lambda: one.route(call_of(human("a"))))
    routing.start()
    assert stuck.asked.wait(100)
    assert routing.is_alive()
    stuck.told.set()
    routing.join()
    uninstrument(one)
    tracers.shutdown()


def test_headers_are_sent_with_spans_and_metrics() -> None:
    heard: list[tuple[str, str | None]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            heard.append((self.path, self.headers["x-key"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        Thread(target=server.serve_forever).start()
        providers, one = exporting(f"http://127.0.0.1:{server.server_port}", headers={"x-key": "k"}), router()
        instrument(one, tracer_provider=providers.tracers, meter_provider=providers.meters, agent_spans=False)
        one.route(call_of(human("a")))
        uninstrument(one)
        providers.shutdown()
        server.shutdown()
    assert sorted(set(heard)) == [("/v1/metrics", "k"), ("/v1/traces", "k")]


def test_exporting_makes_providers_that_stop() -> None:
    providers = exporting("http://127.0.0.1:9", share=0.0)
    with providers.tracers.get_tracer("x").start_as_current_span("x") as span:
        assert not span.is_recording()
    providers.shutdown()
    assert exporting("http://127.0.0.1:9", with_metrics=False).meters is None


@pytest.mark.parametrize("name", ["exporting", "SessionSampler", "SessionSpanProcessor"])
def test_what_needs_the_sdk_says_so(name: str) -> None:
    script = f"""
import sys
sys.modules["opentelemetry.sdk"] = sys.modules["opentelemetry.exporter"] = None
import session_router_otel
from session_router.errors import MissingExtra
try:
    session_router_otel.{name}
except MissingExtra as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)})
    assert "pip install 'session-router[otel]'" in ran.stdout


def test_a_router_that_only_the_api_watches_still_routes() -> None:
    script = """
import sys
sys.modules["opentelemetry.sdk"] = None
from session_router_otel import instrument
from values import call_of, human, router
one = router()
instrument(one, agent_spans=False)
print(one.route(call_of(human("a"))).action.value, "langgraph" in sys.modules)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)})
    assert ran.stdout.split() == ["keep", "False"]


def test_what_was_patched_is_put_back() -> None:
    from langchain_core.language_models import BaseChatModel
    from langgraph.pregel import Pregel

    before = Pregel.stream, Pregel.astream, BaseChatModel.agenerate
    one, two = router(), router()
    exported = Exported()
    with exported.of(one):
        with exported.of(two):
            assert Pregel.stream is not before[0]
        assert Pregel.stream is not before[0]
    assert (Pregel.stream, Pregel.astream, BaseChatModel.agenerate) == before
    with exported.of(one, agent_spans=False):
        assert (Pregel.stream, Pregel.astream, BaseChatModel.agenerate) == before

"""What telemetry adds to a decision: without an SDK, when the span is dropped, when it is recorded; and what a dead collector adds."""

from __future__ import annotations

import gc
import logging
import statistics
import time
import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from _figure import figure, is_quick, missing, say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from session_router import Call, Decision, Outcome, Router

FIGURES = [
    "overhead_us_nosdk",
    "overhead_us_unsampled",
    "overhead_us_recorded",
    "outcome_us_recorded",
    "dead_collector",
    "dead_collector_thread",
    "bytes_per_session",
]
DEAD = "http://127.0.0.1:9"
"""The discard port: nobody listens there."""
BATCH = 100
COLLECTED = 10


def new_router() -> Router:
    from session_router import Prices, Router

    prices = {"fast": Prices(input=0.1, output=0.4), "middle": Prices(input=0.5, output=2), "strong": Prices(input=3, output=15)}
    return Router({name: f"openai:sim-{name}" for name in prices}, prices=prices, key=b"benchmark" * 4)


def plays(router: Router, turns: int) -> Sequence[tuple[Call, Decision, Outcome]]:
    """Route a session: each turn a boundary and two calls under a lock; return what observers are told of it."""
    from session_router.core.call import Call, Outcome
    from session_router.core.need import Question
    from session_router.core.pricing import Usage
    from session_router.core.session import SessionId
    from session_router.core.step import Ask, Role, Step
    from session_router.core.transcript import Transcript

    told: list[tuple[Call, Decision, Outcome]] = []
    transcript, now = Transcript(), 1_000.0
    for turn in range(turns):
        steps = [Step(role=Role.HUMAN, digest=b"h%015d" % turn, tokens=60)]
        for number in range(3):
            transcript = transcript.extended(steps)
            question = Question(text="Where is my order?", turn=transcript.turn, tools=2)
            call = Call(transcript=transcript, question=question, now=now, session=SessionId("5e" * 32))
            decision = router.route(call)
            asks = (Ask(id=f"{turn}-{number}"),) if number < 2 else ()  # the last call answers
            outcome = Outcome(at=now + 1, model=decision.model, usage=Usage(input=transcript.tokens, output=50), asks=asks)
            router.observe(decision, outcome)
            told.append((call, decision, outcome))
            steps = [Step(role=Role.AI, digest=b"a%013d%02d" % (turn, number), tokens=50, asks=asks, author=decision.model)]
            steps += [Step(role=Role.TOOL, digest=b"t%013d%02d" % (turn, number), tokens=90, answers=(ask.id,)) for ask in asks]
            now += 2
        transcript = transcript.extended(steps)
    return told


def microseconds(
    act: Callable[[Any], None],
    told: Sequence[Any],
    rounds: int,
    *,
    collect: Callable[[], object] = int,
    clock: Callable[[], float] = time.thread_time,
) -> list[float]:
    """Return the time of one act, for each of `rounds` batches.

    Args:
        act: What is timed.
        told: What it is told, one after the other.
        rounds: How many batches.
        collect: Collects the metrics, outside of the timed part, every `COLLECTED` batches.
        clock: The time of this thread unless given, so that others on the machine do not count.
    """
    items = [told[index % len(told)] for index in range(BATCH)]
    times: list[float] = []
    gc.disable()
    for number in range(rounds):
        if number % COLLECTED == 0:
            collect()
        began = clock()
        for item in items:
            act(item)
        times.append((clock() - began) / BATCH * 1e6)
    gc.enable()
    return times


def deciding(router: Router) -> Callable[[Any], None]:
    def act(one: tuple[Call, Decision, Outcome]) -> None:
        router._tell("on_call", one[0])
        router._tell("on_decision", one[1])

    return act


def ending(router: Router) -> Callable[[Any], None]:
    def act(one: tuple[Call, Decision, Outcome]) -> None:
        router._tell("on_outcome", one[1], one[2])

    return act


def watched(tracers: Any, meters: Any) -> Router:
    from session_router_otel import instrument

    router = new_router()
    instrument(router, tracer_provider=tracers, meter_provider=meters, agent_spans=False)
    return router


def sdk(share: float, exporter: Any) -> tuple[Router, Callable[[], object]]:
    """Return a router that the SDK watches, and what collects its metrics."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from session_router_otel import SessionSampler

    tracers, reader = TracerProvider(sampler=SessionSampler(share)), InMemoryMetricReader()
    tracers.add_span_processor(BatchSpanProcessor(exporter))
    return watched(tracers, MeterProvider(metric_readers=[reader])), reader.get_metrics_data


def discarding() -> Any:
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    class Discarding(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            del spans
            return SpanExportResult.SUCCESS

    return Discarding()


def bytes_per_session(sessions: int) -> tuple[float, float]:
    """Return how much memory a further session takes, of ours and of a variant that never forgets."""
    from session_router_otel import lock_watch

    def grown() -> float:
        router, _ = sdk(0.0, discarding())
        told = plays(router, 1)
        act = deciding(router)
        locked = next(one for one in told if one[1].lock is not None)

        def run(first: int, last: int) -> None:
            for number in range(first, last):
                act((locked[0], replace(locked[1], session_id=f"{number:064x}"), locked[2]))  # type: ignore[arg-type]

        half = sessions // 2
        tracemalloc.start()
        run(0, half)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        run(half, sessions)
        gc.collect()
        after = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return (after - before) / half

    ours = grown()
    lock_watch.REMEMBERED = 10**9  # type: ignore[misc]
    return ours, grown()


def main() -> None:
    rounds, sessions = (100, 40_000) if is_quick(__doc__, means="fewer rounds") else (600, 100_000)
    logging.disable(logging.CRITICAL)
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.metrics import NoOpMeterProvider
        from opentelemetry.trace import NoOpTracerProvider

        import session_router_otel  # noqa: F401 -- whether it is there
    except ImportError as error:
        missing(FIGURES, f"not installed: {error}")
    told = plays(new_router(), 20)
    n = rounds * BATCH
    dead = sdk(1.0, OTLPSpanExporter(endpoint=f"{DEAD}/v1/traces", timeout=1))
    kept = sdk(1.0, discarding())
    subjects = {"nosdk": (watched(NoOpTracerProvider(), NoOpMeterProvider()), int), "unsampled": sdk(0.0, discarding()), "recorded": kept}
    times: dict[str, list[float]] = {
        name: [] for name in (*subjects, "uncollected", "outcome", "alive", "dead", "alive_thread", "dead_thread")
    }
    uncollected, _ = sdk(0.0, discarding())
    # In turns, so that whatever else the machine does meets all alike.
    for _ in range(10):
        for name, (router, collect) in subjects.items():
            times[name] += microseconds(deciding(router), told, rounds // 10, collect=collect)
        times["uncollected"] += microseconds(deciding(uncollected), told, rounds // 10)
        times["outcome"] += microseconds(ending(kept[0]), told, rounds // 10, collect=kept[1])
        for name, (router, collect) in {"alive": kept, "dead": dead}.items():
            times[name] += microseconds(deciding(router), told, rounds // 10, collect=collect, clock=time.perf_counter)
            times[f"{name}_thread"] += microseconds(deciding(router), told, rounds // 10, collect=collect)
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, median in medians.items():
        say(f"{name:>12}: {median:6.1f} us a call, the quickest batch {min(times[name]):6.1f}")
    note = "time of the thread, median over batches of 100: spans, sessions, locks and metrics"
    for name, target in (("nosdk", 10), ("unsampled", 15), ("recorded", 60)):
        figure(f"overhead_us_{name}", medians[name], unit="us", n=n, target=f"<= {target}", low=min(times[name]), note=note)
    note = "unsampled, when more than 4,096 decisions come between two collections of the metrics: the histogram is no longer spared"
    figure("overhead_us_uncollected", medians["uncollected"], unit="us", n=n, low=min(times["uncollected"]), note=note)
    figure("outcome_us_recorded", medians["outcome"], unit="us", n=n, low=min(times["outcome"]), note="metrics of an outcome")
    ratio = medians["dead"] / medians["alive"]
    note = (
        "wall time with a collector that refuses connections, over that with an exporter that discards at once; spans come without a pause"
    )
    figure("dead_collector", ratio, unit="ratio of p50", n=n, target="<= 1.25", peer={"discarding_us": medians["alive"]}, note=note)
    ratio = medians["dead_thread"] / medians["alive_thread"]
    note = "the same in time of the thread that routes: what waits for a core is left out, as is the thread that exports"
    peer = {"discarding_us": medians["alive_thread"]}
    figure("dead_collector_thread", ratio, unit="ratio of p50", n=n, target="<= 1.1", peer=peer, note=note)
    ours, endless = bytes_per_session(sessions)
    note = f"memory that a session takes, between the {sessions // 2:,}th and the {sessions:,}th; the peer remembers every locked session"
    figure("bytes_per_session", ours, unit="bytes", n=sessions, target="<= 1", peer={"never_forgets": endless}, note=note)


if __name__ == "__main__":
    main()

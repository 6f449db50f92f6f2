"""Spans and metrics in memory, and what holds for all of them."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from session_router_otel import instrument, uninstrument

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from opentelemetry.sdk.trace import ReadableSpan

    from session_router import Router

ROUTE = "session_router.route"


@dataclass
class Exported:
    """What was exported in a test."""

    spans_exporter: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)
    reader: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)
    tracers: TracerProvider = field(default_factory=TracerProvider)

    def __post_init__(self) -> None:
        self.tracers.add_span_processor(SimpleSpanProcessor(self.spans_exporter))
        self.meters = MeterProvider(metric_readers=[self.reader])

    @contextmanager
    def of(self, *routers: Router, **settings: Any) -> Iterator[Exported]:
        for router in routers:
            instrument(router, tracer_provider=self.tracers, meter_provider=self.meters, **settings)
        try:
            yield self
        finally:
            for router in routers:
                uninstrument(router)

    @property
    def spans(self) -> list[ReadableSpan]:
        """Every span that has ended, by its beginning."""
        return sorted(self.spans_exporter.get_finished_spans(), key=lambda span: span.start_time or 0)

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name.split()[0] == name]

    @property
    def routes(self) -> list[ReadableSpan]:
        return self.named(ROUTE)

    def points(self) -> dict[str, list[tuple[dict[str, Any], float]]]:
        """Collect the metrics: by name, labels with the value, or with the number of values of a histogram."""
        data = self.reader.get_metrics_data()
        found: dict[str, list[tuple[dict[str, Any], float]]] = {}
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    points = [(dict(point.attributes), _value(point)) for point in metric.data.data_points]
                    found.setdefault(metric.name, []).extend(points)
        return found

    def scopes(self) -> list[tuple[str, str]]:
        """Collect the metrics: who makes each."""
        data = self.reader.get_metrics_data()
        resources = data.resource_metrics if data is not None else ()
        return sorted({(scope.scope.name, one.name) for about in resources for scope in about.scope_metrics for one in scope.metrics})

    def total(self, name: str, **labels: str) -> float:
        """Sum a metric over the points that carry `labels`, named without the prefix and with `_` for `.`."""
        wanted = {f"session_router.{key.replace('_', '.')}": value for key, value in labels.items()}
        return sum(value for attributes, value in self.points().get(name, []) if wanted.items() <= attributes.items())

    def bytes(self) -> bytes:
        """Return all that a collector would be sent."""
        spans = encode_spans(self.spans).SerializeToString()
        data = self.reader.get_metrics_data()
        return spans + (b"" if data is None else encode_metrics(data).SerializeToString())

    def check(self) -> None:
        """Assert that spans, events and metrics are those of the schema."""
        for span in self.spans:
            assert_conforms("spans", span.name.split()[0], span.attributes or {})
            for event in span.events:
                assert_conforms("events", event.name, event.attributes or {})
        for name, points in self.points().items():
            for labels, _ in points:
                assert_conforms("metrics", name, labels)


def _value(point: Any) -> float:
    value: float = point.value if hasattr(point, "value") else point.count
    return value


@cache
def schema() -> dict[str, Any]:
    """Return the schema that ships with the package."""
    loaded: dict[str, Any] = json.loads(files("session_router_otel").joinpath("schema.json").read_text(encoding="utf-8"))
    return loaded


def assert_conforms(kind: str, name: str, attributes: Mapping[str, Any]) -> None:
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in attributes.items()}
    problems = [error.message for error in Draft202012Validator(schema()[kind][name]).iter_errors(plain)]
    assert problems == [], f"{name}: {problems}"


def facts(span: ReadableSpan) -> dict[str, Any]:
    """Return the attributes of ours, without the prefix."""
    return {key.removeprefix("session_router."): value for key, value in (span.attributes or {}).items()}

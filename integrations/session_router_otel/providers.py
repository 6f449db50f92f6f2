"""Providers that export by OTLP, for applications that have none yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from session_router_otel.sampling import SessionSampler

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Exporting:
    """Providers of one service.

    Attributes:
        tracers: For `instrument(tracer_provider=...)`, and for other instrumentations.
        meters: For `instrument(meter_provider=...)`; `None` when metrics are not exported.
    """

    tracers: TracerProvider
    meters: MeterProvider | None

    def shutdown(self) -> None:
        """Export what is left, and stop."""
        self.tracers.shutdown()
        if self.meters is not None:
            self.meters.shutdown()


def exporting(
    endpoint: str | None = None,
    *,
    service: str = "session-router",
    share: float = 1.0,
    resource: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    with_metrics: bool = True,
) -> Exporting:
    """Return providers that export in the background by OTLP over HTTP: who routes never waits for a collector.

    Args:
        endpoint: Base address, such as `http://127.0.0.1:4318`; `OTEL_EXPORTER_OTLP_ENDPOINT` unless given.
        service: `service.name` of the resource.
        share: Of sessions whose spans are kept, in [0, 1].
        resource: Further attributes of the resource.
        headers: Sent with every export, such as a key of the backend; `OTEL_EXPORTER_OTLP_HEADERS` unless given.
        with_metrics: Whether metrics are exported too.

    Raises:
        ConfigurationError: The share is no such number.
    """
    about = Resource.create({"service.name": service, **(resource or {})})
    base = None if endpoint is None else endpoint.rstrip("/")
    sent = None if headers is None else dict(headers)
    tracers = TracerProvider(sampler=SessionSampler(share), resource=about)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=base and f"{base}/v1/traces", headers=sent)))
    if not with_metrics:
        return Exporting(tracers=tracers, meters=None)
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=base and f"{base}/v1/metrics", headers=sent))
    return Exporting(tracers=tracers, meters=MeterProvider(metric_readers=[reader], resource=about))

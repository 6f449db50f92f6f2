"""Sessions in OpenTelemetry: a span for every decision, metrics, and what keeps the spans of a session together."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from session_router_otel.instrumenting import instrument, uninstrument
from session_router_otel.sessions import session

if TYPE_CHECKING:
    from session_router_otel.processor import SessionSpanProcessor
    from session_router_otel.providers import Exporting, exporting
    from session_router_otel.sampling import SessionSampler

_OF_THE_SDK = {"Exporting": "providers", "SessionSampler": "sampling", "SessionSpanProcessor": "processor", "exporting": "providers"}

__all__ = [
    "Exporting",
    "SessionSampler",
    "SessionSpanProcessor",
    "exporting",
    "instrument",
    "session",
    "uninstrument",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 -- each name has its own type, stated above for type checkers
    """Import what needs the SDK on first use: spans and metrics need the API only."""
    if name not in _OF_THE_SDK:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    try:
        module = importlib.import_module(f"{__name__}.{_OF_THE_SDK[name]}")
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("opentelemetry"):
            raise
        from session_router.errors import MissingExtra

        raise MissingExtra(extra="otel", package="opentelemetry-sdk", feature=name) from error
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)

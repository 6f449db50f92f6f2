"""Other instrumentations of LangChain: which are active, and where the span is that ours must nest under."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as contexts
from opentelemetry import trace

if TYPE_CHECKING:
    from opentelemetry.context import Context

OPENINFERENCE: Final = "openinference.instrumentation.langchain"
GENAI: Final = "opentelemetry.instrumentation.genai.langchain"
TRACELOOP: Final = "opentelemetry.instrumentation.langchain"

_CLASSES: Final = {OPENINFERENCE: "LangChainInstrumentor", GENAI: "LangChainInstrumentor", TRACELOOP: "LangchainInstrumentor"}
_WITH_METRICS: Final = (GENAI, TRACELOOP)


def makes_spans() -> bool:
    """Whether somebody else makes the spans of agents and of model calls."""
    return any(map(_is_active, _CLASSES))


def makes_metrics() -> bool:
    """Whether somebody else records the metrics of model calls."""
    return any(map(_is_active, _WITH_METRICS))


def parent_context() -> Context | None:
    """Return the context in which a span of ours has the right parent; `None` for the current one.

    OpenInference keeps its spans out of the context, and tells them on request.
    """
    if not _is_active(OPENINFERENCE):
        return None
    span = sys.modules[OPENINFERENCE].get_current_span()
    return None if span is None else trace.set_span_in_context(span, contexts.get_current())


def _is_active(module: str) -> bool:
    # Nobody can have switched on what nobody has imported.
    loaded = sys.modules.get(module)
    kind: Any = getattr(loaded, _CLASSES[module], None)
    # There is one instance of each, and before the first one there is none that is active.
    return getattr(kind, "_instance", None) is not None and bool(kind._instance.is_instrumented_by_opentelemetry)  # noqa: SLF001 -- has no public name

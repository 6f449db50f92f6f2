"""Spans of model calls, where no other instrumentation makes them."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.tracers.context import register_configure_hook
from opentelemetry import context as contexts
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY as SUPPRESSED  # pyright: ignore[reportPrivateUsage] -- the key that all instrumentations share
from opentelemetry.trace import SpanKind

from session_router.core.model import route_of
from session_router.core.pricing import call_cost
from session_router_langchain.authors import provider_id_of
from session_router_langchain.outcomes import reasoning_of, usage_of
from session_router_langchain.witness import answer_in
from session_router_otel import content
from session_router_otel import conventions as names
from session_router_otel.endpoints import PROVIDERS
from session_router_otel.instrumentors import makes_spans
from session_router_otel.runs import chosen_here, current_run, fail

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.outputs import LLMResult
    from opentelemetry.trace import Span, Tracer
    from opentelemetry.util.types import AttributeValue

    from session_router.core.pricing import Prices
    from session_router.router import Router
    from session_router_otel.runs import Chosen, Run


@dataclass(frozen=True, slots=True)
class Spans:
    """Who makes the spans of agents and of model calls, and whose prices are known."""

    tracer: Tracer
    routers: tuple[Router, ...]


class ChatSpans(BaseCallbackHandler):
    """Sees every model call of the process while it is switched on.

    Attributes:
        spans: Who makes the spans; `None` while it is switched off.
    """

    run_inline = True

    def __init__(self) -> None:
        super().__init__()
        self.spans: Spans | None = None
        self._open: dict[UUID, tuple[Span, Run | None, Chosen | None]] = {}
        self._guard = Lock()

    def on_chat_model_start(  # noqa: D102 -- as in the base class
        self,
        serialized: dict[str, Any],  # noqa: ARG002 -- as in the base class
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **_: Any,  # noqa: ANN401 -- as in the base class
    ) -> None:
        if (spans := self.spans) is None or makes_spans() or contexts.get_value(SUPPRESSED):
            return
        told, run = metadata or {}, current_run()
        model, provider = told.get("ls_model_name"), told.get("ls_provider")
        attributes: dict[str, AttributeValue] = {names.SPAN_KIND: names.LLM, names.OPERATION_NAME: names.CHAT}
        if isinstance(provider, str):
            attributes[names.PROVIDER_NAME] = PROVIDERS.get(provider, provider)
        if isinstance(model, str):
            attributes[names.REQUEST_MODEL] = model
        if (thread := told.get("thread_id")) is not None:
            attributes[names.SESSION_ID] = attributes[names.CONVERSATION_ID] = str(thread)
        span = spans.tracer.start_span(f"{names.CHAT} {model}" if model else names.CHAT, kind=SpanKind.CLIENT, attributes=attributes)
        if content.wanted() and span.is_recording():
            span.set_attribute(names.INPUT_MESSAGES, content.as_json(messages[0]))
        with self._guard:
            self._open[run_id] = span, run, chosen_here()
        if run is not None:
            run.opened(run_id, span)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:  # noqa: ANN401 -- as in the base class
        """See the answer."""
        span, run, chosen = self._closed(run_id)
        if span is None:
            return
        message = answer_in(response)
        if message is not None and span.is_recording():
            span.set_attributes(_answered(message, () if self.spans is None else self.spans.routers, chosen))
            if content.wanted():
                span.set_attribute(names.OUTPUT_MESSAGES, content.as_json([message]))
                if run is not None and message.text:
                    run.answered(message.text)
        span.end()

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:  # noqa: ANN401 -- as in the base class
        """See the failure; a stream that nobody reads to its end is none."""
        span, _run, _chosen = self._closed(run_id)
        if span is None:
            return
        if not isinstance(error, GeneratorExit):
            fail(span, error)
        span.end()

    def run_ended(self, run: Run, error: BaseException | None) -> None:
        """End the calls of `run` whose end nobody reported."""
        left = run.end(error)
        with self._guard:
            for run_id in left:
                self._open.pop(run_id, None)

    def _closed(self, run_id: UUID) -> tuple[Span | None, Run | None, Chosen | None]:
        with self._guard:
            span, run, chosen = self._open.pop(run_id, (None, None, None))
        if run is not None:
            run.closed(run_id)
        return span, run, chosen


def _answered(message: AIMessage, routers: Sequence[Router], chosen: Chosen | None) -> dict[str, AttributeValue]:
    found: dict[str, AttributeValue] = {}
    metadata = message.response_metadata
    provider_id = provider_id_of(message)
    if provider_id is not None:
        found[names.RESPONSE_MODEL] = provider_id
    if isinstance(reason := metadata.get("finish_reason") or metadata.get("stop_reason"), str):
        found[names.FINISH_REASONS] = [reason]
    usage = usage_of(message)
    if usage is None:
        return found
    found |= {names.INPUT_TOKENS: usage.input, names.OUTPUT_TOKENS: usage.output}
    further = {
        names.CACHE_READ_TOKENS: usage.cached,
        names.CACHE_CREATION_TOKENS: usage.written,
        names.REASONING_TOKENS: reasoning_of(message),
    }
    found |= {name: tokens for name, tokens in further.items() if tokens}
    if provider_id is not None and (prices := _prices_of(provider_id, routers, chosen)) is not None:
        found[names.COST_BILLED] = call_cost(prices, usage)
    return found


def _prices_of(provider_id: str, routers: Sequence[Router], chosen: Chosen | None) -> Prices | None:
    """Return the prices of the route that answers under an id; of several, of the one that was chosen."""
    if chosen is not None and (router := chosen.router()) is not None:
        name = route_of(provider_id, router.models, chosen=chosen.model)
        if name is not None and (prices := router.models[name].prices) is not None:
            return prices
    for router in routers:
        name = route_of(provider_id, router.models)
        if name is not None and (prices := router.models[name].prices) is not None:
            return prices
    return None


HANDLER: Final = ChatSpans()
"""One a process: LangChain cannot be told to forget a handler, so this one is switched on and off."""

_hook: ContextVar[ChatSpans | None] = ContextVar("session_router_otel.chats", default=HANDLER)
register_configure_hook(_hook, inheritable=True)

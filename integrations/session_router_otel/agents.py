"""Runs of LangGraph: their session in the context, and the span of the agent where no other instrumentation makes one.

A run is a generator. Its context is entered before each step and left after it, so that it never leaks to whoever reads the stream.
"""

from __future__ import annotations

from contextlib import aclosing, closing
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langgraph.errors import GraphBubbleUp
from langgraph.pregel import Pregel  # pyright: ignore[reportMissingTypeStubs] -- as langgraph ships it
from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.trace import SpanKind

from session_router_langchain.names import current_config
from session_router_otel import content
from session_router_otel import conventions as names
from session_router_otel.chats import HANDLER, Spans
from session_router_otel.instrumentors import makes_spans
from session_router_otel.runs import Run, current_run, fail, within_run
from session_router_otel.sessions import session_in, within

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Mapping

    from opentelemetry.context import Context
    from opentelemetry.trace import Span

_UNNAMED: Final = "LangGraph"
_originals: dict[tuple[type[Any], str], Any] = {}


def switch_on(spans: Spans) -> None:
    """Begin to make spans; what runs already goes on as it began."""
    HANDLER.spans = spans
    if not _originals:
        for owner, name, around in ((Pregel, "stream", _stream), (Pregel, "astream", _astream), (BaseChatModel, "agenerate", _agenerate)):
            _originals[owner, name] = original = getattr(owner, name)
            setattr(owner, name, around(original))


def switch_off() -> None:
    """Stop making spans, and put back what was there; what others have put over it stays, and finds nothing to do."""
    HANDLER.spans = None
    for (owner, name), original in list(_originals.items()):
        if getattr(getattr(owner, name), "__wrapped__", None) is original:
            setattr(owner, name, original)
            del _originals[owner, name]


class _AgentRun:
    """One run of a graph: its context, and what ends with it."""

    def __init__(self, graph: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ANN401 -- a compiled graph
        config = args[1] if len(args) > 1 else kwargs.get("config")
        thread = _thread_of(graph, config)
        self.run, self.span = Run(around=current_run()), cast("Span | None", None)
        context: Context = contexts.get_current()
        if thread is not None and session_in() is None:
            context = within(thread, context)
        if (spans := HANDLER.spans) is not None and not makes_spans():
            self.span = _begun(spans, graph, args[0] if args else kwargs.get("input"), context)
            context = within_run(self.run, trace.set_span_in_context(self.span, context))
        self.context = context

    def end(self, error: BaseException | None) -> None:
        """End the span; a run that bubbles up, or whose reader went away, did not fail."""
        if error is None or isinstance(error, GraphBubbleUp | GeneratorExit):
            error = None
        HANDLER.run_ended(self.run, error)
        if self.span is None:
            return
        if error is not None:
            fail(self.span, error)
        if self.run.answer and content.wanted():
            self.span.set_attribute(names.OUTPUT_VALUE, self.run.answer)
        self.span.end()


def _begun(spans: Spans, graph: Any, value: object, context: Context) -> Span:  # noqa: ANN401 -- as above
    name = graph.name if isinstance(graph.name, str) and graph.name != _UNNAMED else ""
    attributes = {names.SPAN_KIND: names.AGENT, names.OPERATION_NAME: names.INVOKE_AGENT, **({names.AGENT_NAME: name} if name else {})}
    title = f"{names.INVOKE_AGENT} {name}" if name else names.INVOKE_AGENT
    span = spans.tracer.start_span(title, context, SpanKind.INTERNAL, attributes)
    if content.wanted() and (text := _last_text(value)):
        span.set_attribute(names.INPUT_VALUE, text)
    return span


def _thread_of(graph: Any, config: Any) -> str | None:  # noqa: ANN401 -- as LangGraph has them
    """Return the thread of a run: as its config says, that of its graph, or that of the run around it."""
    for one in (config, graph.config, current_config()):
        configurable: Mapping[str, Any] = (one or {}).get("configurable") or {}
        if (thread := configurable.get("thread_id")) is not None:
            return str(thread)
    return None


def _last_text(value: object) -> str:
    messages: object = cast("Mapping[str, object]", value).get("messages") if isinstance(value, dict) else None
    if not isinstance(messages, list) or not messages:
        return ""
    last: object = cast("list[object]", messages)[-1]
    if isinstance(last, BaseMessage):
        return last.text
    if isinstance(last, tuple):
        return str(cast("tuple[object, ...]", last)[-1])
    return str(cast("Mapping[str, object]", last).get("content", "")) if isinstance(last, dict) else str(last)


def _stream(original: Callable[..., Iterator[Any]]) -> Callable[..., Generator[Any]]:
    @wraps(original)
    def stream(self: Any, *args: Any, **kwargs: Any) -> Generator[Any]:  # noqa: ANN401 -- as LangGraph has them
        if HANDLER.spans is None:
            yield from original(self, *args, **kwargs)
            return
        here = _AgentRun(self, args, kwargs)
        error: BaseException | None = None
        try:
            with closing(cast("Generator[Any]", original(self, *args, **kwargs))) as steps:
                while True:
                    token = contexts.attach(here.context)
                    try:
                        step = next(steps)
                    except StopIteration:
                        return
                    finally:
                        contexts.detach(token)
                    yield step
        except BaseException as raised:
            error = raised
            raise
        finally:
            here.end(error)

    return stream


def _astream(original: Callable[..., AsyncIterator[Any]]) -> Callable[..., AsyncGenerator[Any]]:
    @wraps(original)
    async def astream(self: Any, *args: Any, **kwargs: Any) -> AsyncGenerator[Any]:  # noqa: ANN401 -- as above
        if HANDLER.spans is None:
            async for step in original(self, *args, **kwargs):
                yield step
            return
        here = _AgentRun(self, args, kwargs)
        error: BaseException | None = None
        try:
            async with aclosing(cast("AsyncGenerator[Any]", original(self, *args, **kwargs))) as steps:
                while True:
                    token = contexts.attach(here.context)
                    try:
                        step = await anext(steps)
                    except StopAsyncIteration:
                        return
                    finally:
                        contexts.detach(token)
                    yield step
        except BaseException as raised:
            error = raised
            raise
        finally:
            here.end(error)

    return astream


def _agenerate(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    async def agenerate(self: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 -- as LangChain has them
        if HANDLER.spans is None:
            return await original(self, *args, **kwargs)
        # LangChain reports every end of a call but its cancellation.
        run = Run(around=current_run())
        token = contexts.attach(within_run(run))
        error: BaseException | None = None
        try:
            return await original(self, *args, **kwargs)
        except BaseException as raised:
            error = raised
            raise
        finally:
            contexts.detach(token)
            HANDLER.run_ended(run, error)

    return agenerate

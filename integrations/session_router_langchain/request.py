"""One call of the routing chat model: what was asked, with which tools and options, for whom."""

from __future__ import annotations

from contextlib import aclosing, closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from langchain_core.runnables import Runnable, RunnableConfig, ensure_config

from session_router.core.model import Capability
from session_router_langchain.authors import STAMP
from session_router_langchain.calls import INTERNAL_CALL
from session_router_langchain.handlers import handlers_in, with_handlers
from session_router_langchain.names import context_label, names_of
from session_router_langchain.narrowing import Narrowing
from session_router_langchain.outcomes import stamp_of
from session_router_langchain.relay import as_chunk
from session_router_langchain.replaying import stored_answer
from session_router_langchain.terms import NOTHING_BOUND
from session_router_langchain.witness import Untouched

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence

    from langchain_core.callbacks import BaseCallbackHandler, Callbacks
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage

    from session_router.core.cache_terms import CacheTerms
    from session_router.core.call import Call
    from session_router.core.decision import Decision
    from session_router.core.model import ModelName
    from session_router.core.transcript import Transcript
    from session_router_langchain.calls import Calls
    from session_router_langchain.delivery import DeliveryProbe
    from session_router_langchain.inspecting import Found

TOOL_OPTIONS = "session_router_tool_options"
"""Keyword under which `bind_tools` keeps what is meant for the chosen model's own `bind_tools`."""

_HOOKS = (".before_agent", ".before_model", ".after_model", ".after_agent")
"""How the nodes of `create_agent` end in which hooks of middleware run: what these ask a model, no human typed."""

_PASSED_ON = "tool_selection"
"""Middleware whose own calls pass on what a human has said, as it is; others write texts of what they were given to read."""

NEEDED_BY_METHOD = {"json_schema": Capability.STRUCTURED_OUTPUT, "function_calling": Capability.TOOLS}
"""What a method of structured output needs; without a method, every model has one that it can do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What holds for every call of a routing chat model.

    Attributes:
        tenant: Whose deployment.
        principal: The user or service.
        options: Keyword arguments that every call gets unless it brings its own.
        callbacks: Told of every call.
        tags: Put on every call.
        metadata: Put on every call.
    """

    tenant: str | None = None
    principal: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    callbacks: Callbacks = None
    tags: Sequence[str] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def config_of(self, config: RunnableConfig | None) -> RunnableConfig:
        """Complete the config of one call."""
        complete = ensure_config(config)
        complete["callbacks"] = with_handlers(complete.get("callbacks"), handlers_in(self.callbacks))
        complete["tags"] = sorted({*self.tags, *(complete.get("tags") or ())})
        complete["metadata"] = {**self.metadata, **(complete.get("metadata") or {})}
        return complete


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call on its way.

    Attributes:
        calls: The chat models, and what prepares requests for them.
        messages: The history.
        call: What is routed.
        narrowing: Makes it smaller where no model may see all of it.
        config: The application's config.
        tools: What was bound, raw.
        tool_options: What else the chosen model's `bind_tools` gets; `None` when it need not be called.
        options: Keyword arguments of the call.
        tenant: Whose deployment.
        renew: Makes the terms of the call anew.
        stored: The answer that is replayed in place of a model's; `None` where a model is asked.
        watch: Sees whether an answer that is streamed is changed in place; `None` where nobody need know.
    """

    calls: Calls
    messages: Sequence[BaseMessage]
    call: Call
    narrowing: Narrowing
    config: RunnableConfig
    tools: Sequence[Any] = ()
    tool_options: Mapping[str, Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    tenant: str | None = None
    renew: Callable[[], CacheTerms | None] = lambda: None
    stored: AIMessage | None = None
    watch: Untouched | None = None

    def is_intact(self) -> bool:
        """Whether the same would be asked about under the same terms, and nobody changes the answer: both may be changed in place."""
        return self.call.terms == self.renew() and (self.watch is None or self.watch.untouched)

    def own(self, probe: DeliveryProbe, message: AIMessage) -> AIMessage | None:
        """Return what the chosen model answered to what was asked; `None` where that is not certain."""
        return message if probe.untouched and self.is_intact() else None

    def watched(self) -> Request:
        """Return the same request, with somebody who sees whether its answer is changed in place, where that may be kept."""
        return self if self.call.terms is None else replace(self, watch=Untouched())

    def replaying(self, message: AIMessage) -> Request:
        """Return the same request, answered with `message`: the run that tells of it is made in the same ways."""
        return replace(self, stored=message, watch=None)

    def model(self, decision: Decision) -> BaseChatModel:
        """Return the chat model of `decision`."""
        return self.calls.models[decision.chosen()]

    def prepared(self, decision: Decision) -> Sequence[BaseMessage]:
        """Return the history as the chosen model can take it."""
        if self.stored is not None:
            return self.narrowing.messages
        return self.calls.prepare(self.narrowing.messages, self.narrowing.call, decision)

    def bound(self, decision: Decision) -> Runnable[Any, AIMessage]:
        """Return the chosen model with the tools as it takes them, or what replays a stored answer."""
        if self.stored is not None:
            return stored_answer(self.stored, self.calls.models.writer(decision), tools=self.tools)
        model = self.model(decision)
        if self.tool_options is None:
            return model
        return model.bind_tools(self.calls.prepare_tools(decision, self.tools), **self.tool_options)

    def config_for(self, decision: Decision, *handlers: BaseCallbackHandler) -> RunnableConfig:
        """Return the config of one attempt, with `handlers` told first and the decision in its metadata."""
        config = self.config.copy()
        first = handlers if self.watch is None else (self.watch, *handlers)
        config["callbacks"] = with_handlers(config.get("callbacks"), first, first=True)
        config["metadata"] = {**(config.get("metadata") or {}), STAMP: stamp_of(decision, decision.model if self.stored is None else None)}
        # A run id names one run: a model that takes over gets its own.
        self.config.pop("run_id", None)
        return config

    def options_for(self, decision: Decision) -> dict[str, Any]:
        """Return the keyword arguments of one attempt."""
        if self.stored is not None:
            return {}
        return {**self.options, **self.calls.partition(decision, self.options, tenant=self.tenant)}

    # Attempts: what a passage asks of the chosen model

    def invoke(self, decision: Decision, *probe: DeliveryProbe) -> AIMessage:
        """Ask the chosen model."""
        return self.bound(decision).invoke(self.prepared(decision), self.config_for(decision, *probe), **self.options_for(decision))

    async def ainvoke(self, decision: Decision, *probe: DeliveryProbe) -> AIMessage:
        """Ask the chosen model without blocking the event loop."""
        return await self.bound(decision).ainvoke(self.prepared(decision), self.config_for(decision, *probe), **self.options_for(decision))

    def stream(self, decision: Decision) -> Generator[AIMessageChunk]:
        """Stream from the chosen model."""
        stream = self.bound(decision).stream(self.prepared(decision), self.config_for(decision), **self.options_for(decision))
        with closing(cast("Generator[AIMessage]", stream)) as chunks:
            for chunk in chunks:
                yield as_chunk(chunk)

    async def astream(self, decision: Decision) -> AsyncGenerator[AIMessageChunk]:
        """Stream from the chosen model without blocking the event loop."""
        stream = self.bound(decision).astream(self.prepared(decision), self.config_for(decision), **self.options_for(decision))
        async with aclosing(cast("AsyncGenerator[AIMessage]", stream)) as chunks:
            async for chunk in chunks:
                yield as_chunk(chunk)

    def events(self, decision: Decision) -> Generator[Mapping[str, Any]]:
        """Stream events of version v3 from the chosen model."""
        bound: Any = self.bound(decision)
        yield from bound.stream_events(self.prepared(decision), self.config_for(decision), version="v3", **self.options_for(decision))

    async def aevents(self, decision: Decision) -> AsyncGenerator[Mapping[str, Any]]:
        """Stream events of version v3 from the chosen model without blocking the event loop."""
        bound: Any = self.bound(decision)
        async with await bound.astream_events(
            self.prepared(decision), self.config_for(decision), version="v3", **self.options_for(decision)
        ) as events:
            async for event in events:
                yield event


def read_request(
    calls: Calls,
    standing: Standing,
    messages: Sequence[BaseMessage],
    config: RunnableConfig | None,
    options: Mapping[str, Any],
    *,
    found: Found,
    only: ModelName | None = None,
) -> Request:
    """Read a call.

    Args:
        calls: Builds what is routed.
        standing: What holds for every call.
        messages: The history.
        config: As for `invoke`.
        options: Keyword arguments of the call: what was bound, and what the chosen model gets.
        found: What detectors found in what is new.
        only: The one model that this call insists on.
    """
    given = {key: value for key, value in options.items() if value is not None or key not in standing.options}
    given = {**standing.options, **given}
    tools: Sequence[Any] = given.pop("tools", None) or ()
    bound = given.pop(TOOL_OPTIONS, None)
    tool_options: dict[str, Any] | None = dict(bound or {}) if tools or bound else None
    if tool_options is not None and "tool_choice" in given:
        tool_options["tool_choice"] = given.pop("tool_choice")
    native = "response_format" in given or "response_format" in (tool_options or {})
    complete = standing.config_of(config)
    settings = {**(tool_options or {}), **given}
    transcript = _transcript(calls, messages, complete, tools, found)
    names = names_of(complete, tenant=standing.tenant, principal=standing.principal)

    def renew() -> CacheTerms | None:
        if native:
            return None
        return calls.terms(messages, transcript, names, tools=tools, settings=given, bound=tool_options or NOTHING_BOUND)

    session = calls.identify(names, transcript)
    call = calls.call(
        messages,
        transcript,
        session=session,
        agent=names.agent,
        tools=tools,
        settings=settings,
        structured=native,
        requires=frozenset({Capability.STRUCTURED_OUTPUT}) if native else frozenset(),
        only=only,
        internal=INTERNAL_CALL in (complete.get("metadata") or {}),
        tag=context_label(config=complete),
        found=found.head,
        terms=renew(),
        principal=calls.principal(names),
        places=calls.places(names, complete, session=session, within=True),
    )
    return Request(
        calls=calls,
        messages=messages,
        call=call,
        narrowing=Narrowing(calls, messages, call, tools=tools),
        config=complete,
        tools=tools,
        tool_options=tool_options,
        options=given,
        tenant=standing.tenant,
        renew=renew,
    )


def as_structured(request: Request, *, method: str | None) -> Request:
    """Return `request` as one for structured output.

    Args:
        request: The request.
        method: How the output is to be structured; `None` leaves it to the chosen model.
    """
    needed = NEEDED_BY_METHOD.get(method or "")
    question = replace(request.call.question, structured=True)
    # A stored answer is a text, and no value of a schema.
    call = replace(request.call, question=question, requires=request.call.requires | ({needed} if needed else set()), terms=None)
    return replace(request, call=call, narrowing=Narrowing(request.calls, request.messages, call, tools=request.tools))


def _transcript(calls: Calls, messages: Sequence[BaseMessage], config: RunnableConfig, tools: Sequence[Any], found: Found) -> Transcript:
    transcript, metadata = calls.read(messages, tools=tools, found=found), config.get("metadata") or {}
    is_internal = INTERNAL_CALL in metadata and metadata.get("lc_source") != _PASSED_ON
    if is_internal or str(metadata.get("langgraph_node")).endswith(_HOOKS):
        # A summary is asked for with the history in one text of a human, who wrote none of it: it is as good as what models say.
        return replace(transcript, tags=transcript.tags | {calls.router.policy.sources.get("ai")})
    return transcript

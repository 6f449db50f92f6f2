"""A stored answer, told to the framework as a model call: whoever listens to model calls hears it like any other."""

# ruff: noqa: ANN401, ARG002 -- signatures of the base class

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import AsyncExitStack, aclosing, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

from langchain_core.caches import BaseCache  # noqa: TC002 -- pydantic reads it
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field, SkipValidation

from session_router_langchain.authors import STAMP

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.runnables import RunnableConfig

Item = TypeVar("Item")

_PIECE = 64
"""Characters of a replayed chunk, about: a reader that streams is shown a stream."""


class StoredAnswer(BaseChatModel):
    """Says what was said before, and nothing else. It makes the run that callbacks, listeners and streams of events are told of.

    Args:
        message: What it says. Whoever is told of it may change what its caller gets, as with any model.
    """

    message: SkipValidation[Any] = Field(exclude=True, repr=False)
    # LangChain's own cache has nothing to add.
    cache: BaseCache | bool | None = False

    @property
    def _llm_type(self) -> str:
        return "session-router-cache"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        # Without a model's name: nobody is its author, and nobody is paid for it.
        return LangSmithParams(ls_provider="session-router", ls_model_type="chat")

    # The run, of which nobody is to make a span

    def invoke(self, *args: Any, **kwargs: Any) -> AIMessage:
        """Tell a whole answer."""
        with _without_spans():
            return super().invoke(*args, **kwargs)

    async def ainvoke(self, *args: Any, **kwargs: Any) -> AIMessage:
        """Tell a whole answer without blocking the event loop."""
        with _without_spans():
            return await super().ainvoke(*args, **kwargs)

    def stream(self, *args: Any, **kwargs: Any) -> Iterator[AIMessageChunk]:
        """Tell an answer in chunks."""
        return _stepwise(super().stream(*args, **kwargs))

    def astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[AIMessageChunk]:
        """Tell an answer in chunks without blocking the event loop."""
        return _astepwise(aclosing(cast("AsyncGenerator[AIMessageChunk]", super().astream(*args, **kwargs))))

    def stream_events(self, *args: Any, **kwargs: Any) -> Any:
        """Tell an answer as events."""
        return _stepwise(iter(super().stream_events(*args, **kwargs)))

    async def astream_events(self, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override] # only version v3 is asked for
        """Tell an answer as events without blocking the event loop."""
        begun: Any = super().astream_events(*args, **kwargs)
        return aclosing(_astepwise(await begun))

    # What it says

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: CallbackManagerForLLMRun | None = None, **kwargs: Any
    ) -> ChatResult:
        # A run writes on its message, and this one is others' as well.
        return ChatResult(generations=[ChatGeneration(message=self.message.model_copy())])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._generate(messages)

    def _stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: CallbackManagerForLLMRun | None = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in as_chunks(self.message):
            yield ChatGenerationChunk(message=chunk)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._stream(messages):
            yield chunk

    def _stream_chat_model_events(self, messages: list[BaseMessage], **kwargs: Any) -> Iterator[Mapping[str, Any]]:
        return as_events(self.message)

    async def _astream_chat_model_events(self, messages: list[BaseMessage], **kwargs: Any) -> AsyncIterator[Mapping[str, Any]]:
        for event in as_events(self.message):
            yield event


@contextmanager
def _without_spans() -> Generator[None]:
    """Let no instrumentation make a span of a model call, where any is there: the span of the decision tells of a stored answer."""
    contexts = sys.modules.get("opentelemetry.context")
    if contexts is None:
        yield
        return
    token = contexts.attach(contexts.set_value(contexts._SUPPRESS_INSTRUMENTATION_KEY, value=True))  # noqa: SLF001 -- that all instrumentations share
    try:
        yield
    finally:
        contexts.detach(token)


def _stepwise(items: Iterator[Item]) -> Generator[Item]:
    """Pass `items` on; not even between them does a reader's context change."""
    try:
        while True:
            with _without_spans():
                item = next(items, None)
            if item is None:
                return
            yield item
    finally:
        # A handler that is told of the end puts back the context that it found at the beginning.
        if isinstance(items, Generator):
            with _without_spans():
                items.close()


async def _astepwise(opened: AbstractAsyncContextManager[AsyncIterable[Item]]) -> AsyncGenerator[Item]:
    ending = AsyncExitStack()
    try:
        steps = aiter(await ending.enter_async_context(opened))
        while True:
            with _without_spans():
                item = await anext(steps, None)
            if item is None:
                return
            yield item
    finally:
        # As above.
        with _without_spans():
            await ending.aclose()


def stored_answer(message: AIMessage, writer: BaseChatModel | None, *, tools: Sequence[Any]) -> StoredAnswer:
    """Return what says `message`, found and streamed as the model that wrote it would be.

    Args:
        message: The answer, made for this call alone.
        writer: That model; `None` where it is not known any more. Those who listen to it alone are not told: it was not asked.
        tools: What was on offer.
    """
    if writer is None:
        return StoredAnswer(message=message)
    return StoredAnswer(message=message, tags=writer.tags, disable_streaming=writer._streaming_disabled(tools=tools))  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] -- has no public name


def as_told(message: AIMessage, told: AIMessage) -> AIMessage:
    """Return what the caller of a replayed `message` gets: what was `told`, where somebody who heard of it has changed that.

    Otherwise it is the message itself: a run that is streamed puts its answer together in another form.
    """
    return message if told.text == message.text else told


def told_of(message: AIMessage, config: RunnableConfig) -> RunnableConfig:
    """Return `config` for the run of a replayed answer: our facts on it are in the metadata, as those of a decision are for any run."""
    return {**config, "metadata": {**(config.get("metadata") or {}), STAMP: message.response_metadata[STAMP]}}


def as_chunks(message: AIMessage) -> Iterator[AIMessageChunk]:
    """Yield a replayed message as a stream; its facts come with the last chunk, since metadata of several is merged."""
    content: Any = message.content
    # Blocks go whole, so that what is merged of them is what was said.
    pieces = (
        [content[at : at + _PIECE] for at in range(0, len(content), _PIECE)] if isinstance(content, str) else [[one] for one in content]
    )
    for piece in pieces or [""]:
        yield AIMessageChunk(content=piece, id=message.id)
    yield AIMessageChunk(
        content="",
        id=message.id,
        usage_metadata=message.usage_metadata,
        response_metadata=message.response_metadata,
        additional_kwargs=message.additional_kwargs,
        chunk_position="last",
    )


def as_events(message: AIMessage) -> Iterator[Mapping[str, Any]]:
    """Yield a replayed message as events of version v3."""
    text = message.text
    yield {"event": "message-start", "role": "ai", "id": message.id}
    yield {"event": "content-block-start", "index": 0, "content": {"type": "text", "text": ""}}
    yield {"event": "content-block-delta", "index": 0, "delta": {"type": "text-delta", "text": text}}
    yield {"event": "content-block-finish", "index": 0, "content": {"type": "text", "text": text}}
    finish = {"event": "message-finish", "usage": dict(message.usage_metadata or {}), "metadata": dict(message.response_metadata)}
    yield finish | ({"additional_kwargs": dict(message.additional_kwargs)} if message.additional_kwargs else {})

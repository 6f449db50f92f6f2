"""A chat model that is several: each call goes to the model that the router chooses.

The chosen model is called as the application would call it, with the application's config: one run, under its own
name, with its own usage. Tools stay raw until the model is known, since every provider formats them differently.
"""

# ruff: noqa: ANN401 -- keyword arguments, schemas and values are those of the base class

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Literal, Self, SupportsIndex, overload

from langchain_core.callbacks import AsyncCallbackManager, CallbackManager
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import ConfigDict, Field, PrivateAttr, SkipValidation, model_validator

from session_router.core.checking import check_kind
from session_router.core.model import ModelName
from session_router.errors import ConfigurationError
from session_router.router import Router
from session_router_langchain.asking import aanswer, achunks, aevents, answer, chunks, events
from session_router_langchain.calls import Calls
from session_router_langchain.checking import check_settings
from session_router_langchain.event_streams import AsyncRoutedEventStream, RoutedEventStream, told_once
from session_router_langchain.generation import child_config, configs_and_options, result_of
from session_router_langchain.insisting import AUTO, check_auto_is_free, insisted_on
from session_router_langchain.profiles import common_profile
from session_router_langchain.relay import as_chunk
from session_router_langchain.request import TOOL_OPTIONS, Request, Standing, as_structured, read_request
from session_router_langchain.structured import RoutedStructuredOutput
from session_router_langchain.token_count import count_tokens

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun, Callbacks
    from langchain_core.language_models.base import LangSmithParams
    from langchain_core.language_models.chat_model_stream import AsyncChatModelStream, ChatModelStream
    from langchain_core.language_models.model_profile import ModelProfile
    from langchain_core.outputs import LLMResult
    from langchain_core.runnables import Runnable, RunnableConfig
    from langchain_core.runnables.schema import StreamEvent
    from langchain_core.tools import BaseTool


OF_ROUTES = ("cache", "rate_limiter")
"""Settings of every chat model that the wrapper cannot have in place of its routes."""


class SessionRouterChatModel(BaseChatModel):
    """Chat models behind one name.

    Works wherever a chat model does: `invoke`, `stream`, `batch`, tools, structured output, event streams, sync
    and async. Sessions are told apart by the `thread_id` of the config, or by `principal` and the beginning of
    the conversation; without either, each call is routed by its history alone.

    Args:
        router: Who decides.
        model: `auto`, or the name of one route to insist on; may be overridden per call.
        tenant: Whose deployment, if the router serves several.
        principal: The user or service, as authenticated on the server; LangGraph Server's user is found by itself.
        temperature: Sent with every call, if given.
        max_tokens: Sent with every call, if given.
        stop: Sent with every call, if given.
        timeout: Seconds; for routes that are built from provider strings.
        max_retries: For routes that are built from provider strings.
        api_key: For routes that are built from provider strings.
        streaming: `False` makes `stream` give whole answers; else for routes that are built from provider strings.
    """

    router: SkipValidation[Router] = Field(exclude=True, repr=False)
    model: str = AUTO
    tenant: str | None = None
    principal: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    stop: list[str] | None = None
    timeout: float | None = None
    max_retries: int | None = None
    api_key: Any = Field(default=None, exclude=True, repr=False)
    streaming: bool | None = None

    model_config = ConfigDict(arbitrary_types_allowed=True)

    _calls: Calls = PrivateAttr()

    @model_validator(mode="before")
    @classmethod
    def refuse_misspelt(cls, given: Any) -> Any:
        """Refuse a setting that there is none of: a `tenent` that is dropped in silence keeps nobody apart."""
        check_settings(given, cls.model_fields, of="the chat model")
        return given

    def model_post_init(self, context: Any, /) -> None:
        """Check the settings; nothing is built before the first call.

        Raises:
            ConfigurationError: The model name is no route's, or a setting belongs to the routes.
        """
        super().model_post_init(context)
        check_kind(self.router, Router, key="router", rule="give a `session_router.Router`.")
        check_auto_is_free(self.router)
        insisted_on(self.model, self.router)
        for setting in OF_ROUTES:
            if (value := getattr(self, setting)) is not None:
                raise ConfigurationError(
                    key=setting, value=value, rule="give it to the chat models of the routes; they are called as they are."
                )
        wanted = {
            "timeout": self.timeout,
            "max_retries": self.max_retries,
            "api_key": self.api_key,
            "streaming": self.streaming,
            "output_version": self.output_version,
        }
        self._calls = Calls(self.router, defaults={key: value for key, value in wanted.items() if value is not None})

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Return a copy that shares the router: routes hold connections, which cannot be copied."""
        return self.model_copy()

    def __reduce_ex__(self, protocol: SupportsIndex, /) -> Any:
        """Refuse to be pickled.

        Raises:
            TypeError: Always.
        """
        msg = "`SessionRouterChatModel` cannot be pickled: its routes hold connections and keys. Build it again from its configuration."
        raise TypeError(msg)

    @property
    def _llm_type(self) -> str:
        return "session-router"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.model, "routes": sorted(self.router.models)}

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Routes hold connections and keys: they are not written anywhere."""
        return False

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params: LangSmithParams = {
            "ls_provider": "session-router",
            "ls_model_name": str(kwargs.get("model") or self.model),
            "ls_model_type": "chat",
        }
        if (temperature := kwargs.get("temperature", self.temperature)) is not None:
            params["ls_temperature"] = temperature
        if (max_tokens := kwargs.get("max_tokens", self.max_tokens)) is not None:
            params["ls_max_tokens"] = max_tokens
        if (stops := stop or self.stop) is not None:
            params["ls_stop"] = stops
        return params

    def _resolve_model_profile(self) -> ModelProfile | None:
        """Return what every route can do, or the one that is insisted on; a route that is not built yet says nothing."""
        specs = self.router.models
        only = None if self.model == AUTO else specs.get(ModelName(self.model))
        return common_profile(getattr(spec.model, "profile", None) for spec in (specs.values() if only is None else [only]))

    @property
    def _standing(self) -> Standing:
        options = {"temperature": self.temperature, "max_tokens": self.max_tokens, "stop": self.stop or None}
        return Standing(
            tenant=self.tenant,
            principal=self.principal,
            options={key: value for key, value in options.items() if value is not None},
            callbacks=self.callbacks,
            tags=self.tags or (),
            metadata=self.metadata or {},
        )

    def _request(
        self, value: LanguageModelInput, config: RunnableConfig | None, kwargs: Mapping[str, Any], *, stop: list[str] | None = None
    ) -> Request:
        messages, options, only = self._asked(value, kwargs, stop)
        found = self._calls.inspect(messages, tools=options.get("tools") or ())
        return read_request(self._calls, self._standing, messages, config, options, found=found, only=only)

    async def _arequest(
        self, value: LanguageModelInput, config: RunnableConfig | None, kwargs: Mapping[str, Any], *, stop: list[str] | None = None
    ) -> Request:
        messages, options, only = self._asked(value, kwargs, stop)
        found = await self._calls.ainspect(messages, tools=options.get("tools") or ())
        return read_request(self._calls, self._standing, messages, config, options, found=found, only=only)

    def _asked(
        self, value: LanguageModelInput, kwargs: Mapping[str, Any], stop: list[str] | None
    ) -> tuple[list[BaseMessage], dict[str, Any], ModelName | None]:
        """Return the history, the keyword arguments, and the one model that the call insists on."""
        options = {**kwargs, **({"stop": stop} if stop is not None else {})}
        only = insisted_on(str(options.pop("model", None) or self.model), self.router)
        return self._convert_input(value).to_messages(), options, only

    # Calls

    def invoke(
        self,
        input: LanguageModelInput,  # noqa: A002 -- as in LangChain
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Ask the model that the router chooses."""
        return answer(self.router, self._request(input, config, kwargs, stop=stop))

    async def ainvoke(
        self,
        input: LanguageModelInput,  # noqa: A002 -- as in LangChain
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Ask the model that the router chooses, without blocking the event loop."""
        return await aanswer(self.router, await self._arequest(input, config, kwargs, stop=stop))

    def stream(
        self,
        input: LanguageModelInput,  # noqa: A002 -- as in LangChain
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        """Stream from the model that the router chooses; another takes over only before the first content."""
        if self._streams_nothing(kwargs):
            yield as_chunk(self.invoke(input, config, stop=stop, **kwargs))
            return
        yield from chunks(self.router, self._request(input, config, kwargs, stop=stop))

    async def astream(
        self,
        input: LanguageModelInput,  # noqa: A002 -- as in LangChain
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """Do what `stream` does without blocking the event loop."""
        if self._streams_nothing(kwargs):
            yield as_chunk(await self.ainvoke(input, config, stop=stop, **kwargs))
            return
        async with aclosing(achunks(self.router, await self._arequest(input, config, kwargs, stop=stop))) as streamed:
            async for chunk in streamed:
                yield chunk

    def _streams_nothing(self, kwargs: Mapping[str, Any]) -> bool:
        if self.disable_streaming == "tool_calling":
            return bool(kwargs.get("tools"))
        return self.disable_streaming or self.streaming is False

    @overload  # type: ignore[override] # as in the base class, whose own overloads differ from the Runnable's
    def stream_events(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, *, version: Literal["v1", "v2"] = "v2", **kwargs: Any
    ) -> Iterator[StreamEvent]: ...

    @overload
    def stream_events(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        version: Literal["v3"],
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> ChatModelStream: ...

    def stream_events(
        self,
        input: LanguageModelInput,  # noqa: A002 -- as in LangChain
        config: RunnableConfig | None = None,
        *,
        version: Literal["v1", "v2", "v3"] = "v2",
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[StreamEvent] | ChatModelStream:
        """Stream events; of version v3, those of the model that the router chooses when the first one is read."""
        if version != "v3":
            return super().stream_events(input, config, version=version, stop=stop, **kwargs)
        return RoutedEventStream(events(self.router, self._request(input, config, kwargs, stop=stop)))

    @overload
    def astream_events(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, *, version: Literal["v1", "v2"] = "v2", **kwargs: Any
    ) -> AsyncIterator[StreamEvent]: ...

    @overload
    def astream_events(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        version: Literal["v3"],
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Awaitable[AsyncChatModelStream]: ...

    def astream_events(
        self,
        input: LanguageModelInput,  # noqa: A002 -- as in LangChain
        config: RunnableConfig | None = None,
        *,
        version: Literal["v1", "v2", "v3"] = "v2",
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[StreamEvent] | Awaitable[AsyncChatModelStream]:
        """Do what `stream_events` does without blocking the event loop."""
        if version != "v3":
            return told_once(super().astream_events(input, config, version=version, stop=stop, **kwargs))
        return self._astream_events_v3(self._arequest(input, config, kwargs, stop=stop))

    async def _astream_events_v3(self, request: Awaitable[Request]) -> AsyncChatModelStream:
        return AsyncRoutedEventStream(aevents(self.router, await request))

    def generate(
        self, messages: list[list[BaseMessage]], stop: list[str] | None = None, callbacks: Callbacks = None, **kwargs: Any
    ) -> LLMResult:
        """Ask once per history."""
        configs, options = configs_and_options(len(messages), callbacks, kwargs)
        return result_of([self.invoke(history, config, stop=stop, **options) for history, config in zip(messages, configs, strict=True)])

    async def agenerate(
        self, messages: list[list[BaseMessage]], stop: list[str] | None = None, callbacks: Callbacks = None, **kwargs: Any
    ) -> LLMResult:
        """Ask once per history, all at the same time."""
        configs, options = configs_and_options(len(messages), callbacks, kwargs)
        asked = [self.ainvoke(history, config, stop=stop, **options) for history, config in zip(messages, configs, strict=True)]
        return result_of(await asyncio.gather(*asked))

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: CallbackManagerForLLMRun | None = None, **kwargs: Any
    ) -> ChatResult:
        # Only code that bypasses the public methods comes here; the chosen model's run is then a child of its run.
        config = None if run_manager is None else child_config(run_manager, CallbackManager([], parent_run_id=run_manager.run_id))
        return ChatResult(generations=[ChatGeneration(message=self.invoke(messages, config, stop=stop, **kwargs))])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        config = None if run_manager is None else child_config(run_manager, AsyncCallbackManager([], parent_run_id=run_manager.run_id))
        return ChatResult(generations=[ChatGeneration(message=await self.ainvoke(messages, config, stop=stop, **kwargs))])

    # What is bound

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Keep `tools` as they are until the model is known."""
        if tool_choice is not None:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=list(tools), **({TOOL_OPTIONS: kwargs} if kwargs else {}))

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """Let the chosen model produce the structured output in its own way."""

        def read(value: LanguageModelInput, config: RunnableConfig | None, options: Mapping[str, Any]) -> Request:
            return as_structured(self._request(value, config, options), method=kwargs.get("method"))

        async def aread(value: LanguageModelInput, config: RunnableConfig | None, options: Mapping[str, Any]) -> Request:
            return as_structured(await self._arequest(value, config, options), method=kwargs.get("method"))

        return RoutedStructuredOutput(self.router, read, aread, schema, include_raw=include_raw, options=kwargs)

    # Tokens: the base class would download a tokenizer

    def get_num_tokens(self, text: str) -> int:
        """Count as the default model counts, or approximately where that needs what is not at hand."""
        return self.get_num_tokens_from_messages([HumanMessage(text)])

    def get_num_tokens_from_messages(self, messages: list[BaseMessage], tools: Sequence[Any] | None = None) -> int:
        """Count as the default model counts, or approximately where that needs what is not at hand."""
        return count_tokens(self._counter(), messages, tools)

    def get_token_ids(self, text: str) -> list[int]:
        """Tokenise as the default model does."""
        return self._counter().get_token_ids(text)

    def _counter(self) -> BaseChatModel:
        name = insisted_on(self.model, self.router) or self.router.policy.default or next(iter(self.router.models))
        return self._calls.models[ModelName(name)]

"""A chat model that is several: each call goes to the model that the router chooses.

The chosen model is called as the application would call it, with the application's config: one run, under its own
name, with its own usage. Tools stay raw until the model is known, since every provider formats them differently.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult, LLMResult
from langchain_core.runnables import Runnable, RunnableConfig, ensure_config
from langchain_core.runnables.config import merge_configs
from pydantic import ConfigDict, Field, PrivateAttr, SkipValidation

from session_router.core.decision import Reason
from session_router.core.model import ModelName
from session_router.errors import ConfigurationError
from session_router.identity import SessionKey
from session_router.router import Router
from session_router_langchain.calls import INTERNAL_CALL, Calls
from session_router_langchain.outcomes import stamped
from session_router_langchain.passage import Passed, adrive, drive
from session_router_langchain.passage import astream as astream_passage
from session_router_langchain.passage import stream as stream_passage
from session_router_langchain.profiles import common_profile
from session_router_langchain.relay import MessageRelay
from session_router_langchain.structured import RoutedStructuredOutput
from session_router_langchain.witness import AsyncWitness, Witness

if TYPE_CHECKING:
    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, BaseCallbackHandler, CallbackManagerForLLMRun
    from langchain_core.language_models.base import LangSmithParams
    from langchain_core.language_models.model_profile import ModelProfile
    from langchain_core.tools import BaseTool

    from session_router.core.call import Call
    from session_router.core.decision import Decision
    from session_router_langchain.messages import Reading

AUTO = "auto"
"""The model name that means: the router decides."""

TOOL_OPTIONS = "session_router_tool_options"
"""Keyword under which `bind_tools` keeps what is meant for the chosen model's own `bind_tools`."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call on its way.

    Attributes:
        messages: The history.
        reading: The history, read.
        call: What is routed.
        config: The application's config.
        tools: What was bound, raw.
        tool_options: What else the chosen model's `bind_tools` gets.
        options: Keyword arguments of the call.
    """

    messages: Sequence[BaseMessage]
    reading: Reading
    call: Call
    config: RunnableConfig
    tools: Sequence[Any]
    tool_options: Mapping[str, Any]
    options: Mapping[str, Any]

    def config_with(self, decision: Decision, *handlers: BaseCallbackHandler) -> RunnableConfig:
        """Return the application's config with `handlers` added; a run id serves one attempt only."""
        config = merge_configs(self.config, {"callbacks": list(handlers)} if handlers else None)
        if decision.reason is Reason.FALLBACK:
            config.pop("run_id", None)
        return config


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
        streaming: Whether `invoke` streams from the provider; for routes that are built from provider strings.
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

    def model_post_init(self, context: Any, /) -> None:  # noqa: ANN401 -- as in the base class
        """Check the model name; nothing is built before the first call."""
        super().model_post_init(context)
        self._pinned(self.model)
        wanted = {"timeout": self.timeout, "max_retries": self.max_retries, "api_key": self.api_key, "streaming": self.streaming}
        self._calls = Calls(self.router, defaults={key: value for key, value in wanted.items() if value is not None})

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
        """Return what every route can do; a route that is not built yet says nothing."""
        return common_profile(getattr(spec.model, "profile", None) for spec in self.router.models.values())

    # What a call is made of

    def request(
        self, value: LanguageModelInput, config: RunnableConfig | None, kwargs: Mapping[str, Any], *, structured: bool = False
    ) -> Request:
        """Read one call.

        Args:
            value: As for `invoke`.
            config: As for `invoke`.
            kwargs: Keyword arguments of the call: what was bound, and what the chosen model gets.
            structured: Whether structured output is asked for.
        """
        messages = self._convert_input(value).to_messages()
        config = ensure_config(config)
        options = dict(kwargs)
        tools: Sequence[Any] = options.pop("tools", None) or ()
        tool_options = dict(options.pop(TOOL_OPTIONS, None) or {})
        if "tool_choice" in options:
            tool_options["tool_choice"] = options.pop("tool_choice")
        only = self._pinned(options.pop("model", None) or self.model)
        standing = {"temperature": self.temperature, "max_tokens": self.max_tokens, "stop": self.stop or None}
        options = {key: value for key, value in {**standing, **options}.items() if value is not None}
        reading = self._calls.read(messages, tools=tools)
        metadata = config.get("metadata") or {}
        names = self._names(config, metadata)
        call = self._calls.call(
            messages,
            reading,
            session=self._calls.identify(names, reading),
            agent=names.agent,
            tools=tools,
            structured=structured or "response_format" in options,
            only=only,
            internal=INTERNAL_CALL in metadata,
        )
        return Request(messages, reading, call, config, tools, tool_options, options)

    def chosen(self, decision: Decision) -> BaseChatModel:
        """Return the chat model of `decision`."""
        return self._calls.models[decision.chosen()]

    def prepared(self, request: Request, decision: Decision) -> Sequence[BaseMessage]:
        """Return the history as the chosen model can take it."""
        return self._calls.prepare(request.messages, request.reading, decision)

    def _bound(self, request: Request, decision: Decision) -> tuple[Runnable[Any, AIMessage], Sequence[BaseMessage]]:
        model = self.chosen(decision)
        messages = self.prepared(request, decision)
        if not request.tools:
            return model, messages
        tools = self._calls.prepare_tools(decision, request.tools)
        return model.bind_tools(tools, **request.tool_options), messages

    def _names(self, config: RunnableConfig, metadata: Mapping[str, Any]) -> SessionKey:
        configurable: Mapping[str, Any] = config.get("configurable") or {}
        thread = configurable.get("thread_id") or metadata.get("thread_id")
        return SessionKey(
            tenant=self.tenant,
            principal=self.principal or configurable.get("langgraph_auth_user_id"),
            thread=None if thread is None else str(thread),
            namespace=str(metadata.get("langgraph_checkpoint_ns") or ""),
            agent=metadata.get("lc_agent_name"),
        )

    def _pinned(self, name: str) -> ModelName | None:
        if name == AUTO:
            return None
        if name not in self.router.models:
            raise ConfigurationError(key="model", value=name, rule=f"choose 'auto' or one of {sorted(self.router.models)!r}.")
        return ModelName(name)

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
        request = self.request(input, config, {"stop": stop, **kwargs})

        def attempt(decision: Decision, *handlers: BaseCallbackHandler) -> AIMessage:
            runnable, messages = self._bound(request, decision)
            return runnable.invoke(messages, request.config_with(decision, *handlers), **request.options)

        return _marked(drive(self.router, request.call, attempt, _itself))

    async def ainvoke(
        self,
        input: LanguageModelInput,  # noqa: A002 -- as in LangChain
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Ask the model that the router chooses, without blocking the event loop."""
        request = self.request(input, config, {"stop": stop, **kwargs})

        async def attempt(decision: Decision, *handlers: BaseCallbackHandler) -> AIMessage:
            runnable, messages = self._bound(request, decision)
            return await runnable.ainvoke(messages, request.config_with(decision, *handlers), **request.options)

        return _marked(await adrive(self.router, request.call, attempt, _itself))

    def stream(
        self,
        input: LanguageModelInput,  # noqa: A002 -- as in LangChain
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        """Stream from the model that the router chooses; another takes over only before the first content."""
        request = self.request(input, config, {"stop": stop, **kwargs})

        def start(decision: Decision) -> Iterator[Any]:
            runnable, messages = self._bound(request, decision)
            return runnable.stream(messages, request.config_with(decision), **request.options)

        yield from stream_passage(self.router, request.call, start, self._relay)

    async def astream(
        self,
        input: LanguageModelInput,  # noqa: A002 -- as in LangChain
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """Do what `stream` does without blocking the event loop."""
        request = self.request(input, config, {"stop": stop, **kwargs})

        def start(decision: Decision) -> AsyncIterator[Any]:
            runnable, messages = self._bound(request, decision)
            return runnable.astream(messages, request.config_with(decision), **request.options)

        async for chunk in astream_passage(self.router, request.call, start, self._relay):
            yield chunk

    def _relay(self, decision: Decision) -> MessageRelay:
        return MessageRelay(decision, self.router)

    def stream_events(  # type: ignore[override]
        self,
        input: LanguageModelInput,  # noqa: A002 -- as in LangChain
        config: RunnableConfig | None = None,
        *,
        version: str = "v2",
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:  # noqa: ANN401 -- the version decides
        """Stream events; of version v3, those of the model that the router chooses."""
        if version != "v3":
            return cast("Any", super()).stream_events(input, config, version=version, stop=stop, **kwargs)
        request = self.request(input, config, {"stop": stop, **kwargs})
        decision = self.router.route(request.call)
        runnable, messages = self._bound(request, decision)
        witness = Witness(self.router, decision)
        return cast("Any", runnable).stream_events(messages, request.config_with(decision, witness), version="v3", **request.options)

    def astream_events(  # type: ignore[override]
        self,
        input: LanguageModelInput,  # noqa: A002 -- as in LangChain
        config: RunnableConfig | None = None,
        *,
        version: str = "v2",
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:  # noqa: ANN401 -- the version decides
        """Do what `stream_events` does without blocking the event loop."""
        if version != "v3":
            return cast("Any", super()).astream_events(input, config, version=version, stop=stop, **kwargs)
        return self._astream_events_v3(self.request(input, config, {"stop": stop, **kwargs}))

    async def _astream_events_v3(self, request: Request) -> Any:  # noqa: ANN401 -- a stream of LangChain's
        decision = await self.router.aroute(request.call)
        runnable, messages = self._bound(request, decision)
        witness = AsyncWitness(self.router, decision)
        stream: Awaitable[Any] = cast("Any", runnable).astream_events(
            messages, request.config_with(decision, witness), version="v3", **request.options
        )
        return await stream

    def generate(self, messages: list[list[BaseMessage]], stop: list[str] | None = None, callbacks: Any = None, **kwargs: Any) -> LLMResult:  # type: ignore[override] # noqa: ANN401
        """Ask once per history."""
        run, options = _run_and_options(callbacks, kwargs)
        return _result([self.invoke(history, run(index), stop=stop, **options) for index, history in enumerate(messages)])

    async def agenerate(  # type: ignore[override]
        self,
        messages: list[list[BaseMessage]],
        stop: list[str] | None = None,
        callbacks: Any = None,  # noqa: ANN401 -- as in LangChain
        **kwargs: Any,
    ) -> LLMResult:
        """Ask once per history, without blocking the event loop."""
        run, options = _run_and_options(callbacks, kwargs)
        return _result([await self.ainvoke(history, run(index), stop=stop, **options) for index, history in enumerate(messages)])

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: CallbackManagerForLLMRun | None = None, **kwargs: Any
    ) -> ChatResult:
        config: RunnableConfig = {"callbacks": run_manager.get_child()} if run_manager else {}  # type: ignore[attr-defined]
        return ChatResult(generations=[ChatGeneration(message=self.invoke(messages, config, stop=stop, **kwargs))])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        config: RunnableConfig = {"callbacks": run_manager.get_child()} if run_manager else {}  # type: ignore[attr-defined]
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
        return RoutedStructuredOutput(self, schema, include_raw=include_raw, options=kwargs)

    # Tokens: the base class would download a tokenizer

    def get_num_tokens_from_messages(self, messages: list[BaseMessage], tools: Sequence[Any] | None = None) -> int:
        """Count as the default model counts."""
        return self._counter().get_num_tokens_from_messages(messages, tools)

    def get_token_ids(self, text: str) -> list[int]:
        """Tokenise as the default model does."""
        return self._counter().get_token_ids(text)

    def _counter(self) -> BaseChatModel:
        name = self._pinned(self.model) or self.router.policy.default or next(iter(self.router.models))
        return self._calls.models[ModelName(name)]


def _itself(message: AIMessage) -> AIMessage:
    return message


def _marked(passed: Passed[AIMessage]) -> AIMessage:
    return stamped(passed.response, passed.decision, passed.outcome.model)


def _run_and_options(callbacks: Any, kwargs: dict[str, Any]) -> tuple[Callable[[int], RunnableConfig], dict[str, Any]]:  # noqa: ANN401
    names = ("tags", "metadata", "run_name", "run_id")
    given = {name: kwargs[name] for name in names if kwargs.get(name) is not None}
    options = {key: value for key, value in kwargs.items() if key not in names}

    def config(index: int) -> RunnableConfig:
        # A run id names one run: it goes to the first history only.
        return cast("RunnableConfig", {"callbacks": callbacks, **{k: v for k, v in given.items() if index == 0 or k != "run_id"}})

    return config, options


def _result(answers: list[AIMessage]) -> LLMResult:
    return LLMResult(generations=[[ChatGeneration(message=answer)] for answer in answers])

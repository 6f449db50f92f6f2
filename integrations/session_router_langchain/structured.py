"""Structured output of a model that is not known yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.runnables import Runnable, RunnableConfig

from session_router_langchain.passage import adrive, astream, drive, stream
from session_router_langchain.relay import ValueRelay

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import AIMessage

    from session_router.core.decision import Decision
    from session_router_langchain.chat_model import Request, SessionRouterChatModel
    from session_router_langchain.delivery import DeliveryProbe


class RoutedStructuredOutput(Runnable["LanguageModelInput", Any]):
    """Routes each call, and lets the chosen model produce the structured output in its own way.

    Args:
        model: The routing chat model.
        schema: As for `with_structured_output`.
        include_raw: As for `with_structured_output`.
        options: Further options of `with_structured_output`.
    """

    def __init__(self, model: SessionRouterChatModel, schema: Any, *, include_raw: bool, options: dict[str, Any]) -> None:  # noqa: ANN401 -- as in LangChain
        self._model = model
        self._schema = schema
        self._include_raw = include_raw
        self._options = options

    def invoke(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002, ANN401 -- as in LangChain
        """Ask the model that the router chooses."""
        request = self._model.request(input, config, kwargs, structured=True)

        def attempt(decision: Decision, probe: DeliveryProbe) -> dict[str, Any]:
            runnable, messages = self._bound(request, decision, raw=True)
            return runnable.invoke(messages, request.config_with(decision, probe))

        return self._result(drive(self._model.router, request.call, attempt, _raw).response)

    async def ainvoke(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002, ANN401 -- as in LangChain
        """Ask the model that the router chooses, without blocking the event loop."""
        request = self._model.request(input, config, kwargs, structured=True)

        async def attempt(decision: Decision, probe: DeliveryProbe) -> dict[str, Any]:
            runnable, messages = self._bound(request, decision, raw=True)
            return await runnable.ainvoke(messages, request.config_with(decision, probe))

        return self._result((await adrive(self._model.router, request.call, attempt, _raw)).response)

    def stream(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[Any]:  # noqa: A002 -- as in LangChain
        """Stream from the model that the router chooses."""
        request = self._model.request(input, config, kwargs, structured=True)

        def start(decision: Decision) -> Iterator[Any]:
            runnable, messages = self._bound(request, decision, raw=self._include_raw)
            return runnable.stream(messages, request.config_with(decision))

        return stream(self._model.router, request.call, start, lambda _: ValueRelay())

    async def astream(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> AsyncIterator[Any]:  # noqa: A002 -- as in LangChain
        """Do what `stream` does without blocking the event loop."""
        request = self._model.request(input, config, kwargs, structured=True)

        def start(decision: Decision) -> AsyncIterator[Any]:
            runnable, messages = self._bound(request, decision, raw=self._include_raw)
            return runnable.astream(messages, request.config_with(decision))

        async for value in astream(self._model.router, request.call, start, lambda _: ValueRelay()):
            yield value

    def _bound(self, request: Request, decision: Decision, *, raw: bool) -> tuple[Runnable[Any, Any], Any]:
        model = self._model.chosen(decision)
        bound: Runnable[Any, Any] = model.with_structured_output(self._schema, include_raw=raw, **self._options)
        return bound, self._model.prepared(request, decision)

    def _result(self, response: dict[str, Any]) -> Any:  # noqa: ANN401 -- the schema's value
        if self._include_raw:
            return response
        if response["parsing_error"] is not None:
            raise response["parsing_error"]
        return response["parsed"]


def _raw(response: dict[str, Any]) -> AIMessage | None:
    return response["raw"]  # type: ignore[no-any-return]

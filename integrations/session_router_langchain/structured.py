"""Structured output of a model that is not known yet."""

# ruff: noqa: ANN401 -- keyword arguments, schemas and values are those of the base class

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import Runnable, RunnableConfig, RunnableParallel, RunnableSequence

from session_router_langchain.outcomes import stamped
from session_router_langchain.passage import adrive, drive
from session_router_langchain.relay import ValueRelay
from session_router_langchain.streamed_passage import astream, stream
from session_router_langchain.witness import AnswerWitness

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping

    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import AIMessage

    from session_router.core.decision import Decision
    from session_router.router import Router
    from session_router_langchain.delivery import DeliveryProbe
    from session_router_langchain.passage import Passed
    from session_router_langchain.request import Request


class RoutedStructuredOutput(Runnable["LanguageModelInput", Any]):
    """Routes each call, and lets the chosen model produce the structured output in its own way.

    Args:
        router: Who decides.
        read: Reads a call: input, config, keyword arguments.
        aread: Does so without blocking the event loop.
        schema: As for `with_structured_output`.
        include_raw: As for `with_structured_output`.
        options: Further options of `with_structured_output`.
    """

    def __init__(
        self,
        router: Router,
        read: Callable[[LanguageModelInput, RunnableConfig | None, Mapping[str, Any]], Request],
        aread: Callable[[LanguageModelInput, RunnableConfig | None, Mapping[str, Any]], Awaitable[Request]],
        schema: Any,
        *,
        include_raw: bool,
        options: Mapping[str, Any],
    ) -> None:
        self._router = router
        self._read, self._aread = read, aread
        self._schema = schema
        self._include_raw = include_raw
        self._options = options

    @property
    def InputType(self) -> Any:  # noqa: N802 -- as in LangChain
        """Take what a chat model takes."""
        from langchain_core.language_models import LanguageModelInput

        return LanguageModelInput

    @property
    def OutputType(self) -> Any:  # noqa: N802 -- as in LangChain
        """Return what the schema says."""
        return Any

    def invoke(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002 -- as in LangChain
        """Ask the model that the router chooses."""
        request = self._read(input, config, kwargs)

        def attempt(decision: Decision, probe: DeliveryProbe) -> dict[str, Any]:
            bound = self._bound(request, decision, raw=True)
            response: dict[str, Any] = bound.invoke(request.prepared(decision), request.config_for(decision, probe))
            return response

        return self._result(drive(self._router, request.call, attempt, _raw, narrowing=request.narrowing, artificial=True))

    async def ainvoke(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002 -- as in LangChain
        """Ask the model that the router chooses, without blocking the event loop."""
        request = await self._aread(input, config, kwargs)

        async def attempt(decision: Decision, probe: DeliveryProbe) -> dict[str, Any]:
            bound = self._bound(request, decision, raw=True)
            response: dict[str, Any] = await bound.ainvoke(request.prepared(decision), request.config_for(decision, probe))
            return response

        return self._result(await adrive(self._router, request.call, attempt, _raw, narrowing=request.narrowing, artificial=True))

    def stream(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[Any]:  # noqa: A002 -- as in LangChain
        """Stream from the model that the router chooses."""
        request = self._read(input, config, kwargs)
        witness = AnswerWitness()

        def start(decision: Decision) -> Generator[Any]:
            bound = self._bound(request, decision, raw=self._include_raw)
            yield from bound.stream(request.prepared(decision), request.config_for(decision, witness))

        yield from stream(self._router, request.call, start, lambda _: ValueRelay(witness), narrowing=request.narrowing, artificial=True)

    async def astream(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> AsyncIterator[Any]:  # noqa: A002 -- as in LangChain
        """Do what `stream` does without blocking the event loop."""
        request = await self._aread(input, config, kwargs)
        witness = AnswerWitness()

        async def start(decision: Decision) -> AsyncGenerator[Any]:
            bound = self._bound(request, decision, raw=self._include_raw)
            async for value in bound.astream(request.prepared(decision), request.config_for(decision, witness)):
                yield value

        passing = astream(self._router, request.call, start, lambda _: ValueRelay(witness), narrowing=request.narrowing, artificial=True)
        async with aclosing(passing) as values:
            async for value in values:
                yield value

    def _bound(self, request: Request, decision: Decision, *, raw: bool) -> Runnable[Any, Any]:
        structured: Runnable[Any, Any] = request.model(decision).with_structured_output(self._schema, include_raw=raw, **self._options)
        return with_options(structured, request.options_for(decision))

    def _result(self, passed: Passed[dict[str, Any]]) -> Any:
        response = passed.response
        if self._include_raw:
            return {**response, "raw": stamped(response["raw"], passed.decision, passed.outcome.model)}
        if response["parsing_error"] is not None:
            raise response["parsing_error"]
        return response["parsed"]


def with_options(structured: Runnable[Any, Any], options: Mapping[str, Any]) -> Runnable[Any, Any]:
    """Return `structured` with keyword arguments for the chat model in it.

    What a provider returns is a sequence that begins with the chat model, or with a map that has it under `raw`;
    such a map passes no keyword arguments on.
    """
    if not options:
        return structured
    if isinstance(structured, RunnableSequence):
        first, *others = structured.steps  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] -- LangChain's steps have no item type
        return RunnableSequence(with_options(first, options), *others)  # pyright: ignore[reportUnknownArgumentType] -- as above
    if isinstance(structured, RunnableParallel):
        steps: Mapping[str, Runnable[Any, Any]] = structured.steps__  # pyright: ignore[reportUnknownMemberType] -- as above
        return RunnableParallel({name: with_options(step, options) for name, step in steps.items()})
    return structured.bind(**options)


def _raw(response: dict[str, Any]) -> AIMessage | None:
    message: AIMessage | None = response["raw"]
    return message

"""Three ways of choosing a model, each for both kinds of agent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages.utils import count_tokens_approximately
from langgraph.types import Command

from session_router.core.need import Question
from session_router.core.pricing import Usage, billed, call_cost
from session_router_langchain import SessionRouterMiddleware, convert
from session_router_langgraph import create_router_node

if TYPE_CHECKING:
    from langchain.agents.middleware.types import ModelRequest, ModelResponse
    from langchain_core.messages import BaseMessage

    from session_router import Router
    from session_router.core.model import ModelName
    from session_router_langchain.target import Target

Chooser = Callable[["Sequence[BaseMessage]", "Sequence[Any]"], str]
"""Messages, the system prompt first, and tools to the name of a model."""


class Routing(Protocol):
    """Chooses a model for every call."""

    def middleware(self) -> AgentMiddleware[Any, Any, Any]:
        """Return what chooses inside `create_agent`."""
        ...

    def node(self, destinations: Mapping[str, str], tools: Sequence[Any]) -> Any:  # noqa: ANN401 -- any node of LangGraph
        """Return what chooses inside a graph; `destinations` are nodes by model name."""
        ...

    def prepared(self, messages: Sequence[BaseMessage], target: Target) -> Sequence[BaseMessage]:
        """Return the history that a node of a graph sends to `target`."""
        ...


class RouterRouting:
    """The router chooses."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def middleware(self) -> AgentMiddleware[Any, Any, Any]:
        """Return the router's middleware."""
        return SessionRouterMiddleware(self._router)

    def node(self, destinations: Mapping[str, str], tools: Sequence[Any]) -> Any:  # noqa: ANN401 -- as above
        """Return the router's node."""
        return create_router_node(self._router, destinations=destinations, tools=tools)

    def prepared(self, messages: Sequence[BaseMessage], target: Target) -> Sequence[BaseMessage]:
        """Return the history without what another model signed; the stored history stays as it is."""
        return convert(messages, target)


class ChooserRouting:
    """A function chooses, anew at every call: no session, no lock.

    Args:
        models: Chat models by name.
        choose: The function.
        on_choice: Hears every choice.
    """

    def __init__(self, models: Mapping[str, Any], choose: Chooser, on_choice: Callable[[str], None]) -> None:
        self._models = models
        self._choose = choose
        self._on_choice = on_choice

    def middleware(self) -> AgentMiddleware[Any, Any, Any]:
        """Return a middleware that only sets the model."""
        return _ChooserMiddleware(self)

    def node(self, destinations: Mapping[str, str], tools: Sequence[Any]) -> Any:  # noqa: ANN401 -- as above
        """Return a node that only goes to the model."""

        def go(state: Mapping[str, Any]) -> Command[Any]:
            return Command(goto=destinations[self.chosen(state["messages"], tools)])

        return go

    def prepared(self, messages: Sequence[BaseMessage], target: Target) -> Sequence[BaseMessage]:  # noqa: ARG002 -- as above
        """Return the history as it is: who knows of no session knows of no switch."""
        return messages

    def applied(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
        """Return the request for the chosen model."""
        before = [request.system_message] if request.system_message is not None else []
        return request.override(model=self._models[self.chosen([*before, *request.messages], request.tools)])

    def chosen(self, messages: Sequence[BaseMessage], tools: Sequence[Any]) -> str:
        """Choose, and say so."""
        name = self._choose(messages, tools)
        self._on_choice(name)
        return name


class _ChooserMiddleware(AgentMiddleware[Any, Any, Any]):
    def __init__(self, routing: ChooserRouting) -> None:
        super().__init__()
        self._routing = routing

    def wrap_model_call(self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]) -> ModelResponse[Any]:
        return handler(self._routing.applied(request))


def always(name: str) -> Chooser:
    """Choose `name` at every call."""

    def choose(messages: Sequence[BaseMessage], tools: Sequence[Any]) -> str:  # noqa: ARG001 -- nothing matters
        return name

    return choose


def single_turn(router: Router) -> Chooser:
    """Choose by the same scorer, prices and stake, but judge each request by itself.

    That is what published single-turn routers do: they look at the last message, whoever wrote it, and know of
    no session. So there is no lock, no current model, no warm prefix and no segment: the price of the request, and the risk.
    """
    policy = router.policy

    def choose(messages: Sequence[BaseMessage], tools: Sequence[Any]) -> str:
        tokens = count_tokens_approximately(messages, tools=list(tools))
        question = Question(text=messages[-1].text, turn=1, tools=len(tools))
        needs = router.scorer.score(question, router.models)
        estimated = Usage(input=tokens, output=policy.output_tokens)

        def expected(name: ModelName) -> float:
            spec = router.models[name]
            assert spec.prices is not None  # noqa: S101 -- the router refuses a model without prices
            return call_cost(spec.prices, billed(estimated, spec.prices, spec.prompt_cache)) + policy.stake * (1 - needs[name].p_success)

        return min(router.models, key=expected)

    return choose

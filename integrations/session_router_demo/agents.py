"""The agents: one of `create_agent`, one graph made by hand. Whoever routes, they are the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain.agents import create_agent  # pyright: ignore[reportUnknownVariableType] -- as langchain declares it
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph  # pyright: ignore[reportMissingTypeStubs] -- as langgraph ships it
from langgraph.prebuilt import ToolNode, tools_condition

from session_router_demo import shop, workspace
from session_router_demo.sessions import AgentKind
from session_router_langchain import target_of
from session_router_langgraph import RouterState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from session_router_demo.routings import Routing


class CodingState(MessagesState, RouterState):
    """The messages, and the session of the router."""


def agent_of(kind: AgentKind, routing: Routing, models: Mapping[str, Any]) -> Any:  # noqa: ANN401 -- a compiled graph
    """Return an agent with a memory of its own.

    Args:
        kind: Which.
        routing: Chooses the model of every call.
        models: Chat models by name.
    """
    return _support_agent(routing, models) if kind is AgentKind.SUPPORT else _coding_agent(routing, models)


def system_prompt_of(kind: AgentKind) -> str:
    """Return the system prompt that the caller has to send first; empty where the agent brings its own."""
    return "" if kind is AgentKind.SUPPORT else workspace.HANDBOOK


def _support_agent(routing: Routing, models: Mapping[str, Any]) -> Any:  # noqa: ANN401 -- as above
    approval: Any = {"allowed_decisions": ["approve", "reject"]}
    return create_agent(
        next(iter(models.values())),  # never asked: the routing chooses
        tools=list(shop.support_tools()),
        system_prompt=shop.HANDBOOK,
        middleware=[
            routing.middleware(),
            *_prompt_caching(),
            HumanInTheLoopMiddleware(interrupt_on={shop.APPROVED_BY_A_PERSON: approval}),
        ],
        checkpointer=InMemorySaver(),
    )


def _prompt_caching() -> list[Any]:
    """Anthropic caches what is marked, OpenAI caches by itself."""
    try:
        from langchain_anthropic.middleware import AnthropicPromptCachingMiddleware
    except ImportError:
        return []
    return [AnthropicPromptCachingMiddleware(unsupported_model_behavior="ignore")]


def _coding_agent(routing: Routing, models: Mapping[str, Any]) -> Any:  # noqa: ANN401 -- as above
    tools = workspace.Workspace().tools()
    destinations = {name: f"ask_{name}" for name in models}
    graph: Any = StateGraph(CodingState)
    graph.add_node("route", routing.node(destinations, tools), destinations=tuple(destinations.values()))
    graph.add_node("tools", ToolNode(list(tools)))
    graph.add_edge(START, "route")
    graph.add_edge("tools", "route")
    for name, node in destinations.items():
        graph.add_node(node, _asking(name, models[name], tools, routing))
        graph.add_conditional_edges(node, tools_condition)
    return graph.compile(checkpointer=InMemorySaver())


def _asking(
    name: str,
    model: Any,  # noqa: ANN401 -- any chat model
    tools: Sequence[Any],
    routing: Routing,
) -> Callable[[CodingState], dict[str, Any]]:
    target = target_of(name, model)
    # Anthropic caches what is marked, OpenAI caches by itself.
    bound = model.bind_tools(tools, **({"cache_control": {"type": "ephemeral"}} if target.dialect == "anthropic" else {}))

    def ask(state: CodingState) -> dict[str, Any]:
        return {"messages": [bound.invoke(routing.prepared(state["messages"], target))]}

    return ask

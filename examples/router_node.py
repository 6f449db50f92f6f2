"""A graph made by hand: one node decides, one node a model answers. Runs offline, on simulated providers."""

from collections.abc import Callable
from typing import Any

from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from session_router import Policy, Prices, Router
from session_router.testing.providers import SimulatedModel, serve
from session_router_langchain import convert, target_of
from session_router_langgraph import RouterState, create_router_node

SIMULATED = [SimulatedModel(id="sim-fast", provider="openai"), SimulatedModel(id="sim-strong", provider="anthropic")]
PRICES = {"fast": Prices(input=0.25, output=2.0), "strong": Prices(input=3.0, output=15.0)}


class State(MessagesState, RouterState):
    """The messages, and the session: the checkpointer keeps both."""


def search_logs(service: str) -> str:
    """Search the logs of a service for errors."""
    return f"{service}: two timeouts at 14:02, none since"


def asking(name: str, model: BaseChatModel) -> Callable[[State], dict[str, Any]]:
    """Return a node that asks `model`."""
    bound, target = model.bind_tools([search_logs]), target_of(name, model)

    def ask(state: State) -> dict[str, Any]:
        # Another model may have written what this one cannot read; the stored history stays as it is.
        return {"messages": [bound.invoke(convert(state["messages"], target))]}

    return ask


with serve(SIMULATED) as providers:
    models = {
        "fast": ChatOpenAI(model="sim-fast", base_url=providers.openai_base_url, api_key="simulated"),
        "strong": ChatAnthropic(model="sim-strong", base_url=providers.anthropic_base_url, api_key="simulated", max_tokens=1000),
    }
    router = Router(models, prices=PRICES, policy=Policy(stake=0.10))
    nodes = {name: f"ask_{name}" for name in models}

    graph = StateGraph(State)
    graph.add_node("route", create_router_node(router, destinations=nodes, tools=[search_logs]), destinations=tuple(nodes.values()))
    graph.add_node("tools", ToolNode([search_logs]))
    for name, model in models.items():
        graph.add_node(nodes[name], asking(name, model))
        graph.add_conditional_edges(nodes[name], tools_condition)
    graph.add_edge(START, "route")
    graph.add_edge("tools", "route")  # back to the decision: inside the loop a lock holds
    agent = graph.compile(checkpointer=InMemorySaver())

    thread = {"configurable": {"thread_id": "1"}}
    for text in ("Which errors are in the logs of 'billing'?", "Investigate the root cause and debug it: why two timeouts?"):
        for update in agent.stream({"messages": [("user", text)]}, thread, stream_mode="updates"):
            print(", ".join(update))
    print("session:", {key: agent.get_state(thread).values["session_router"][key] for key in ("current", "turn", "switches")})

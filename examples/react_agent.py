"""LangGraph's `create_react_agent` with the router as its dynamic model. Runs offline, on simulated providers."""

import warnings

from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.prebuilt import create_react_agent
from langgraph.warnings import LangGraphDeprecatedSinceV10

from session_router import Policy, Prices, Router
from session_router.testing.providers import SimulatedModel, serve

SIMULATED = [SimulatedModel(id="sim-fast", provider="openai"), SimulatedModel(id="sim-strong", provider="anthropic")]
PRICES = {"fast": Prices(input=0.25, output=2.0), "strong": Prices(input=3.0, output=15.0)}

# For graphs that have it already; new ones take `langchain.agents.create_agent`, see quickstart.py.
warnings.filterwarnings("ignore", category=LangGraphDeprecatedSinceV10)


def read_sensor(room: str) -> str:
    """Read the temperature of a room."""
    return f"{room}: 19 degrees"


with serve(SIMULATED) as providers:
    fast = ChatOpenAI(model="sim-fast", base_url=providers.openai_base_url, api_key="simulated")
    strong = ChatAnthropic(model="sim-strong", base_url=providers.anthropic_base_url, api_key="simulated", max_tokens=1000)
    router = Router({"fast": fast, "strong": strong}, prices=PRICES, policy=Policy(stake=0.10))

    tools = [read_sensor]
    agent = create_react_agent(router.as_model_selector(tools), tools, checkpointer=InMemorySaver())

    thread = {"configurable": {"thread_id": "1"}}
    for text in ("Use the sensor of 'kitchen'.", "Evaluate the trade-offs and plan: why is it cold, and what should we do?"):
        state = agent.invoke({"messages": [("user", text)]}, thread)

    for message in state["messages"]:
        routed = message.response_metadata.get("session_router")
        if routed:
            print(f"{routed['model']}: {routed['decision']}, {routed['reason']}")

"""A routed agent: two models, one tool, three turns. Runs offline: both providers are simulated on this machine."""

from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI

from session_router import Policy, Prices, Router
from session_router.testing.providers import SimulatedModel, serve
from session_router_langchain import SessionRouterMiddleware

SIMULATED = [SimulatedModel(id="sim-fast", provider="openai"), SimulatedModel(id="sim-strong", provider="anthropic")]


def track_parcel(parcel: str) -> str:
    """Say where a parcel is."""
    return f"parcel {parcel} is out for delivery"


# With real models, leave out `serve`, the two addresses and the keys.
with serve(SIMULATED) as providers:
    fast = ChatOpenAI(model="sim-fast", base_url=providers.openai_base_url, api_key="simulated")
    strong = ChatAnthropic(model="sim-strong", base_url=providers.anthropic_base_url, api_key="simulated", max_tokens=1000)

    prices = {"fast": Prices(input=0.25, output=2.0), "strong": Prices(input=3.0, output=15.0)}
    router = Router({"fast": fast, "strong": strong}, prices=prices, policy=Policy(stake=0.10))
    agent = create_agent(fast, tools=[track_parcel], middleware=[SessionRouterMiddleware(router)])

    messages = []
    for text in ("Where is parcel 'P-17'?", "Thanks.", "Analyse the root cause: why was parcel 'P-17' late? Then plan a remedy."):
        messages = agent.invoke({"messages": [*messages, ("user", text)]})["messages"]

    for message in messages:
        routed = message.response_metadata.get("session_router")
        print(f"{routed['model']:>8}: {routed['decision']}, {routed['reason']}" if routed else f"{message.type:>8}: {message.text}")

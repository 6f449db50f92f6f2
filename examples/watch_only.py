"""Before the router is switched on: what would it have decided? Runs offline, on simulated providers."""

from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver

from session_router import Policy, Prices, Router
from session_router.testing.providers import SimulatedModel, serve
from session_router_langchain import SessionRouterCallbackHandler, Sighting

SIMULATED = [SimulatedModel(id="sim-fast", provider="openai"), SimulatedModel(id="sim-strong", provider="anthropic")]
PRICES = {"fast": Prices(input=0.25, output=2.0), "strong": Prices(input=3.0, output=15.0)}


def lookup_invoice(number: str) -> str:
    """Look an invoice up."""
    return f"invoice {number}: paid"


def report(sighting: Sighting) -> None:
    """Print one watched call."""
    decision, verdict = sighting.decision, "agrees" if sighting.agrees else "would have asked another"
    print(f"answered by {sighting.outcome.model}, router: {decision.model} ({decision.reason}), {verdict}")


with serve(SIMULATED) as providers:
    fast = ChatOpenAI(model="sim-fast", base_url=providers.openai_base_url, api_key="simulated")
    strong = ChatAnthropic(model="sim-strong", base_url=providers.anthropic_base_url, api_key="simulated", max_tokens=1000)
    watcher = SessionRouterCallbackHandler(Router({"fast": fast, "strong": strong}, prices=PRICES, policy=Policy(stake=0.10)), report)

    # The agent is as it was: one model, no routing.
    agent = create_agent(strong, tools=[lookup_invoice], checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}, "callbacks": [watcher]}
    for text in ("Look up invoice 'I-9'.", "Investigate why it was late and plan the remedy: compare both root causes."):
        agent.invoke({"messages": [("user", text)]}, config)

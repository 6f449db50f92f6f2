"""One chat model that is several: invoke, stream, and insist on a route. Runs offline, on simulated providers."""

from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI

from session_router import Policy, Prices, Router
from session_router.testing.providers import ScriptedBehaviour, SimulatedModel, serve
from session_router_langchain import SessionRouterChatModel

ANSWERS = {"capital": ["Paris."], "strategies": ["Copy the rows first, then switch the reads, then the writes."]}
SIMULATED = [
    SimulatedModel(id="sim-fast", provider="openai", behaviour=ScriptedBehaviour(ANSWERS)),
    SimulatedModel(id="sim-strong", provider="anthropic", behaviour=ScriptedBehaviour(ANSWERS)),
]
PRICES = {"fast": Prices(input=0.25, output=2.0), "strong": Prices(input=3.0, output=15.0)}

with serve(SIMULATED) as providers:
    fast = ChatOpenAI(model="sim-fast", base_url=providers.openai_base_url, api_key="simulated")
    strong = ChatAnthropic(model="sim-strong", base_url=providers.anthropic_base_url, api_key="simulated", max_tokens=1000)
    router = Router({"fast": fast, "strong": strong}, prices=PRICES, policy=Policy(stake=0.10))

    # The principal, or a `thread_id` in the config, tells sessions apart.
    model = SessionRouterChatModel(router=router, principal="user-1")

    answer = model.invoke("What is the capital of France?")
    print(answer.response_metadata["session_router"]["model"], "answers:", answer.text)

    question = "Compare strategies to migrate a database without downtime, and explain why."
    chunks = list(model.stream([("user", "What is the capital of France?"), answer, ("user", question)]))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    print(whole.response_metadata["session_router"]["model"], "streams:", whole.text)

    insisted = model.invoke("What is the capital of France?", model="strong")
    print(insisted.response_metadata["session_router"]["reason"], "to", insisted.response_metadata["model_name"])

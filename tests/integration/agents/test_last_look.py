"""Middleware further inside may ask another model, or something else, than was decided: labels are looked at once more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelFallbackMiddleware
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver

from session_router import Clearance, ModelSpec, Policy, Prices, Router, Tag
from session_router.core.governance import Level
from session_router.core.need import Need
from session_router.errors import NoClearedModel
from session_router.stores.memory import MemorySessionStore
from session_router.testing.providers import Fault
from session_router_langchain import SessionRouterChatModel, SessionRouterMiddleware
from session_router_langchain.tagging import labelled, own_label
from support.agents import CHAT, CLAUDE, THREAD, Stage

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = Tag(level=Level.CONFIDENTIAL)
OPEN, CLEARED = Clearance(trains=False), Clearance(max_level=Level.CONFIDENTIAL, trains=False)
SOURCES = {name: Tag() for name in ("system", "human", "schemas")}
QUESTION = labelled(HumanMessage("What is in file 7?"), SECRET)


class Thrifty:
    """Wants the cheap model, which may see nothing but what is public."""

    def score(self, question: object, models: Any) -> dict[Any, Need]:
        del question
        return {name: Need(p_success=float(name == CHAT)) for name in models}

    async def ascore(self, question: object, models: Any) -> dict[Any, Need]:
        return self.score(question, models)


class Inside(AgentMiddleware):
    """Makes another request of each."""

    def __init__(self, change: Callable[[Any], Any]) -> None:
        super().__init__()
        self._change = change

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        return handler(self._change(request))

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        return await handler(self._change(request))


class Rows:
    """A log that is a list."""

    def __init__(self, rows: list[Any]) -> None:
        self._rows = rows

    def append(self, record: Any) -> None:
        self._rows.append(record)


def governed(stage: Stage, **ports: Any) -> Router:
    models = {CHAT: stage.chat(), CLAUDE: stage.claude(thinking=None), "claude-2": stage.claude("sim-claude-2", thinking=None)}
    clearances = {CHAT: OPEN, CLAUDE: CLEARED, "claude-2": CLEARED}
    prices = Prices(input=1.0, output=4.0)
    routes = {name: ModelSpec(model=model, prices=prices, clearance=clearances[name]) for name, model in models.items()}
    policy = Policy(stake=1.0, margin=0.0, sources=SOURCES, default=CLAUDE)
    return Router(routes, policy=policy, scorer=Thrifty(), store=MemorySessionStore(), health=None, **ports)


def agent(stage: Stage, router: Router, *inside: Any) -> Any:
    middleware = [SessionRouterMiddleware(router, principal="ada"), *inside]
    return create_agent(stage.chat(), tools=[], middleware=middleware, checkpointer=InMemorySaver())


async def ask(subject: Any, message: Any, way: str) -> Any:
    said = {"messages": [message]}
    if way == "sync":
        return subject.invoke(said, THREAD)
    if way == "async":
        return await subject.ainvoke(said, THREAD)
    return [one async for one in subject.astream(said, THREAD, stream_mode="messages")]


WAYS = ["sync", "async", "streamed"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("other", ["sim-chat", "sim-chat-2"])
async def test_a_fallback_further_inside_asks_nobody_who_may_not_see_it(astage: Stage, other: str, way: str) -> None:
    """One is a route without the clearance, the other is no route at all."""
    subject = agent(astage, governed(astage), ModelFallbackMiddleware(astage.chat(other)))
    astage.providers.faults.next(Fault.overloaded(), model="sim-claude")
    with pytest.raises(NoClearedModel, match=CHAT if other == "sim-chat" else other):
        await ask(subject, QUESTION, way)
    assert [row.model for row in astage.providers.ledger.rows] == ["sim-claude"]


class Log:
    def __init__(self) -> None:
        self.outcomes: list[Any] = []

    def on_decision(self, decision: Any) -> None: ...

    def on_outcome(self, decision: Any, outcome: Any) -> None:
        self.outcomes.append((decision.model, outcome))


@pytest.mark.parametrize("way", WAYS)
async def test_what_it_stops_has_an_outcome(astage: Stage, way: str) -> None:
    log, rows = Log(), list[Any]()
    router = governed(astage, observers=[log], audit=Rows(rows))
    subject = agent(astage, router, ModelFallbackMiddleware(astage.chat()))
    astage.providers.faults.next(Fault.overloaded(), model="sim-claude")
    with pytest.raises(NoClearedModel):
        await ask(subject, QUESTION, way)
    decision, outcome = rows
    assert (outcome["event"], outcome["error"], outcome["decision_id"]) == ("failed", "NoClearedModel", decision["decision_id"])
    assert [(model, one.model, one.error, one.failure) for model, one in log.outcomes] == [(CLAUDE, None, "NoClearedModel", None)]


@pytest.mark.parametrize("way", WAYS)
async def test_a_fallback_to_who_may_see_it_answers(astage: Stage, way: str) -> None:
    subject = agent(astage, governed(astage), ModelFallbackMiddleware(astage.claude("sim-claude-2", thinking=None)))
    astage.providers.faults.next(Fault.overloaded(), model="sim-claude")
    await ask(subject, QUESTION, way)
    assert [row.model for row in astage.providers.ledger.rows] == ["sim-claude", "sim-claude-2"]
    assert own_label(subject.get_state(THREAD).values["messages"][-1]) == SECRET


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fallback", ["open", "cleared", "a stranger"])
async def test_two_accounts_of_one_model_are_not_taken_for_each_other(astage: Stage, fallback: str, way: str) -> None:
    """The provider calls both by the same name, and one of them may see less."""
    models = {name: astage.claude("sim-claude-2", thinking=None) for name in ("own", "open", "cleared")}
    clearances = {"own": CLEARED, "open": OPEN, "cleared": CLEARED}
    routes = {name: ModelSpec(model=models[name], prices=Prices(input=1.0, output=4.0), clearance=clearances[name]) for name in models}
    router = Router(routes, policy=Policy(stake=1.0, sources=SOURCES, default="own"), health=None)
    given = models.get(fallback) or astage.claude("sim-claude-2", thinking=None)
    subject = agent(astage, router, ModelFallbackMiddleware(given))
    astage.providers.faults.next(Fault.overloaded(), model="sim-claude-2")
    if fallback == "cleared":
        await ask(subject, QUESTION, way)
        assert len(astage.providers.ledger.rows) == 2
    else:
        with pytest.raises(NoClearedModel, match="open"):
            await ask(subject, QUESTION, way)
        assert len(astage.providers.ledger.rows) == 1


@pytest.mark.parametrize("way", WAYS)
async def test_a_stranger_of_the_same_name_is_not_taken_for_the_chosen_model(astage: Stage, way: str) -> None:
    """As a fallback to a provider's public service behind a route to a contract of one's own."""
    own = ModelSpec(model=astage.chat("sim-chat-2"), prices=Prices(input=1.0, output=4.0), clearance=CLEARED)
    router = Router({"own": own}, policy=Policy(stake=1.0, sources=SOURCES), health=None)
    url = astage.providers.openai_base_url
    elsewhere = ChatOpenAI(model="sim-chat-2", base_url=url.replace("127.0.0.1", "localhost"), api_key="key-openai", max_retries=0)
    subject = agent(astage, router, ModelFallbackMiddleware(elsewhere))
    astage.providers.faults.next(Fault.overloaded(), model="sim-chat-2")
    with pytest.raises(NoClearedModel, match="sim-chat-2"):
        await ask(subject, QUESTION, way)
    assert len(astage.providers.ledger.rows) == 1


async def test_a_model_that_is_two_routes_is_the_one_that_was_chosen(astage: Stage) -> None:
    model, prices = astage.claude("sim-claude-2", thinking=None), Prices(input=1.0, output=4.0)
    routes = {name: ModelSpec(model=model, prices=prices, clearance=one) for name, one in (("open", OPEN), ("own", CLEARED))}
    router = Router(routes, policy=Policy(stake=1.0, sources=SOURCES, default="own"), health=None)
    await ask(agent(astage, router), QUESTION, "async")
    assert astage.asked == ["sim-claude-2"]


CHANGES: dict[str, Callable[[Any], Any]] = {
    "a message": lambda one: one.override(messages=[labelled(HumanMessage("File 7 says ..."), SECRET), *one.messages]),
    "a system prompt": lambda one: one.override(system_message=labelled(SystemMessage("File 7 says ..."), SECRET)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("change", CHANGES)
async def test_what_is_put_in_further_inside_bears_its_own_label(astage: Stage, change: str, way: str) -> None:
    with pytest.raises(NoClearedModel, match=CHAT):
        await ask(agent(astage, governed(astage), Inside(CHANGES[change])), HumanMessage("hello"), way)
    assert astage.providers.ledger.rows == ()
    await ask(agent(astage, governed(astage), Inside(CHANGES[change])), QUESTION, way)
    assert astage.asked == ["sim-claude"]


async def test_what_is_put_in_without_a_label_and_what_is_left_out_are_nobody_s_business(astage: Stage) -> None:
    def change(request: Any) -> Any:
        return request.override(messages=[HumanMessage("be brief"), request.messages[-1].model_copy()])

    await ask(agent(astage, governed(astage), Inside(change)), HumanMessage("hello"), "async")
    assert astage.asked == ["sim-chat"]


@pytest.mark.parametrize("way", ["sync", "async"])
async def test_what_middleware_asks_a_routed_model_itself_inherits_the_label(astage: Stage, way: str) -> None:
    router = governed(astage)
    model = SessionRouterChatModel(router=router)

    def change(request: Any) -> Any:
        model.invoke(f"Is this harmless? {request.messages[-1].text}")
        return request

    await ask(agent(astage, router, Inside(change)), QUESTION, way)
    assert astage.asked == ["sim-claude", "sim-claude"]
    await ask(agent(astage, router, Inside(change)), HumanMessage("hello"), way)
    assert astage.asked[2:] == ["sim-chat", "sim-chat"]


async def test_what_middleware_asks_others_itself_is_its_own_affair(astage: Stage) -> None:
    other = astage.chat("sim-chat-2")

    def change(request: Any) -> Any:
        other.invoke("Say something.")
        return request

    await ask(agent(astage, governed(astage), Inside(change)), QUESTION, "sync")
    assert astage.asked == ["sim-chat-2", "sim-claude"]

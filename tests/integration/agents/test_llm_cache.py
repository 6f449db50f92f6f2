"""The response cache as LangChain's own, under chat models that nobody routes: alone, in agents, streamed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents.middleware import AgentMiddleware
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langgraph.checkpoint.memory import InMemorySaver
from openai import InternalServerError
from pydantic import BaseModel

from session_router import Prices
from session_router.cache.semantic import SemanticCache
from session_router.cache.settings import CacheSettings
from session_router.core.cache_terms import CacheRules, Sharing
from session_router.identity import SessionNames
from session_router.testing.providers import Fault, Reply
from session_router_langchain import SessionRouterCache
from support.agents import ANSWERS_AS, CHAT, CLAUDE, RESPONSES, TOOLS, Stage, asks, call, create_agent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.language_models import BaseChatModel

HOURS = "What are your opening hours?"
SAME = "what are your opening hours"
WAYS = ("sync", "async", "streamed", "streamed async")


def of(cache: SemanticCache, **settings: Any) -> SessionRouterCache:
    return SessionRouterCache(cache, **{"principal": "ada", **settings})


def model(stage: Stage, name: str, cache: Any, **settings: Any) -> BaseChatModel:
    make = {CHAT: stage.chat, RESPONSES: stage.responses, CLAUDE: stage.claude}[name]
    return make(cache=cache, **settings)


def agent(model: BaseChatModel, *middleware: Any, tools: Any = (), **settings: Any) -> Any:
    return create_agent(model, tools=tools, middleware=middleware, checkpointer=InMemorySaver(), **settings)


def thread(name: str, **configurable: str) -> Any:
    return {"configurable": {"thread_id": name, **configurable}}


async def turn(agent: Any, text: str, config: Any, way: str = "async") -> list[Any]:
    """Say `text`, and return the whole history after it."""
    said = {"messages": [HumanMessage(text)]}
    match way:
        case "sync":
            agent.invoke(said, config)
        case "async":
            await agent.ainvoke(said, config)
        case "streamed":
            list(agent.stream(said, config, stream_mode="messages"))
        case _:
            [one async for one in agent.astream(said, config, stream_mode="messages")]
    messages: list[Any] = agent.get_state(config).values["messages"]
    return messages


async def answer(model: BaseChatModel, text: Any, way: str) -> AIMessage:
    return model.invoke(text) if way == "sync" else await model.ainvoke(text)


@pytest.mark.parametrize("name", [CHAT, RESPONSES, CLAUDE])
@pytest.mark.parametrize("way", ["sync", "async"])
async def test_a_hit_asks_nobody_and_is_a_new_message(astage: Stage, name: str, way: str) -> None:
    cache = SemanticCache()
    chat = model(astage, name, of(cache, prices={ANSWERS_AS[name]: Prices(input=1.0, output=4.0)}))
    first = await answer(chat, HOURS, way)
    hit = await answer(chat, SAME, way)
    assert len(astage.asked) == 1
    assert hit.text == first.text
    assert hit.id not in {None, first.id}
    # LangChain adds the cost of a hit to what we say of its usage.
    assert hit.usage_metadata == {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0, "total_cost": 0}
    assert set(hit.response_metadata) == {"session_router"}
    facts = hit.response_metadata["session_router"]["cache"]
    assert (facts["hit"], facts["model"]) == ("exact", ANSWERS_AS[name])
    assert cache.saved == pytest.approx(facts["saved"])
    assert facts["saved"] > 0
    assert hit.additional_kwargs == {}
    ids = {str(block.get("id")) for block in first.content if isinstance(block, dict)} | {str(first.id), first.response_metadata["id"]}
    assert not [one for one in ids - {"None"} if one in repr(hit)]
    assert "signature" not in repr(hit)
    # What comes next is taken by the strict providers.
    await answer(chat, [HumanMessage(HOURS), hit, HumanMessage("And on Sundays, by chance?")], way)
    assert astage.refused == []


@pytest.mark.parametrize("name", [CHAT, RESPONSES, CLAUDE])
@pytest.mark.parametrize("way", WAYS)
async def test_a_hit_in_a_thread_replaces_no_earlier_message(astage: Stage, name: str, way: str) -> None:
    """The same opening in two threads; in the second, the conversation goes on with a real model after the hit."""
    conversation = agent(model(astage, name, of(SemanticCache())), system_prompt="You are kind.")
    first = await turn(conversation, HOURS, thread("a"), way)
    history = await turn(conversation, HOURS, thread("b"), way)
    assert "cache" in history[-1].response_metadata["session_router"]
    assert history[-1].id != first[-1].id
    following = await turn(conversation, "And on Sundays, by chance?", thread("b"), way)
    assert [one.id for one in following[:2]] == [one.id for one in history]
    assert [type(one) for one in following] == [HumanMessage, AIMessage, HumanMessage, AIMessage]
    assert len({one.id for one in following}) == 4
    assert history[-1].text in str(astage.witness.prompts[-1].turns)
    assert len(astage.asked) == 2
    assert astage.refused == []


class LastMessageOnly(AgentMiddleware):
    """Sends what was said last, as applications do that trim their histories."""

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        return await handler(request.override(messages=request.messages[-1:]))


@pytest.mark.parametrize(("cache", "messages"), [(lambda: of(SemanticCache()), 4), (InMemoryCache, 3)])
async def test_a_thread_that_asks_the_same_again_keeps_both_answers(astage: Stage, cache: Any, messages: int) -> None:
    """With LangChain's own cache the second answer is the first message again, and the graph puts it in its place."""
    conversation = agent(model(astage, CHAT, cache()), LastMessageOnly())
    await turn(conversation, HOURS, thread("a"))
    history = await turn(conversation, HOURS, thread("a"))
    assert len(astage.asked) == 1
    assert len(history) == messages


async def test_principals_of_the_running_config_have_their_own(astage: Stage) -> None:
    conversation = agent(model(astage, CHAT, SessionRouterCache(SemanticCache())))
    for number, user in enumerate(("ada", "bob", "ada", "bob")):
        await turn(conversation, HOURS, thread(f"t{number}", langgraph_auth_user_id=user))
        assert len(astage.asked) == min(number + 1, 2)
    for number in range(2):
        await turn(conversation, HOURS, thread(f"n{number}"))
    assert len(astage.asked) == 4


async def test_names_may_be_given_by_a_function_and_shared_by_rule(astage: Stage) -> None:
    cache, who = SemanticCache(), SessionNames(tenant="acme", principal="ada")
    asked = [0]

    def ask() -> SessionNames:
        asked[0] += 1
        return who

    chat = model(astage, CHAT, SessionRouterCache(cache, names=ask, rules=CacheRules(sharing=Sharing.TENANT)))
    await chat.ainvoke(HOURS)
    who = SessionNames(tenant="acme", principal="bob")
    await chat.ainvoke(HOURS)
    assert len(astage.asked) == 1
    who = SessionNames(tenant="globex", principal="ada")
    await chat.ainvoke(HOURS)
    assert len(astage.asked) == 2
    assert asked[0] >= 3


async def test_whoever_cannot_be_named_asks_a_model(astage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    def nobody() -> SessionNames:
        raise RuntimeError(HOURS)

    chat = model(astage, CHAT, SessionRouterCache(SemanticCache(), names=nobody))
    for _ in range(2):
        assert (await chat.ainvoke(HOURS)).text
    assert len(astage.asked) == 2
    assert "RuntimeError" in caplog.text
    assert "opening" not in caplog.text


async def test_another_temperature_other_tools_another_prompt_get_an_answer_of_their_own(astage: Stage) -> None:
    cache = of(SemanticCache())
    await model(astage, CHAT, cache).ainvoke(HOURS)
    others = [
        model(astage, CHAT, cache, temperature=0.7),
        model(astage, CHAT, cache, temperature=0.8),
        model(astage, CHAT, cache, seed=7),
        model(astage, CHAT, cache).bind_tools(TOOLS),
        model(astage, CHAT, cache).bind_tools(TOOLS[:1]),
        model(astage, CHAT, cache).bind(stop=["."]),
        model(astage, CLAUDE, cache),
    ]
    for _ in range(2):
        for other in others:
            await other.ainvoke(HOURS)
    assert len(astage.asked) == 1 + len(others)
    chat = model(astage, CHAT, cache)
    await chat.ainvoke([SystemMessage("You speak like a pirate."), HumanMessage(HOURS)])
    assert len(astage.asked) == 2 + len(others)


async def test_tool_loops_are_neither_stored_nor_replayed(astage: Stage) -> None:
    astage.witness.script = {"weather": [asks(call("weather", city="Rome")), "It is sunny in Rome."]}
    cache = SemanticCache()
    conversation = agent(model(astage, CHAT, of(cache)), tools=TOOLS)
    for name in ("a", "b"):
        history = await turn(conversation, "How is the weather in Rome?", thread(name))
        assert history[-1].text == "It is sunny in Rome."
    for name in ("a", "b"):
        await turn(conversation, "Thank you, and goodbye!", thread(name))
    assert len(astage.asked) == 6
    assert not [name for name in cache.counts() if name.startswith("hit.") or name == "stored"]


@pytest.mark.parametrize("stop", ["length", "refusal"])
@pytest.mark.parametrize("name", [CHAT, RESPONSES, CLAUDE])
async def test_what_did_not_come_to_its_own_end_is_not_kept(astage: Stage, name: str, stop: Any) -> None:
    astage.witness.script = {"opening": [Reply(text="We are open from", stop=stop)]}
    cache = SemanticCache()
    chat = model(astage, name, of(cache))
    for _ in range(2):
        await chat.ainvoke(HOURS)
    assert len(astage.asked) == 2
    assert "stored" not in cache.counts()


class Opening(BaseModel):
    """When somebody is there."""

    hours: str


async def test_structured_answers_keep_their_structure(astage: Stage) -> None:
    """What a client has parsed stands beside the text, and would be missed in a new message: such answers are not kept."""
    astage.witness.script = {"opening": ['{"hours": "nine to five"}'] * 4}
    cache = SemanticCache()
    chat = model(astage, CHAT, of(cache)).with_structured_output(Opening, method="json_schema")
    for _ in range(2):
        assert await chat.ainvoke(HOURS) == Opening(hours="nine to five")
    assert "stored" not in cache.counts()
    spoken = model(astage, CHAT, of(cache)).with_structured_output(Opening, method="json_mode")
    for _ in range(2):
        assert await spoken.ainvoke(f"Answer in JSON: {HOURS}") == Opening(hours="nine to five")
    assert cache.counts()["hit.exact"] == 1
    assert len(astage.asked) == 3


async def test_those_who_ask_the_same_at_once_ask_one_model(astage: Stage) -> None:
    chat = model(astage, CHAT, of(SemanticCache()))
    answers = await asyncio.gather(*(chat.ainvoke(HOURS) for _ in range(8)))
    assert len(astage.asked) == 1
    assert len({one.text for one in answers}) == 1
    assert len({one.id for one in answers}) == 8


PATIENT = CacheSettings(wait_seconds=3_600.0)
"""Where somebody waits in vain, the test runs into its time limit."""


async def test_a_model_that_fails_lets_those_who_wait_go_on(astage: Stage) -> None:
    """LangChain does not tell a cache of failures; the end of the task does."""
    cache = SemanticCache(settings=PATIENT)
    chat = model(astage, CHAT, of(cache))
    astage.providers.faults.next(Fault.overloaded())
    answers = await asyncio.gather(*(chat.ainvoke(HOURS) for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(one, InternalServerError) for one in answers) == 1
    assert len({one.text for one in answers if isinstance(one, AIMessage)}) == 1
    assert cache._parts.flights._flights == {}


@pytest.mark.parametrize("way", ["sync", "async"])
async def test_who_tries_again_does_not_wait_for_itself(astage: Stage, way: str) -> None:
    cache = SemanticCache(settings=PATIENT)
    chat = model(astage, CHAT, of(cache))
    astage.providers.faults.next(Fault.overloaded())
    with pytest.raises(InternalServerError):
        await answer(chat, HOURS, way)
    assert (await answer(chat, HOURS, way)).text
    assert cache.counts()["stored"] == 1
    assert cache._parts.flights._flights == {}


@pytest.mark.parametrize("streamed", ["stream", "astream"])
async def test_langchain_asks_no_cache_for_a_stream_of_the_model_itself(astage: Stage, streamed: str) -> None:
    """What our documentation says of it; within an agent that is streamed it asks."""
    cache = SemanticCache()
    chat = model(astage, CHAT, of(cache))
    await chat.ainvoke(HOURS)
    chunks = list(chat.stream(HOURS)) if streamed == "stream" else [one async for one in chat.astream(HOURS)]
    assert len(chunks) > 1
    assert len(astage.asked) == 2
    assert not [name for name in cache.counts() if name.startswith("hit.")]


async def test_a_wrong_answer_is_vetoed(astage: Stage) -> None:
    cache = of(SemanticCache())
    chat = model(astage, CHAT, cache)
    first = await chat.ainvoke(HOURS)
    assert not cache.veto(first)
    hit = await chat.ainvoke(HOURS)
    read_back = AIMessage.model_validate_json(hit.model_dump_json())
    assert await cache.aveto(read_back)
    await chat.ainvoke(HOURS)
    assert len(astage.asked) == 2


@pytest.fixture
def everywhere() -> Iterator[SessionRouterCache]:
    cache = of(SemanticCache())
    set_llm_cache(cache)
    yield cache
    set_llm_cache(None)


async def test_for_all_models_of_a_process(astage: Stage, everywhere: SessionRouterCache) -> None:
    for _ in range(2):
        await astage.chat().ainvoke(HOURS)
        await astage.claude().ainvoke(HOURS)
    assert len(astage.asked) == 2
    everywhere.clear()
    await astage.chat().ainvoke(HOURS)
    assert len(astage.asked) == 3


async def test_a_broken_cache_costs_nobody_an_answer(astage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(SemanticCache):
        def look_up(self, question: Any) -> Any:
            raise RuntimeError(question.text)

        def store(self, question: Any, answer: Any) -> Any:
            raise RuntimeError(question.text, answer)

        async def alook_up(self, question: Any) -> Any:
            return self.look_up(question)

        async def astore(self, question: Any, answer: Any) -> Any:
            return self.store(question, answer)

    chat = model(astage, CHAT, of(Broken()))
    for way in ("sync", "async"):
        assert (await answer(chat, HOURS, way)).text
    assert caplog.text.count("RuntimeError") == 4
    assert "opening" not in caplog.text

"""What a routing chat model keeps of what its models say: the whole answer to what the key is made of, or nothing."""

# ruff: noqa: ARG002 -- signatures of the base classes

from __future__ import annotations

from typing import Any, Final

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from session_router import CacheRules, Policy, Prices, Router, SemanticCache
from session_router_langchain import SessionRouterChatModel
from support.agents import CHAT, RESPONSES, Stage
from support.parrot import Parrot

HOURS: Final = "What are your opening hours?"
SAME_FOR_ALL: Final = Policy(stake=1.0, margin=0.0, cache=CacheRules(sharing="tenant"))
WAYS: Final = ("invoke", "ainvoke", "stream", "astream", "events", "aevents")


async def ask(model: Any, way: str, value: Any = HOURS, config: Any = None, **options: Any) -> AIMessage:
    """Ask in one of six ways, and return the whole message."""
    match way:
        case "invoke":
            message = model.invoke(value, config, **options)
        case "ainvoke":
            message = await model.ainvoke(value, config, **options)
        case "stream":
            message = whole(list(model.stream(value, config, **options)))
        case "astream":
            message = whole([chunk async for chunk in model.astream(value, config, **options)])
        case "events":
            message = model.stream_events(value, config, version="v3", **options).output
        case _:
            message = await (await model.astream_events(value, config, version="v3", **options)).output
    assert isinstance(message, AIMessage)
    return message


def whole(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    first, *others = chunks
    for chunk in others:
        first += chunk
    return first


def decided(message: AIMessage) -> Any:
    return message.response_metadata["session_router"]["decision"]


def routing(models: Any, cache: SemanticCache, **settings: Any) -> SessionRouterChatModel:
    routes = models if isinstance(models, dict) else {"m": models}
    prices = {name: Prices(input=1.0, output=4.0) for name in routes}
    return SessionRouterChatModel(router=Router(routes, prices=prices, cache=cache, policy=SAME_FOR_ALL), **settings)


NOT_TOLD: Final[dict[str, dict[str, Any]]] = {
    "what its provider's tools did": {
        "additional_kwargs": {"tool_outputs": [{"type": "file_search_call", "id": "fs_1", "status": "completed"}]}
    },
    "a label": {"additional_kwargs": {"session_router_tag": {"level": 3}}},
    "a spoken answer": {"additional_kwargs": {"audio": {"id": "audio_1", "data": "UklG"}}},
    "a refusal beside it": {"additional_kwargs": {"refusal": "I would rather not."}},
    "probabilities": {"response_metadata": {"finish_reason": "stop", "logprobs": {"content": []}, "model_name": "m"}},
}


@pytest.mark.parametrize("way", ["invoke", "astream"])
@pytest.mark.parametrize("name", NOT_TOLD)
async def test_an_answer_with_something_beside_its_text_is_not_kept(name: str, way: str) -> None:
    beside = {**NOT_TOLD[name]}
    if name == "probabilities":
        beside["response_metadata"] = {**beside["response_metadata"], "logprobs": {"content": [{"token": "At"}]}}
    cache = SemanticCache()
    model = routing(Parrot(said={"content": "At nine.", **beside}), cache)
    for _ in range(2):
        assert decided(await ask(model, way)) != "cache_hit"
    assert cache.count() == 0
    assert cache._parts.flights._flights == {}
    plain = routing(Parrot(said={"content": "At nine."}), cache)
    await ask(plain, way)
    assert decided(await ask(plain, way)) == "cache_hit"


class Redacting(BaseCallbackHandler):
    """Changes messages in place, as some do who are told of a call."""

    run_inline = True

    def on_chat_model_start(self, serialized: Any, messages: Any, **_: Any) -> None:
        messages[0][-1].content = "Are you a pirate?"


class Retuning(BaseCallbackHandler):
    """Changes the model in place."""

    run_inline = True

    def __init__(self, model: Any) -> None:
        self.model = model

    def on_chat_model_start(self, serialized: Any, messages: Any, **_: Any) -> None:
        self.model.temperature = 0.9


@pytest.mark.filterwarnings("ignore:The method .* is in beta:langchain_core._api.beta_decorator.LangChainBetaWarning")
@pytest.mark.parametrize("way", WAYS)
async def test_what_was_changed_in_place_while_it_was_asked_is_not_kept(astage: Stage, way: str) -> None:
    cache, chat = SemanticCache(), astage.chat()
    model = routing(chat, cache)
    await ask(model, way, [HumanMessage(HOURS)], {"callbacks": [Redacting()]})
    assert cache.count() == 0
    await ask(model, way, [HumanMessage(HOURS)], {"callbacks": [Retuning(chat)]})
    assert cache.count() == 0
    assert cache._parts.flights._flights == {}
    await ask(model, way, [HumanMessage(HOURS)])
    assert cache.count() == 1
    assert decided(await ask(model, way, [HumanMessage(HOURS)])) == "cache_hit"


@pytest.mark.filterwarnings("ignore:The method .* is in beta:langchain_core._api.beta_decorator.LangChainBetaWarning")
async def test_all_ways_meet_at_one_key(astage: Stage) -> None:
    cache = SemanticCache()
    model = routing(astage.routes(), cache)
    texts = {(await ask(model, way)).text for way in WAYS}
    assert len(texts) == 1
    assert len(astage.asked) == 1
    assert cache.counts() == {"miss.nothing": 1, "stored": 1, "hit.exact": len(WAYS) - 1}


@pytest.mark.filterwarnings("ignore:The method .* is in beta:langchain_core._api.beta_decorator.LangChainBetaWarning")
@pytest.mark.parametrize("way", WAYS)
async def test_routers_that_share_a_cache_and_ask_elsewhere_share_no_answers(astage: Stage, way: str) -> None:
    cache = SemanticCache(key=b"k" * 32)
    at = {"base_url": astage.providers.openai_base_url + "/"}
    for settings in (
        {},
        {"top_p": 0.5},
        {"model_kwargs": {"user": "bob"}},
        {"default_headers": {"x-route": "eu"}},
        at,
        {"api_key": "sk-2"},
    ):
        assert decided(await ask(routing(astage.chat(**settings), cache), way)) != "cache_hit", settings
    assert decided(await ask(routing(astage.chat(), cache), way)) == "cache_hit"


@pytest.mark.parametrize("way", ["sync", "async", "streamed"])
@pytest.mark.parametrize("name", [CHAT, RESPONSES])
async def test_an_agent_around_the_chat_model_goes_on_after_a_hit(astage: Stage, name: str, way: str) -> None:
    """A hit in a LangGraph thread replaces no earlier message, and the next request bears nothing of the stored one."""
    cache = SemanticCache()
    agent: Any = create_agent(routing({name: astage.routes()[name]}, cache), tools=[], checkpointer=InMemorySaver())

    async def turn(text: str, thread: str) -> list[Any]:
        said: Any = {"messages": [HumanMessage(text)]}
        config: Any = {"configurable": {"thread_id": thread}}
        if way == "sync":
            agent.invoke(said, config)
        elif way == "async":
            await agent.ainvoke(said, config)
        else:
            assert [chunk async for chunk, _ in agent.astream(said, config, stream_mode="messages")]
        return list(agent.get_state(config).values["messages"])

    first = await turn(HOURS, "a")
    hit = await turn(HOURS, "b")
    again = await turn(HOURS, "a")
    assert decided(hit[-1]) == "cache_hit"
    assert hit[-1].id != first[-1].id
    assert [one.id for one in again[:2]] == [one.id for one in first]
    following = await turn("And on Sundays, by chance?", "b")
    assert [one.id for one in following[:2]] == [one.id for one in hit]
    assert [type(one) for one in following] == [HumanMessage, AIMessage, HumanMessage, AIMessage]
    assert len({one.id for one in following}) == 4
    assert astage.refused == []
    sent = str(astage.witness.prompts[-1])
    assert str(first[-1].id) not in sent

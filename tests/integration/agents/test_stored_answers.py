"""Answers that were given before, replayed in real agents: a hit is a new message, and nothing of a provider comes back with it."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents.middleware import AgentMiddleware
from langchain_anthropic.middleware import AnthropicPromptCachingMiddleware
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage
from langgraph.checkpoint.memory import InMemorySaver
from openai import InternalServerError

from session_router import CacheRules, Feedback, Policy, SemanticCache
from session_router.core.feedback import Heard
from session_router.errors import NoModelChosen
from session_router.testing.providers import Fault
from session_router_langchain import SessionRouterChatModel, SessionRouterMiddleware
from support.agents import CHAT, CLAUDE, RESPONSES, RestlessScorer, Stage, agent_of, asks, call, session_in

if TYPE_CHECKING:
    from session_router.router import Router

HOURS = "What are your opening hours?"
SAME = "what are your opening hours"
SAME_FOR_ALL = Policy(stake=1.0, margin=0.0, cache=CacheRules(sharing="tenant"))
WAYS = ("sync", "async", "streamed", "streamed async")


class Watch:
    """Keeps every decision."""

    def __init__(self) -> None:
        self.decisions: list[Any] = []

    def on_decision(self, decision: Any) -> None:
        self.decisions.append(decision)

    def on_outcome(self, decision: Any, outcome: Any) -> None:
        pass


def router_of(stage: Stage, cache: SemanticCache | None, *, start: int = 0, routes: Any = None, **settings: Any) -> Router:
    return stage.router(routes, cache=cache, **{"policy": SAME_FOR_ALL, "scorer": RestlessScorer(start=start), **settings})


def agent(stage: Stage, router: Router, **settings: Any) -> Any:
    return agent_of(stage, router=SessionRouterMiddleware(router, principal="ada"), checkpointer=InMemorySaver(), **settings)


def thread(name: str) -> Any:
    return {"configurable": {"thread_id": name}}


async def turn(agent: Any, text: str, config: Any, way: str) -> list[Any]:
    """Say `text`, and return the whole history after it."""
    said = {"messages": [HumanMessage(text)]}
    match way:
        case "sync":
            agent.invoke(said, config)
        case "async":
            await agent.ainvoke(said, config)
        case "streamed":
            streamed = [one for one, _ in agent.stream(said, config, stream_mode="messages")]
        case _:
            streamed = [one async for one, _ in agent.astream(said, config, stream_mode="messages")]
    messages: list[Any] = agent.get_state(config).values["messages"]
    if way.startswith("streamed"):
        assert "".join(one.text for one in streamed if one.type in {"ai", "AIMessageChunk"}) == messages[-1].text
    return messages


@pytest.mark.parametrize("way", WAYS)
async def test_a_hit_asks_nobody_and_is_a_new_message(astage: Stage, way: str) -> None:
    cache = SemanticCache()
    first = agent(astage, router_of(astage, cache), tools=())
    (_, answer) = await turn(first, HOURS, thread("a"), way)
    asked = list(astage.asked)
    assert len(asked) == 1
    second = agent(astage, router_of(astage, cache), tools=())
    (_, replayed) = await turn(second, SAME, thread("b"), way)
    assert astage.asked == asked
    assert replayed.text == answer.text
    assert replayed.id not in {None, answer.id}
    assert replayed.usage_metadata == {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    facts = replayed.response_metadata["session_router"]
    assert (facts["model"], facts["decision"], facts["reason"]) == (None, "cache_hit", "answered_before")
    assert facts["cache"]["hit"] == "exact"
    assert facts["cache"]["model"] == answer.response_metadata["session_router"]["model"]
    assert set(replayed.response_metadata) == {"session_router"}
    assert replayed.additional_kwargs == {}
    assert cache.counts()["hit.exact"] == 1
    assert cache.saved == pytest.approx(facts["cache"]["saved"])


@pytest.mark.parametrize("door", ["agent", "chat model"])
async def test_what_goes_on_with_a_question_of_the_day_is_asked_anew(astage: Stage, door: str) -> None:
    """The conversation before it may be word for word the same, an hour later."""
    cache = SemanticCache()
    router = router_of(astage, cache, routes={CHAT: astage.chat()})
    subject = agent(astage, router, tools=()) if door == "agent" else SessionRouterChatModel(router=router, principal="ada")
    for name in ("a", "b"):
        if door == "agent":
            await turn(subject, "What is the weather in London right now?", thread(name), "async")
            (*_, last) = await turn(subject, "And in Paris?", thread(name), "async")
        else:
            asked = [HumanMessage("What is the weather in London right now?"), AIMessage("Sunny."), HumanMessage("And in Paris?")]
            last = await subject.ainvoke(asked)
        assert last.response_metadata["session_router"]["model"] == CHAT
    assert cache.count() == 0


@pytest.mark.parametrize("way", WAYS)
async def test_a_hit_in_a_thread_replaces_no_earlier_message(astage: Stage, way: str) -> None:
    """The same opening in two threads; in the second, the conversation goes on with a real model after the hit."""
    cache = SemanticCache()
    router = router_of(astage, cache)
    conversation = agent(astage, router, tools=())
    await turn(conversation, HOURS, thread("a"), way)
    history = await turn(conversation, HOURS, thread("b"), way)
    following = await turn(conversation, "And on Sundays, by chance?", thread("b"), way)
    assert [one.id for one in following[:2]] == [one.id for one in history]
    assert [type(one) for one in following] == [HumanMessage, AIMessage, HumanMessage, AIMessage]
    assert len({one.id for one in following}) == 4
    # What the next model reads of it is its text.
    last = astage.witness.prompts[-1]
    assert history[-1].text in str(last.turns)
    astage.assert_sound(following, session=session_in(conversation, thread("b")))


@pytest.mark.parametrize("name", [CHAT, RESPONSES, CLAUDE])
@pytest.mark.parametrize("way", WAYS)
async def test_no_provider_id_comes_back(astage: Stage, name: str, way: str) -> None:
    """Item ids, signed thoughts and response ids belong to the message that was stored; the next request must not bear them."""
    cache = SemanticCache()
    router = router_of(astage, cache, routes={name: astage.routes()[name]})
    conversation = agent(astage, router, tools=())
    first = await turn(conversation, HOURS, thread("a"), way)
    hit = await turn(conversation, HOURS, thread("b"), way)
    assert hit[-1].response_metadata["session_router"]["decision"] == "cache_hit"
    ids = {str(block.get("id")) for block in first[-1].content if isinstance(block, dict)} | {str(first[-1].id)}
    assert not [one for one in ids - {"None"} if one in repr(hit[-1])]
    assert "signature" not in repr(hit[-1])
    await turn(conversation, "And on Sundays, by chance?", thread("b"), way)
    assert astage.refused == []


async def test_tool_loops_are_neither_stored_nor_replayed(astage: Stage) -> None:
    astage.witness.script = {"weather": [asks(call("weather", city="Rome")), "It is sunny in Rome."]}
    cache = SemanticCache()
    conversation = agent(astage, router_of(astage, cache, routes={CHAT: astage.chat()}))
    text = "How is the weather in Rome?"
    for name in ("a", "b"):
        history = await turn(conversation, text, thread(name), "async")
        assert history[-1].text == "It is sunny in Rome."
    assert len(astage.asked) == 4
    # Nor what is said after one: it may rest on what the tool said.
    for name in ("a", "b"):
        await turn(conversation, "Thank you, and goodbye!", thread(name), "async")
    assert len(astage.asked) == 6
    assert not [name for name in cache.counts() if name.startswith("hit.") or name == "stored"]


async def test_another_prompt_other_tools_another_user_get_an_answer_of_their_own(astage: Stage) -> None:
    cache = SemanticCache()
    router = router_of(astage, cache, policy=Policy(stake=1.0, margin=0.0))
    await turn(agent(astage, router, tools=()), HOURS, thread("a"), "async")
    others = [
        agent(astage, router, tools=(), system_prompt=SystemMessage("You speak like a pirate.")),
        agent(astage, router),
        agent_of(astage, router=SessionRouterMiddleware(router, principal="bob"), checkpointer=InMemorySaver(), tools=()),
        agent_of(astage, router=SessionRouterMiddleware(router), checkpointer=InMemorySaver(), tools=()),
        agent_of(astage, router=SessionRouterMiddleware(router, principal="ada", tenant="x"), checkpointer=InMemorySaver(), tools=()),
    ]
    for number, other in enumerate(others):
        history = await turn(other, HOURS, thread(f"b{number}"), "async")
        assert history[-1].response_metadata["session_router"]["decision"] != "cache_hit", number
    assert len(astage.asked) == 6
    assert (await turn(agent(astage, router, tools=()), HOURS, thread("c"), "async"))[-1].text
    assert len(astage.asked) == 6


class Personal(AgentMiddleware):
    """Puts what only this user may know into the prompt, further inside than the router looks."""

    def __init__(self, secret: str = "") -> None:
        super().__init__()
        self.secret = secret

    def personal(self, request: Any) -> Any:
        return request.override(system_message=SystemMessage(f"The user's name is {self.secret}.")) if self.secret else request

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        return handler(self.personal(request))

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        return await handler(self.personal(request))


@pytest.mark.parametrize("way", WAYS)
async def test_an_answer_to_a_request_that_was_changed_on_its_way_is_not_kept(astage: Stage, way: str) -> None:
    cache = SemanticCache()
    router = router_of(astage, cache)
    await turn(agent_of(astage, Personal("Ada"), router=SessionRouterMiddleware(router, principal="a"), tools=()), HOURS, thread("a"), way)
    history = await turn(
        agent_of(astage, Personal(), router=SessionRouterMiddleware(router, principal="b"), tools=()), HOURS, thread("b"), way
    )
    assert history[-1].response_metadata["session_router"]["decision"] != "cache_hit"
    assert cache.counts() == {"miss.nothing": 2, "stored": 1}
    assert cache._parts.flights._flights == {}


async def test_marks_for_prompt_caches_change_nothing(astage: Stage) -> None:
    cache = SemanticCache()
    router = router_of(astage, cache, routes={CLAUDE: astage.claude()})
    marking = AnthropicPromptCachingMiddleware(min_messages_to_cache=0)
    for name in ("a", "b"):
        routed = SessionRouterMiddleware(router, principal="ada")
        await turn(agent_of(astage, marking, router=routed, tools=(), system_prompt="Be brief."), HOURS, thread(name), "async")
    assert len(astage.asked) == 1
    assert cache.counts()["hit.exact"] == 1


async def test_the_session_stays_where_it_was(astage: Stage) -> None:
    """A hit is no model's turn: the next boundary finds the session on the model that it was on, and what that has read."""
    watch = Watch()
    router = router_of(astage, SemanticCache(), observers=[watch])
    conversation = agent(astage, router, tools=())
    for name in ("a", "b"):
        await turn(conversation, f"I am {name}: hello there, good people", thread(name), "async")
        await turn(conversation, HOURS, thread(name), "async")
    await turn(conversation, "I am a: hello there, good people", thread("c"), "async")
    assert "session_router" not in conversation.get_state(thread("c")).values
    assert [one.hit is not None for one in watch.decisions] == [False] * 4 + [True]
    (hit,) = watch.decisions[-1:]
    assert (hit.model, hit.lock, hit.previous, hit.reason) == (None, None, None, "answered_before")
    # After it the session begins: there was no model before.
    await turn(conversation, "And on Sundays, by chance?", thread("c"), "async")
    last = watch.decisions[-1]
    assert (last.previous, last.reason, last.turn, last.call) == (None, "first_call", 2, 1)
    with pytest.raises(NoModelChosen, match="Replay"):
        hit.chosen()


async def test_what_is_said_against_a_hit_removes_it(astage: Stage) -> None:
    cache = SemanticCache()
    router = router_of(astage, cache)
    conversation = agent(astage, router, tools=())
    await turn(conversation, HOURS, thread("a"), "async")
    hit = (await turn(conversation, HOURS, thread("b"), "async"))[-1]
    facts = hit.response_metadata["session_router"]
    assert await router.afeedback(facts, Feedback.thumbs(up=True)) is Heard.NOTHING
    # Whichever process hears of it.
    assert await router_of(astage, cache).afeedback(json.loads(json.dumps(facts)), Feedback.thumbs(up=False)) is Heard.VETOED
    asked = len(astage.asked)
    await turn(conversation, HOURS, thread("c"), "async")
    assert len(astage.asked) == asked + 1


@pytest.mark.parametrize("way", WAYS)
async def test_a_failure_lets_those_who_wait_go_on(astage: Stage, way: str) -> None:
    """Whoever missed leads; when the model fails for good, nobody waits for an answer that will not come."""
    cache = SemanticCache()
    conversation = agent(astage, router_of(astage, cache, routes={CHAT: astage.chat()}), tools=())
    astage.providers.faults.next(Fault.overloaded())
    with pytest.raises(InternalServerError):
        await turn(conversation, HOURS, thread("a"), way)
    assert cache.counts() == {"miss.nothing": 1}
    assert cache._parts.flights._flights == {}


async def test_who_answers_after_a_failure_is_kept(astage: Stage) -> None:
    cache = SemanticCache()
    conversation = agent(astage, router_of(astage, cache), tools=())
    astage.providers.faults.next(Fault.overloaded())
    first = await turn(conversation, HOURS, thread("a"), "async")
    hit = await turn(conversation, HOURS, thread("b"), "async")
    assert hit[-1].text == first[-1].text
    assert hit[-1].response_metadata["session_router"]["cache"]["model"] == first[-1].response_metadata["session_router"]["model"]
    assert cache._parts.flights._flights == {}


async def test_a_stream_that_its_reader_leaves_is_not_kept(astage: Stage) -> None:
    cache = SemanticCache()
    model = SessionRouterChatModel(router=router_of(astage, cache, routes={CHAT: astage.chat()}), principal="ada")
    async with aclosing(model.astream(HOURS)) as chunks:
        async for _ in chunks:
            break
    with closing(model.stream(HOURS)) as more:
        next(iter(more))
    assert cache._parts.flights._flights == {}
    assert "stored" not in cache.counts()


async def test_those_who_ask_the_same_at_once_ask_one_model(astage: Stage) -> None:
    conversation = agent(astage, router_of(astage, SemanticCache()), tools=())
    histories = await asyncio.gather(*(turn(conversation, HOURS, thread(f"t{number}"), "async") for number in range(8)))
    assert len(astage.asked) == 1
    assert len({history[-1].text for history in histories}) == 1
    assert len({history[-1].id for history in histories}) == 8


def test_a_cache_that_breaks_its_promise_costs_nobody_an_answer(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(SemanticCache):
        def look_up(self, question: Any) -> Any:
            raise RuntimeError(question.text)

        def store(self, question: Any, answer: Any) -> Any:
            raise RuntimeError(question.text, answer)

    watch = Watch()
    model = SessionRouterChatModel(router=router_of(stage, Broken(), observers=[watch]), principal="ada")
    assert model.invoke(HOURS).text
    assert watch.decisions[0].evidence.to_plain()["cache"] == {"miss": "failed", "detail": "RuntimeError"}
    assert "RuntimeError" in caplog.text
    assert "opening" not in caplog.text


def test_a_pinned_model_answers_itself(stage: Stage) -> None:
    model = SessionRouterChatModel(router=router_of(stage, SemanticCache()), principal="ada")
    model.invoke(HOURS)
    assert model.invoke(HOURS, model=CLAUDE).response_metadata["session_router"]["reason"] == "pinned"
    assert len(stage.asked) == 2


def test_another_temperature_is_another_question(stage: Stage) -> None:
    router = router_of(stage, SemanticCache())
    SessionRouterChatModel(router=router, principal="ada").invoke(HOURS)
    SessionRouterChatModel(router=router, principal="ada", temperature=0.7).invoke(HOURS)
    assert len(stage.asked) == 2


def test_what_a_decision_holds_is_written_nowhere(stage: Stage) -> None:
    """The question in a decision is the user's text: no row, no record, no `repr` has it."""
    watch = Watch()
    model = SessionRouterChatModel(router=router_of(stage, SemanticCache(), observers=[watch]), principal="ada")
    for _ in range(2):
        model.invoke(HOURS)
    missed, hit = watch.decisions
    assert missed.asked is not None
    assert hit.hit is not None
    for decision in (missed, hit):
        assert "opening hours" not in json.dumps(decision.to_plain())
    assert "opening hours" not in repr(missed)


@pytest.mark.filterwarnings("ignore:The method .* is in beta:langchain_core._api.beta_decorator.LangChainBetaWarning")
def test_events_of_a_hit_make_the_message(stage: Stage) -> None:
    model = SessionRouterChatModel(router=router_of(stage, SemanticCache()), principal="ada")
    whole = model.invoke(HOURS)
    stream = model.stream_events(HOURS, version="v3")
    assert [event["event"] for event in stream] == [
        "message-start",
        "content-block-start",
        "content-block-delta",
        "content-block-finish",
        "message-finish",
    ]
    assert stream.output_message.text == whole.text
    assert stream.output_message.response_metadata["session_router"]["decision"] == "cache_hit"
    assert len(stage.asked) == 1


def test_chunks_of_a_hit_make_the_message(stage: Stage) -> None:
    model = SessionRouterChatModel(router=router_of(stage, SemanticCache()), principal="ada")
    whole = model.invoke(HOURS)
    chunks = list(model.stream(HOURS))
    assert all(isinstance(chunk, AIMessageChunk) for chunk in chunks)
    assert "".join(chunk.text for chunk in chunks) == whole.text
    assert [chunk.chunk_position for chunk in chunks] == [None] * (len(chunks) - 1) + ["last"]
    assert len({chunk.id for chunk in chunks}) == 1
    assert len(stage.asked) == 1

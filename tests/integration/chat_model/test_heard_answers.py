"""A stored answer is heard like any other: whoever listens to model calls is told of one that no model gave."""

from __future__ import annotations

import uuid
from contextlib import aclosing, closing
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import pytest
from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.chat_history import InMemoryChatMessageHistory
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.runnables.history import RunnableWithMessageHistory
from langgraph.checkpoint.memory import InMemorySaver
from opentelemetry import context as contexts
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY as SUPPRESSED

from session_router import CacheRules, Policy, Prices, Router, SemanticCache
from session_router_langchain import SessionRouterChatModel, SessionRouterMiddleware
from support.agents import Stage, agent_of
from support.parrot import Parrot

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = [
    pytest.mark.filterwarnings("ignore:The method .* is in beta:langchain_core._api.beta_decorator.LangChainBetaWarning"),
    pytest.mark.filterwarnings("ignore:astream_events.*v1"),
]

HOURS: Final = "What are your opening hours?"
SAID: Final = "We are open from nine to five, and on Thursdays until eight in the evening; on Sundays nobody is here."
SAME_FOR_ALL: Final = Policy(stake=1.0, margin=0.0, cache=CacheRules(sharing="tenant"))
WAYS: Final = ("invoke", "ainvoke", "stream", "astream", "events", "aevents")
STAMP: Final = "session_router"


class Heard(BaseCallbackHandler):
    """Whatever callbacks are told of model calls."""

    def __init__(self) -> None:
        self.started: list[dict[str, Any]] = []
        self.messages: list[Sequence[Any]] = []
        self.tokens: list[str] = []
        self.ended: list[tuple[uuid.UUID, AIMessage]] = []

    def on_chat_model_start(self, serialized: Any, messages: Any, **told: Any) -> None:
        self.started.append({**told, "serialized": serialized})
        self.messages.append(messages[0])

    def on_llm_new_token(self, token: str, **_: Any) -> None:
        self.tokens.append(token)

    def on_stream_event(self, event: Any, **_: Any) -> None:
        if event["event"] == "content-block-delta":
            self.tokens.append(event["delta"]["text"])

    def on_llm_end(self, response: Any, *, run_id: uuid.UUID, **_: Any) -> None:
        self.ended.append((run_id, response.generations[0][0].message))


def router(content: Any = SAID, **settings: Any) -> Router:
    return Router(
        {"m": Parrot(said={"content": content})},
        prices={"m": Prices(input=1.0, output=4.0)},
        policy=SAME_FOR_ALL,
        cache=SemanticCache(),
        **settings,
    )


def chat(content: Any = SAID, **settings: Any) -> SessionRouterChatModel:
    """Return a model that has the answer stored."""
    model = SessionRouterChatModel(router=router(content), **settings)
    model.invoke(HOURS)
    return model


async def ask(model: Any, way: str, config: Any = None) -> AIMessage:
    match way:
        case "invoke":
            return model.invoke(HOURS, config)
        case "ainvoke":
            return await model.ainvoke(HOURS, config)
        case "stream":
            chunks = list(model.stream(HOURS, config))
        case "astream":
            chunks = [chunk async for chunk in model.astream(HOURS, config)]
        case "events":
            return model.stream_events(HOURS, config, version="v3").output
        case _:
            return await (await model.astream_events(HOURS, config, version="v3")).output
    first, *others = chunks
    return sum(others, first)


def is_hit(message: AIMessage) -> bool:
    return message.response_metadata[STAMP]["decision"] == "cache_hit"


@pytest.mark.parametrize("way", WAYS)
async def test_it_is_one_run(way: str) -> None:
    heard, usage, own = Heard(), UsageMetadataCallbackHandler(), uuid.uuid4()
    config = {"callbacks": [heard, usage], "tags": ["mine"], "metadata": {"customer": "7"}, "run_id": own, "run_name": "hours"}
    message = await ask(chat(tags=["standing"]), way, config)
    assert is_hit(message)
    (started,), ((ended, told),) = heard.started, heard.ended
    assert (started["run_id"], ended, started["name"]) == (own, own, "hours")
    assert {"mine", "standing"} <= set(started["tags"])
    assert started["metadata"]["customer"] == "7"
    assert started["metadata"][STAMP]["decision"] == "cache_hit"
    assert [one.text for one in heard.messages[0]] == [HOURS]
    assert (told.text, told.id) == (SAID, message.id)
    assert told.response_metadata[STAMP] == message.response_metadata[STAMP]
    assert "".join(heard.tokens) == ("" if way.endswith("invoke") else SAID)
    # It took no tokens, of nobody.
    assert usage.usage_metadata == {}
    # What it says is in the answer alone.
    assert "Thursdays" not in repr(started)


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("around", [False, True])
async def test_event_streams_tell_it(version: Any, around: bool) -> None:
    model: Any = chat()
    if around:
        own = model

        async def inside(value: Any) -> Any:
            return await own.ainvoke(value)

        model = RunnableLambda(inside)
    async with aclosing(model.astream_events(HOURS, version=version)) as events:
        told = [event async for event in events if event["event"].startswith("on_chat_model")]
    kinds = [event["event"].removeprefix("on_chat_model_") for event in told]
    assert (kinds[0], kinds[-1], set(kinds[1:-1])) == ("start", "end", {"stream"})
    assert "".join(event["data"]["chunk"].text for event in told[1:-1]) == SAID
    assert len({event["run_id"] for event in told}) == 1


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
async def test_listeners_hear_it(way: str) -> None:
    heard: list[str] = []
    model = chat().with_listeners(
        on_start=lambda _: heard.append("start"), on_end=lambda run: heard.append(run.outputs["generations"][0][0]["text"])
    )
    await ask(model, way)
    assert heard == ["start", SAID]


@pytest.mark.filterwarnings("ignore:.*deprecated")
@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
async def test_a_history_of_messages_keeps_it(way: str) -> None:
    kept = InMemoryChatMessageHistory()
    model = RunnableWithMessageHistory(chat(), lambda _: kept)
    await ask(model, way, {"configurable": {"session_id": "one"}})
    assert [one.text for one in kept.messages if one.text] == [HOURS, SAID]


@pytest.mark.parametrize("way", WAYS)
async def test_blocks_come_back_as_blocks(way: str) -> None:
    blocks = [{"type": "text", "text": "We are open "}, {"type": "text", "text": "from nine."}]
    heard = Heard()
    message = await ask(chat(blocks), way, {"callbacks": [heard]})
    assert is_hit(message)
    assert message.text == heard.ended[0][1].text == "We are open from nine."
    if way.endswith("invoke"):
        assert message.content == blocks


async def test_langchains_own_cache_is_not_asked_and_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from langchain_core import globals as settings
    from langchain_core.caches import InMemoryCache

    model, around = chat(), InMemoryCache()
    monkeypatch.setattr(settings, "_llm_cache", around)
    assert is_hit(model.invoke(HOURS))
    assert is_hit(await model.ainvoke(HOURS))
    assert around._cache == {}


@pytest.mark.parametrize("way", ["stream", "astream", "events", "aevents"])
async def test_a_reader_makes_spans_while_it_reads(way: str) -> None:
    """Instrumentations pause while an answer is told, and not in between."""
    seen, told = set[object](), set[object]()

    class Paused(BaseCallbackHandler):
        run_inline = True

        def on_chat_model_start(self, *_: Any, **__: Any) -> None:
            told.add(contexts.get_value(SUPPRESSED))

    model, config = chat(), {"callbacks": [Paused()]}
    match way:
        case "stream":
            for _ in model.stream(HOURS, config):
                seen.add(contexts.get_value(SUPPRESSED))
        case "astream":
            async for _ in model.astream(HOURS, config):
                seen.add(contexts.get_value(SUPPRESSED))
        case "events":
            for _ in model.stream_events(HOURS, config, version="v3"):
                seen.add(contexts.get_value(SUPPRESSED))
        case _:
            async for _ in await model.astream_events(HOURS, config, version="v3"):
                seen.add(contexts.get_value(SUPPRESSED))
    assert (seen, told) == ({None}, {True})


class Attaches(BaseCallbackHandler):
    """Makes a span of its own of each call, and lets it be the current one meanwhile, as tracing handlers do."""

    run_inline = True

    def __init__(self) -> None:
        self.tokens = dict[uuid.UUID, Any]()

    def on_chat_model_start(self, *_: Any, run_id: uuid.UUID, **__: Any) -> None:
        self.tokens[run_id] = contexts.attach(contexts.set_value("span", run_id))

    def on_llm_end(self, *_: Any, run_id: uuid.UUID, **__: Any) -> None:
        contexts.detach(self.tokens.pop(run_id))

    on_llm_error = on_llm_end


@pytest.mark.parametrize("steps", [1, 2, None])
@pytest.mark.parametrize("way", ["stream", "astream"])
async def test_a_stream_that_is_broken_off_leaves_a_reader_s_context_as_it_was(way: str, steps: int | None) -> None:
    model, config, handler = chat(), {}, Attaches()
    config["callbacks"] = [handler]
    before = contexts.get_current()
    if way == "stream":
        with closing(model.stream(HOURS, config)) as streamed:
            for _ in islice(streamed, steps):
                pass
    else:
        async with aclosing(model.astream(HOURS, config)) as chunks:
            taken = 0
            async for _ in chunks:
                taken += 1
                if taken == steps:
                    break
    assert handler.tokens == {}
    assert contexts.get_value(SUPPRESSED) is None
    assert contexts.get_current() == before


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_handler_that_raises_is_heard_as_with_any_model(is_async: bool) -> None:
    class Strict(BaseCallbackHandler):
        raise_error = True

        def on_chat_model_start(self, *_: Any, **__: Any) -> None:
            msg = "not today"
            raise RuntimeError(msg)

    model = chat()
    with pytest.raises(RuntimeError, match="not today"):
        await ask(model, "ainvoke" if is_async else "invoke", {"callbacks": [Strict()]})
    assert is_hit(model.invoke(HOURS))


@pytest.mark.parametrize("streamed", [False, True])
def test_a_router_around_one_takes_it_for_the_answer_of_its_route(streamed: bool) -> None:
    outcomes: list[Any] = []

    class Watch:
        def on_decision(self, decision: Any) -> None: ...

        def on_outcome(self, _: Any, outcome: Any) -> None:
            outcomes.append(outcome)

    around = Router({"inner": chat()}, prices={"inner": Prices(input=1.0, output=1.0)}, observers=[Watch()])
    model = SessionRouterChatModel(router=around)
    text = "".join(one.text for one in model.stream(HOURS)) if streamed else model.invoke(HOURS).text
    assert text == SAID
    assert [outcome.model for outcome in outcomes] == ["inner"]


# Agents


def routed(stage: Stage) -> Any:
    """Return an agent whose first answer is everybody's."""
    own = stage.router(policy=SAME_FOR_ALL, cache=SemanticCache())
    return agent_of(
        stage, router=SessionRouterMiddleware(own, principal="ada"), checkpointer=InMemorySaver(), tools=(), system_prompt="Short."
    )


def asked() -> Any:
    return {"messages": [HumanMessage(HOURS)]}


def thread(name: str) -> Any:
    return {"configurable": {"thread_id": name}}


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_callbacks_of_an_agent_are_told(astage: Stage, way: str) -> None:
    agent = routed(astage)
    agent.invoke(asked(), thread("a"))
    heard = Heard()
    config = {**thread("b"), "callbacks": [heard]}
    state = agent.invoke(asked(), config) if way == "invoke" else await agent.ainvoke(asked(), config)
    answer = state["messages"][-1]
    assert is_hit(answer)
    (started,), ((_, told),) = heard.started, heard.ended
    assert (told.id, told.text) == (answer.id, answer.text)
    assert started["parent_run_id"] is not None
    assert started["metadata"]["langgraph_node"] == "model"
    assert [one.type for one in heard.messages[0]] == ["system", "human"]


async def test_event_streams_of_an_agent_tell_it(astage: Stage) -> None:
    agent = routed(astage)
    state = await agent.ainvoke(asked(), thread("a"))
    async with aclosing(agent.astream_events(asked(), thread("b"), version="v2")) as events:
        told = [event async for event in events if event["event"] == "on_chat_model_stream"]
    assert "".join(event["data"]["chunk"].text for event in told) == state["messages"][-1].text


async def test_a_stream_of_an_agents_messages_tells_it_once_and_in_pieces(astage: Stage) -> None:
    agent = routed(astage)
    whole = (await agent.ainvoke(asked(), thread("a")))["messages"][-1].text
    streamed = [one async for one, _ in agent.astream(asked(), thread("b"), stream_mode="messages") if one.type == "AIMessageChunk"]
    assert "".join(one.text for one in streamed) == whole
    assert len(streamed) > 1
    assert len({one.id for one in streamed}) == 1
    again = [one for one, _ in agent.stream(asked(), thread("c"), stream_mode="messages") if one.type == "AIMessageChunk"]
    assert "".join(one.text for one in again) == whole

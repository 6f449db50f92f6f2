"""A stored answer is delivered as its model's would be: under the agent's name, through callbacks, streamed where that would be."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import wrap_model_call
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from session_router import CacheRules, Policy, Prices, Router, SemanticCache
from session_router_langchain import SessionRouterChatModel, SessionRouterMiddleware
from support.parrot import Parrot

if TYPE_CHECKING:
    from collections.abc import Callable

HOURS: Final = "What are your opening hours?"
SAID: Final = "We are open from nine to five, and on Thursdays until eight in the evening; on Sundays nobody is here."
SAME_FOR_ALL: Final = Policy(stake=1.0, margin=0.0, cache=CacheRules(sharing="tenant"))
SIGNED: Final = " Yours, Ada's desk."
STAMP: Final = "session_router"


def router(content: Any = SAID, **settings: Any) -> Router:
    return router_of(Parrot(said={"content": content}, **settings))


def router_of(model: Parrot) -> Router:
    return Router(
        {"m": model},
        prices={"m": Prices(input=1.0, output=4.0)},
        policy=SAME_FOR_ALL,
        cache=SemanticCache(),
    )


def agent(own: Router | None = None, **settings: Any) -> Any:
    return create_agent(Parrot(said={"content": SAID}), **settings, middleware=[SessionRouterMiddleware(own or router())])


def asked(text: str = HOURS) -> Any:
    return {"messages": [HumanMessage(text)]}


def is_hit(message: AIMessage) -> bool:
    return message.response_metadata[STAMP]["decision"] == "cache_hit"


async def last(run: Any, is_async: bool, config: Any = None, text: str = HOURS) -> AIMessage:
    state = await run.ainvoke(asked(text), config) if is_async else run.invoke(asked(text), config)
    return state["messages"][-1]


# Names


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("name", ["ada", None])
async def test_it_bears_the_agent_s_name(name: str | None, is_async: bool) -> None:
    own = router()
    first, second, elsewhere = [await last(one, is_async) for one in (agent(own, name=name), agent(own, name=name), agent(own, name="bob"))]
    assert [is_hit(first), is_hit(second), is_hit(elsewhere)] == [False, True, True]
    assert [first.name, second.name, elsewhere.name] == [name, name, "bob"]


def test_a_conversation_that_began_with_it_is_the_same_conversation() -> None:
    run = agent(name="ada", checkpointer=InMemorySaver())
    further = []
    for number in range(3):
        config = {"configurable": {"thread_id": str(number)}}
        run.invoke(asked(), config)
        further.append(is_hit(run.invoke(asked("Where is the shop?"), config)["messages"][-1]))
    assert further == [False, True, True]


def test_an_agent_without_a_name_bears_none_within_one_that_has_one() -> None:
    names = list[str | None]()
    inner = agent()

    @tool
    def ask() -> str:
        """Ask another agent."""
        answer = inner.invoke(asked())["messages"][-1]
        names.append(answer.name)
        return answer.text

    calls = [{"name": "ask", "args": {}, "id": f"call_{number}"} for number in range(3)]
    answers = iter([*({"content": "", "tool_calls": [call]} for call in calls), {"content": "Done."}])

    class Asking(Parrot):
        def _generate(self, *given: Any, **options: Any) -> Any:
            return Parrot(said=next(answers))._generate(*given, **options)

        def bind_tools(self, *_: Any, **__: Any) -> Any:
            return self

    create_agent(Asking(said={"content": ""}), tools=[ask], name="boss").invoke(asked("Ask three times."))
    assert names == [None, None, None]


def test_an_agent_without_a_name_bears_none_though_it_begins_with_it() -> None:
    own = router()
    agent(own).invoke(asked())
    names = list[str | None]()
    cold = agent(own)

    @tool
    def ask() -> str:
        """Ask another agent."""
        answer = cold.invoke(asked())["messages"][-1]
        assert is_hit(answer)
        names.append(answer.name)
        return answer.text

    class Asking(Parrot):
        def bind_tools(self, *_: Any, **__: Any) -> Any:
            return self

        def _generate(self, messages: Any, *given: Any, **options: Any) -> Any:
            call = {"name": "ask", "args": {}, "id": "call_0"}
            said = {"content": "Done."} if messages[-1].type == "tool" else {"content": "", "tool_calls": [call]}
            return Parrot(said=said)._generate(messages, *given, **options)

    create_agent(Asking(said={"content": ""}), tools=[ask], name="boss").invoke(asked("Ask."))
    assert names == [None]


def test_an_answer_that_no_model_gave_takes_nobody_s_name_away() -> None:
    @wrap_model_call
    def guard(request: Any, handler: Any) -> Any:
        return AIMessage("Not here.") if "secret" in request.messages[-1].text else handler(request)

    run = create_agent(Parrot(said={"content": SAID}), name="ada", middleware=[SessionRouterMiddleware(router()), guard])
    told = [run.invoke(asked(text))["messages"][-1] for text in (HOURS, HOURS, "Tell me a secret.", HOURS)]
    assert [is_hit(one) for one in told] == [False, True, False, True]
    assert [one.name for one in told] == ["ada", "ada", None, "ada"]


# Callbacks


class Signs(BaseCallbackHandler):
    """Writes something under each answer that it is told of, in place."""

    def __init__(self, *, inline: bool = False) -> None:
        self.run_inline = inline

    def on_llm_end(self, response: Any, **_: Any) -> None:
        message = response.generations[0][0].message
        if isinstance(message.content, str):
            message.content += SIGNED
        else:
            message.content[0]["text"] += SIGNED


@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("as_agent", [False, True])
async def test_what_one_user_s_callback_made_of_an_answer_is_nobody_else_s(as_agent: bool, is_async: bool, inline: bool) -> None:
    own = router()
    model: Any = agent(own) if as_agent else SessionRouterChatModel(router=own)
    ask: Callable[..., Any] = (lambda config=None: last(model, is_async, config)) if as_agent else (lambda config=None: said(model, config))

    async def said(one: Any, config: Any) -> AIMessage:
        return await one.ainvoke(HOURS, config) if is_async else one.invoke(HOURS, config)

    signed = await ask({"callbacks": [Signs(inline=inline)]})
    assert not is_hit(signed)
    assert signed.text.startswith(SAID)
    assert (await ask()).text == SAID
    again = await ask()
    assert (is_hit(again), again.text) == (True, SAID)


class Restores(BaseCallbackHandler):
    """Puts a name where a text has a mark, piece by piece."""

    run_inline = True

    def on_llm_new_token(self, *_: Any, chunk: Any = None, **__: Any) -> None:
        chunk.message.content = chunk.message.content.replace("nobody", "MR. SMITH")

    def on_stream_event(self, event: Any, **_: Any) -> None:
        for part in (event.get("delta"), event.get("content")):
            if part and "text" in part:
                part["text"] = part["text"].replace("nobody", "MR. SMITH")


class Piecewise(Parrot):
    streaming: bool = True


class Asks(Parrot):
    """Answers with what it hears from another model."""

    def _generate(self, messages: Any, *_: Any, run_manager: Any = None, **__: Any) -> Any:
        heard = Parrot(said=self.said).invoke(messages, {"callbacks": run_manager.handlers})
        return Parrot(said={"content": heard.text})._generate(messages)


class Inside(BaseCallbackHandler):
    run_inline = True

    def on_llm_end(self, response: Any, **_: Any) -> None:
        message = response.generations[0][0].message
        message.content = message.content.replace("nobody", "MR. SMITH")


@pytest.mark.filterwarnings("ignore:The method .* is in beta")
@pytest.mark.parametrize("way", ["stream", "events", "an agent's stream", "a model that streams", "a model that asks another one"])
async def test_nor_is_what_it_made_of_a_part_of_one(way: str) -> None:
    models: dict[str, Parrot] = {
        "a model that streams": Piecewise(said={"content": SAID}, streaming=True),
        "a model that asks another one": Asks(said={"content": SAID}),
    }
    model = models.get(way) or Parrot(said={"content": SAID})
    own = router_of(model)
    chat, config = SessionRouterChatModel(router=own), {"callbacks": [Inside() if isinstance(model, Asks) else Restores()]}
    match way:
        case "stream":
            said = "".join(one.text for one in chat.stream(HOURS, config))
        case "events":
            said = str([event async for event in await chat.astream_events(HOURS, config, version="v3")])
        case "an agent's stream":
            *_, (_, state) = agent(own).stream(asked(), config, stream_mode=["messages", "values"])
            said = state["messages"][-1].text
        case _:
            said = chat.invoke(HOURS, config).text
    assert "MR. SMITH" in said
    found = [(await last(agent(own), is_async=True)) if "agent" in way else chat.invoke(HOURS) for _ in range(2)]
    assert [(is_hit(one), one.text) for one in found] == [(False, SAID), (True, SAID)]


class Trims(Parrot):
    def invoke(self, *given: Any, **options: Any) -> Any:
        answer = super().invoke(*given, **options)
        return answer.model_copy(update={"content": answer.text.removeprefix("We are ")})


class Holds(Parrot):
    def _generate(self, *given: Any, **options: Any) -> Any:
        said = {"content": SAID, "response_metadata": {"finish_reason": "stop", "client": Lock()}}
        return Parrot(said=said)._generate(*given, **options)


class Thinks(Parrot):
    def _generate(self, *given: Any, **options: Any) -> Any:
        blocks = [{"type": "thinking", "thinking": "x", "vector": np.zeros(3)}, {"type": "text", "text": SAID}]
        return Parrot(said={"content": blocks})._generate(*given, **options)


@pytest.mark.parametrize("model", [Trims, Holds, Thinks])
def test_whatever_a_model_s_answer_is_made_of_it_is_delivered_and_stored(model: Any) -> None:
    own = router_of(model(said={"content": SAID}))
    found = [SessionRouterChatModel(router=own).invoke(HOURS) for _ in range(2)]
    assert [is_hit(one) for one in found] == [False, True]
    assert found[0].text == found[1].text
    assert found[0].text in SAID


def test_an_answer_that_cannot_be_compared_is_delivered_by_an_agent() -> None:
    own = router_of(Thinks(said={"content": SAID}))
    assert agent(own).invoke(asked())["messages"][-1].text == SAID


@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("as_agent", [False, True])
async def test_a_callback_that_changes_answers_changes_replayed_ones(as_agent: bool, is_async: bool, blocks: bool) -> None:
    own = router([{"type": "text", "text": SAID}] if blocks else SAID)
    model: Any = agent(own) if as_agent else SessionRouterChatModel(router=own)
    value: Any = asked() if as_agent else HOURS
    config = {"callbacks": [Signs(inline=True)]}
    model.invoke(value)
    found = await model.ainvoke(value, config) if is_async else model.invoke(value, config)
    answer = found["messages"][-1] if as_agent else found
    assert (is_hit(answer), answer.text) == (True, SAID + SIGNED)
    found = model.invoke(value)
    assert (found["messages"][-1] if as_agent else found).text == SAID, "of that answer alone"


# Streams


BLOCKS: Final = [{"type": "text", "text": "First."}, {"type": "text", "text": "We are open."}]


@pytest.mark.parametrize("content", [BLOCKS, SAID])
@pytest.mark.parametrize("is_async", [False, True])
async def test_whoever_streams_it_changes_nothing_of_what_is_kept(content: Any, is_async: bool) -> None:
    run = agent(router(content), checkpointer=InMemorySaver())
    further = []
    for number in range(3):
        config: Any = {"configurable": {"thread_id": str(number)}}
        if is_async:
            kept = [state async for state in run.astream(asked(), config, stream_mode=["messages", "values"])]
        else:
            kept = list(run.stream(asked(), config, stream_mode=["messages", "values"]))
        states = [state for kind, state in kept if kind == "values"]
        assert states[-1]["messages"][-1].content == content
        further.append(is_hit(run.invoke(asked("Where is the shop?"), config)["messages"][-1]))
    assert further == [False, True, True]


def test_blocks_are_streamed_as_blocks() -> None:
    own = router(BLOCKS)
    model = SessionRouterChatModel(router=own)
    model.invoke(HOURS)
    first, *others = model.stream(HOURS)
    assert sum(others, first).content == BLOCKS


def streamed(model: SessionRouterChatModel) -> list[str]:
    """Return what a graph's stream of messages tells of a call in one of its nodes."""

    def node(_: Any) -> Any:
        model.invoke(HOURS)
        return {}

    graph = StateGraph(MessagesState).add_node("node", node).add_edge(START, "node").compile()
    return [one.text for one, _ in graph.stream(asked("Hello."), stream_mode="messages") if one.type != "human"]


@pytest.mark.parametrize("tags", [["nostream"], ["mine"]])
def test_it_is_kept_out_of_streams_where_its_model_is(tags: list[str]) -> None:
    model = SessionRouterChatModel(router=router(tags=tags))
    told = [bool("".join(streamed(model))) for _ in range(2)]
    assert is_hit(model.invoke(HOURS))
    assert told == [tags != ["nostream"]] * 2


class Whole(Parrot):
    streaming: bool = False


@pytest.mark.parametrize("as_agent", [False, True])
@pytest.mark.parametrize("model", [Parrot(said={"content": SAID}, disable_streaming=True), Whole(said={"content": SAID}, streaming=False)])
def test_it_comes_as_a_whole_where_its_model_s_would(model: Parrot, as_agent: bool) -> None:
    own = router_of(model)
    kinds = []
    for _ in range(2):
        if as_agent:
            told = [one for one, _ in agent(own).stream(asked(), stream_mode="messages") if one.type != "human"]
        else:
            told = list(SessionRouterChatModel(router=own).stream(HOURS))
        kinds.append(([type(one) for one in told], [one.text for one in told]))
    assert kinds[0] == kinds[1]
    assert kinds[0][1] == [SAID]


def test_it_is_found_by_the_tags_of_its_model() -> None:
    class Tags(BaseCallbackHandler):
        def __init__(self) -> None:
            self.seen = list[set[str]]()

        def on_chat_model_start(self, *_: Any, tags: list[str], **__: Any) -> None:
            self.seen.append({*tags})

    heard, model = Tags(), SessionRouterChatModel(router=router(tags=["answers"]), tags=["standing"])
    for _ in range(2):
        model.invoke(HOURS, {"callbacks": [heard], "tags": ["mine"]})
    assert heard.seen == [{"answers", "standing", "mine"}] * 2

"""A stored answer is delivered as its model's would be: under the agent's name, through callbacks, streamed where that would be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from langchain.agents import create_agent
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
    return Router(
        {"m": Parrot(said={"content": content}, **settings)},
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


@pytest.mark.parametrize("as_agent", [False, True])
def test_it_comes_as_a_whole_where_its_model_s_would(as_agent: bool) -> None:
    own = router(disable_streaming=True)
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

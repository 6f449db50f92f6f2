"""A rewriter in agents and behind the chat model: what it is shown, and what never reaches it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langgraph.checkpoint.memory import InMemorySaver

from session_router import Policy
from session_router.cache.semantic import SemanticCache
from session_router.core.cache_terms import CacheRules, Sharing
from session_router_langchain import SessionRouterChatModel, SessionRouterMiddleware
from support.agents import CHAT, CLAUDE, RESPONSES, Stage, agent_of, asks, call

if TYPE_CHECKING:
    from collections.abc import Sequence

POLICY = Policy(stake=1.0, margin=0.0, cache=CacheRules(sharing=Sharing.TENANT))
FOLLOWING = "And on Sundays, by chance?"


class Topics:
    """Names the shop that was spoken of first in what is asked last."""

    version = "topics 1"
    seconds = 30.0

    def __init__(self) -> None:
        self.asked: list[Sequence[tuple[str, str]]] = []

    def rewrite(self, conversation: Sequence[tuple[str, str]]) -> str | None:
        self.asked.append(conversation)
        shop = next(word for word in ("bakery", "library") if word in conversation[0][1])
        return f"Of the {shop}: {conversation[-1][1]}"

    async def arewrite(self, conversation: Sequence[tuple[str, str]]) -> str | None:
        return self.rewrite(conversation)


def agent(stage: Stage, rewriter: Any, *, name: str = CHAT, **settings: Any) -> Any:
    router = stage.router({name: stage.routes()[name]}, cache=SemanticCache(), policy=POLICY, rewriter=rewriter)
    return agent_of(stage, router=SessionRouterMiddleware(router), checkpointer=InMemorySaver(), **{"tools": (), **settings})


async def turn(agent: Any, text: Any, thread: str, way: str) -> AIMessage:
    said, config = {"messages": [HumanMessage(text)]}, {"configurable": {"thread_id": thread}}
    state = agent.invoke(said, config) if way == "sync" else await agent.ainvoke(said, config)
    answer: AIMessage = state["messages"][-1]
    return answer


def is_hit(message: AIMessage) -> bool:
    return message.response_metadata["session_router"]["decision"] == "cache_hit"


@pytest.mark.parametrize("name", [CHAT, RESPONSES, CLAUDE])
@pytest.mark.parametrize("way", ["sync", "async"])
async def test_conversations_that_ask_the_same_share_an_answer_and_others_do_not(astage: Stage, name: str, way: str) -> None:
    rewriter = Topics()
    subject = agent(astage, rewriter, name=name)
    hits = []
    for thread, opening in enumerate(("When does the bakery open?", "Tell me of the bakery!", "Tell me of the library!")):
        await turn(subject, opening, str(thread), way)
        hits.append(is_hit(await turn(subject, FOLLOWING, str(thread), way)))
    assert hits == [False, True, False]
    assert [[role for role, _ in one] for one in rewriter.asked] == [["human", "ai", "human"]] * 3
    assert rewriter.asked[0][0] == ("human", "When does the bakery open?")
    assert rewriter.asked[0][-1] == ("human", FOLLOWING)
    assert "signature" not in repr(rewriter.asked)
    assert astage.refused == []


@pytest.mark.parametrize("way", ["sync", "async"])
async def test_it_is_off_unless_given(astage: Stage, way: str) -> None:
    subject = agent(astage, None)
    for thread, opening in enumerate(("When does the bakery open?", "Tell me of the bakery!")):
        await turn(subject, opening, str(thread), way)
        assert not is_hit(await turn(subject, FOLLOWING, str(thread), way))


async def test_it_is_shown_no_result_of_a_tool(astage: Stage) -> None:
    astage.witness.script = {"bakery": [asks(call("weather", city="Rome")), "It is sunny."]}
    rewriter = Topics()
    subject = agent(astage, rewriter, tools=None)
    for thread in ("a", "b"):
        await turn(subject, "How is the weather at the bakery?", thread, "async")
        assert not is_hit(await turn(subject, FOLLOWING, thread, "async"))
    assert rewriter.asked == []


IMAGE = [{"type": "text", "text": "The bakery?"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]


@pytest.mark.parametrize(
    "before",
    [
        [],
        [SystemMessage("You know the bakery.")],
        [HumanMessage(IMAGE), AIMessage("Yes.")],  # type: ignore[arg-type]
        [HumanMessage("The bakery", additional_kwargs={"lc_source": "summary"}), AIMessage("Yes.")],
        [HumanMessage("bakery"), AIMessage([{"type": "text", "text": "Yes.", "annotations": [{"url": "https://example.com"}]}])],
        [HumanMessage("bakery"), AIMessage("", tool_calls=[{"name": "look", "args": {}, "id": "call_1", "type": "tool_call"}])],
    ],
    ids=["nothing before", "a prompt only", "an image", "a summary", "sources", "an open call"],
)
def test_it_is_shown_plain_talk_only(stage: Stage, before: list[Any]) -> None:
    rewriter = Topics()
    router = stage.router({CHAT: stage.chat()}, cache=SemanticCache(), policy=POLICY, rewriter=rewriter)
    SessionRouterChatModel(router=router).invoke([*before, HumanMessage(FOLLOWING)])
    assert rewriter.asked == []


def test_a_prompt_among_the_messages_and_who_speaks_must_be_equal(stage: Stage) -> None:
    rewriter = Topics()
    model = SessionRouterChatModel(router=stage.router({CHAT: stage.chat()}, cache=SemanticCache(), policy=POLICY, rewriter=rewriter))
    talk = [HumanMessage("The bakery?"), AIMessage("Yes.")]
    others = [HumanMessage("Is there a bakery?"), AIMessage("There is.")]
    model.invoke([SystemMessage("Be kind."), *talk, HumanMessage(FOLLOWING)])
    assert not is_hit(model.invoke([SystemMessage("Be rude."), *others, HumanMessage(FOLLOWING)]))
    assert not is_hit(model.invoke([*others, HumanMessage(FOLLOWING)]))
    assert not is_hit(model.invoke([SystemMessage("Be kind."), *others, HumanMessage(FOLLOWING, name="bob")]))
    assert is_hit(model.invoke([SystemMessage("Be kind."), *others, HumanMessage(FOLLOWING)]))
    assert len(rewriter.asked) == 5

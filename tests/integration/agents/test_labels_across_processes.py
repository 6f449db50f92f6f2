"""A session that is resumed elsewhere, from its checkpoint alone, knows what tools were declared to return that are on offer no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from integration.agents.test_labels import CONFIG, MARK, SECRET, SOURCES, governed, leaks, opening_hours, read_patient
from session_router import Policy, Tag
from session_router.core.governance import TOP
from session_router.core.label_row import tag_to_plain
from session_router_langchain import SessionRouterChatModel, SessionRouterMiddleware
from session_router_langchain.tagging import RETURNS_KEY, TAG_KEY, asked_for_in, label_of
from support.agents import RestlessScorer, agent_of, asks, call

if TYPE_CHECKING:
    from support.agents import Stage

LENIENT = {**SOURCES, "tool": Tag()}
"""What tools return that nobody declared is public: so that nothing but the declaration keeps the file back."""
SAYS = {"file": [asks(call("read_patient", number=7)), "The file is there."], "hours": [asks(call("opening_hours")), "From 8 to 18."]}


def agent(stage: Stage, memory: Any, *, tools: Any, **settings: Any) -> Any:
    """Return an agent as another process would make it: with a router, a middleware and readers of its own."""
    router = governed(stage, sources=LENIENT, scorer=RestlessScorer(start=0))
    return agent_of(stage, router=SessionRouterMiddleware(router, principal="ada"), tools=tools, checkpointer=memory, **settings)


def copied(memory: InMemorySaver) -> InMemorySaver:
    """Return the checkpoints as another process reads them: nothing but their bytes."""
    import copy

    other = InMemorySaver()
    other.storage, other.writes, other.blobs = copy.deepcopy(memory.storage), copy.deepcopy(memory.writes), copy.deepcopy(memory.blobs)
    return other


@pytest.mark.parametrize("kept", [True, False])
async def test_a_result_keeps_the_label_of_a_tool_that_is_gone(astage: Stage, kept: bool) -> None:
    astage.witness.script = SAYS
    first = InMemorySaver()
    await agent(astage, first, tools=[read_patient, opening_hours]).ainvoke({"messages": [HumanMessage("the file please")]}, CONFIG)
    assert leaks(astage) == 0
    second = copied(first)
    subject = agent(astage, second, tools=[opening_hours])
    # The labels of the answers, whose models have read the file, are taken away, and the result's own: what was said of the tool is left.
    state = subject.get_state(CONFIG).values["messages"]
    asked, result, answer = state[1:4]
    public = {TAG_KEY: tag_to_plain(Tag())}
    stated = {RETURNS_KEY: asked.additional_kwargs[RETURNS_KEY]} if kept else {}
    subject.update_state(
        CONFIG,
        {
            "messages": [
                asked.model_copy(update={"additional_kwargs": {**public, **stated}}),
                result.model_copy(update={"additional_kwargs": {}}),
                answer.model_copy(update={"additional_kwargs": public}),
            ]
        },
    )
    assert TAG_KEY in result.additional_kwargs
    for number in range(4):
        await subject.ainvoke({"messages": [HumanMessage(f"hello {number}")]}, CONFIG)
    assert (leaks(astage) == 0) == kept


async def test_a_loop_that_is_resumed_elsewhere_brings_no_leak(astage: Stage) -> None:
    astage.witness.script = SAYS
    first = InMemorySaver()
    subject = agent(astage, first, tools=[read_patient], interrupt_before=["tools"])
    await subject.ainvoke({"messages": [HumanMessage("the file please")]}, CONFIG)

    @tool("read_patient")
    def undeclared(number: int) -> str:
        """Read a patient's file."""
        return f"{MARK}: the file of patient {number}"

    # The process that runs the tool has it without its label.
    subject = agent(astage, copied(first), tools=[undeclared])
    await subject.ainvoke(None, CONFIG)
    assert leaks(astage) == 0
    assert subject.get_state(CONFIG).values["messages"][-1].text == "The file is there."


@pytest.mark.parametrize("way", ["whole", "streamed", "events"])
async def test_an_answer_says_what_the_tools_it_asks_for_return(astage: Stage, way: str) -> None:
    astage.witness.script = SAYS
    model = SessionRouterChatModel(router=governed(astage, sources=LENIENT, scorer=RestlessScorer(start=0)), principal="ada")
    bound: Any = model.bind_tools([read_patient, opening_hours])
    question = [HumanMessage("the file please")]
    if way == "whole":
        answer = await bound.ainvoke(question)
    elif way == "streamed":
        chunks = [chunk async for chunk in bound.astream(question)]
        answer = sum(chunks[1:], chunks[0])
    else:
        stream = await bound.astream_events(question, version="v3")
        answer = await stream.output
    assert answer.additional_kwargs[RETURNS_KEY] == {"read_patient": tag_to_plain(SECRET)}
    result = ToolMessage(MARK, tool_call_id=answer.tool_calls[0]["id"], name="read_patient")
    other = SessionRouterChatModel(router=governed(astage, sources=LENIENT, scorer=RestlessScorer(start=0)), principal="ada")
    for number in range(3):
        await other.ainvoke([HumanMessage(f"hi {number}"), answer, result])
    assert leaks(astage) == 0
    assert (await bound.ainvoke([HumanMessage("hello")])).additional_kwargs.get(RETURNS_KEY) is None


@pytest.mark.parametrize("broken", [{"level": "public"}, "public", None])
def test_what_is_said_of_a_tool_and_cannot_be_read_is_top(broken: Any) -> None:
    asked = AIMessage("", tool_calls=[{"name": "gone", "args": {}, "id": "c1"}], additional_kwargs={RETURNS_KEY: {"gone": broken}})
    history = [asked, ToolMessage("x", tool_call_id="c1", name="gone")]
    assert label_of(history[1], Policy(sources={"tool": Tag()}), {}, asked_for=asked_for_in(history, 1)) == TOP

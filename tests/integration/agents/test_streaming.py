"""Agents that are streamed, in every mode, decide as agents that are invoked."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage

from session_router.testing.providers import Fault
from support.agents import ANSWERS_AS, CHAT, DIALECTS, RESPONSES, THREAD, Stage, agent_of, asks, authors, call, session_in

SCRIPT = {
    "loop": [
        asks(call("weather", city="Rome"), text="Let me see."),
        asks(call("clock", city="Rome"), call("weather", city="Pisa")),
        "Done, and it took a while.",
    ],
    "plain": ["A plain answer of several words."],
}
TALK = ["loop", "plain", "loop", "loop"]
MODES = ["messages", "updates", "values"]


def told(messages: Any) -> list[tuple[str, str, str]]:
    stamps = [message.response_metadata["session_router"] for message in messages if isinstance(message, AIMessage)]
    return [(stamp["model"], stamp["decision"], stamp["reason"]) for stamp in stamps]


def expected(stage: Stage, start: int) -> list[tuple[str, str, str]]:
    stage.clear()
    stage.witness.script = SCRIPT
    agent = agent_of(stage, start=start)
    for text in TALK:
        messages = agent.invoke({"messages": [HumanMessage(text)]}, THREAD)["messages"]
    stage.clear()
    stage.witness.script = SCRIPT
    return told(messages)


@pytest.mark.parametrize(("mode", "start"), [*((mode, 0) for mode in MODES), ("messages", 1), ("messages", 2)])
def test_streamed_sync(stage: Stage, mode: Any, start: int) -> None:
    decisions = expected(stage, start)
    agent = agent_of(stage, start=start)
    for text in TALK:
        items = list(agent.stream({"messages": [HumanMessage(text)]}, THREAD, stream_mode=mode))
        messages = agent.get_state(THREAD).values["messages"]
        stage.assert_sound(messages, session=session_in(agent))
    assert told(messages) == decisions
    if mode == "messages":
        assert_streamed(items, messages)


@pytest.mark.parametrize(("mode", "start"), [*((mode, 0) for mode in MODES), ("messages", 1), ("messages", 2)])
async def test_streamed_async(astage: Stage, mode: Any, start: int) -> None:
    decisions = expected(astage, start)
    agent = agent_of(astage, start=start)
    for text in TALK:
        items = [item async for item in agent.astream({"messages": [HumanMessage(text)]}, THREAD, stream_mode=mode)]
        messages = agent.get_state(THREAD).values["messages"]
        astage.assert_sound(messages, session=session_in(agent))
    assert told(messages) == decisions
    if mode == "messages":
        assert_streamed(items, messages)


def assert_streamed(items: Any, messages: Any) -> None:
    """The final answer came in several chunks, once, under the name of the model that wrote it."""
    step = max(metadata["langgraph_step"] for _, metadata in items)
    last = [(chunk, metadata) for chunk, metadata in items if metadata["langgraph_step"] == step and isinstance(chunk, AIMessageChunk)]
    assert len([chunk for chunk, _ in last if chunk.text]) > 1
    assert "".join(chunk.text for chunk, _ in last) == messages[-1].text
    assert {ANSWERS_AS[metadata["ls_model_name"].removeprefix("sim-")] for _, metadata in last} == {authors(messages)[-1]}


@pytest.mark.filterwarnings("ignore:The v3 streaming protocol on Pregel is experimental")
@pytest.mark.parametrize("start", range(len(DIALECTS)), ids=DIALECTS)
def test_event_streams(stage: Stage, start: int) -> None:
    decisions = expected(stage, start)
    agent = agent_of(stage, start=start)
    for text in TALK:
        run: Any = agent.stream_events({"messages": [HumanMessage(text)]}, THREAD, version="v3")
        messages = run.output["messages"]
        stage.assert_sound(messages, session=session_in(agent))
    assert told(messages) == decisions


async def test_event_streams_async(astage: Stage) -> None:
    decisions = expected(astage, 0)
    agent = agent_of(astage)
    for text in TALK:
        events = [event["event"] async for event in agent.astream_events({"messages": [HumanMessage(text)]}, THREAD, version="v2")]
        assert "on_chat_model_stream" in events
        messages = agent.get_state(THREAD).values["messages"]
        astage.assert_sound(messages, session=session_in(agent))
    assert told(messages) == decisions


def test_a_stream_that_dies_before_its_first_token_falls_back(stage: Stage) -> None:
    stage.witness.script = SCRIPT
    agent = agent_of(stage)
    stage.providers.faults.next(Fault.broken("before_first_token"), model="sim-chat")
    items: Any = list(agent.stream({"messages": [HumanMessage("plain")]}, THREAD, stream_mode="messages"))
    messages = agent.get_state(THREAD).values["messages"]
    assert authors(messages) == [author for author in authors(messages) if author != ANSWERS_AS[CHAT]]
    assert "".join(chunk.text for chunk, _ in items if isinstance(chunk, AIMessageChunk)) == messages[-1].text


def test_a_stream_that_dies_after_text_was_seen_is_an_error_and_no_other_text_follows(stage: Stage) -> None:
    stage.witness.script = SCRIPT
    agent = agent_of(stage)
    stage.providers.faults.next(Fault.broken("after_text", text_deltas=2), model="sim-chat")
    seen: list[str] = []
    with pytest.raises(Exception, match=r"(?i)peer closed|incomplete|connection"):
        seen.extend(chunk.text for chunk, _ in agent.stream({"messages": [HumanMessage("plain")]}, THREAD, stream_mode="messages"))
    assert "".join(seen)
    assert {row.model for row in stage.providers.ledger.rows} == {"sim-chat"}


def test_a_stream_that_dies_inside_a_tool_call_leaves_no_call_behind(stage: Stage) -> None:
    stage.witness.script = SCRIPT
    agent = agent_of(stage, start=DIALECTS.index(RESPONSES))
    stage.providers.faults.next(Fault.broken("in_tool_call"), model="sim-responses")
    with pytest.raises(Exception, match=r"(?i)peer closed|incomplete|connection"):
        list(agent.stream({"messages": [HumanMessage("loop")]}, THREAD, stream_mode="messages"))
    assert [message.type for message in agent.get_state(THREAD).values["messages"]] == ["human"]
    messages = agent.invoke(None, THREAD)["messages"]
    assert stage.witness.moved == []
    assert session_in(agent)["lock"] is None
    assert len(set(authors(messages))) == 1

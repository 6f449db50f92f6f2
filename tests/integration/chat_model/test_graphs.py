"""The routing chat model where users put it: in a graph's node, and as the model of an agent."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_core.tracers._streaming import _StreamingCallbackHandler
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import Command, interrupt
from pydantic import BaseModel

from session_router.testing.providers import Fault
from support.agents import Stage, loops

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

    from session_router_langchain import SessionRouterChatModel

STAMP = "session_router"
TURNS = ["Use the tool weather for 'Oslo'", "Thanks a lot", "Now ask the tool weather for 'Bonn'", "Bye"]
THREAD: RunnableConfig = {"configurable": {"thread_id": "one"}}


@tool
def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"sunny in {city}"


@tool
def approve(city: str) -> str:
    """Ask a person to approve a city."""
    return str(interrupt(f"{city}?"))


class Streaming(BaseCallbackHandler, _StreamingCallbackHandler):  # type: ignore[type-arg]
    """Makes chat models stream, as LangGraph's handler does."""

    def tap_output_aiter(self, run_id: Any, output: Any) -> Any:
        del run_id
        return output

    def tap_output_iter(self, run_id: Any, output: Any) -> Any:
        del run_id
        return output


class City(BaseModel):
    """A city."""

    name: str


def graph_of(model: SessionRouterChatModel, way: str) -> Any:
    bound = model.bind_tools([weather, approve])

    def call(state: MessagesState) -> dict[str, Any]:
        return {"messages": [bound.invoke(state["messages"])]}

    def stream(state: MessagesState) -> dict[str, Any]:
        first, *others = bound.stream(state["messages"])
        return {"messages": [sum(others, first)]}

    async def acall(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await bound.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("model", {"invoke": call, "stream": stream, "ainvoke": acall}[way])
    graph.add_node("tools", ToolNode([weather, approve]))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", tools_condition)
    graph.add_edge("tools", "model")
    return graph.compile(checkpointer=InMemorySaver())


def stamps(messages: list[BaseMessage]) -> list[dict[str, Any]]:
    return [message.response_metadata[STAMP] for message in messages if isinstance(message, AIMessage)]


@pytest.mark.parametrize("way", ["invoke", "stream", "ainvoke"])
async def test_tool_loops_of_a_graph_stay_with_their_model(build: Any, stage: Stage, way: str) -> None:
    graph = graph_of(build(), way)
    state: Any = {}
    for text in TURNS:
        state = await graph.ainvoke({"messages": [("user", text)]}, THREAD)
    messages = state["messages"]
    assert loops(messages) == 2
    assert [stamp["reason"] for stamp in stamps(messages)].count("locked") == 2
    assert {stamp["model"] for stamp in stamps(messages)} == {"chat", "responses", "claude"}
    stage.assert_sound(messages)


@pytest.mark.parametrize("way", ["invoke", "stream", "ainvoke"])
async def test_streamed_messages_of_a_graph_come_once(build: Any, stage: Stage, way: str) -> None:
    graph = graph_of(build(), way)
    for text in TURNS:
        before = len(stage.providers.ledger.rows)
        parts: dict[str, Any] = {}
        whole: Counter[str] = Counter()
        metadata: dict[str, Any] = {}
        async for message, about in graph.astream({"messages": [("user", text)]}, THREAD, stream_mode="messages"):
            if isinstance(message, AIMessageChunk):
                key = about["langgraph_step"]
                parts[key] = message if key not in parts else parts[key] + message
                metadata[key] = about
            elif isinstance(message, AIMessage):
                whole[str(message.id)] += 1
        state = (await graph.aget_state(THREAD)).values["messages"]
        answers = [message for message in state if isinstance(message, AIMessage)][-len(parts) :]
        rows = stage.providers.ledger.rows[before:]
        assert not whole
        assert len(rows) == len(parts)
        for part, answer, row, about in zip(parts.values(), answers, rows, metadata.values(), strict=True):
            assert (part.text, part.tool_calls) == (answer.text, answer.tool_calls)
            assert part.usage_metadata["total_tokens"] == answer.usage_metadata["total_tokens"]  # type: ignore[index]
            assert part.usage_metadata["output_tokens"] == row.output
            assert part.response_metadata["model_name"] == answer.response_metadata["model_name"]
            assert about[STAMP] == answer.response_metadata[STAMP]
    stage.assert_sound()


@pytest.mark.parametrize("way", ["invoke", "stream", "ainvoke"])
@pytest.mark.parametrize("start", range(3))
async def test_streamed_messages_of_a_graph_fall_back_unseen(build: Any, stage: Stage, way: str, start: int) -> None:
    graph = graph_of(build(start=start), way)
    stage.providers.faults.next(Fault.broken("before_first_token"))
    chunks = [message async for message, _ in graph.astream({"messages": [("user", "Hello")]}, THREAD, stream_mode="messages")]
    assert "".join(chunk.text for chunk in chunks) == "You said: Hello"
    (stamp,) = stamps((await graph.aget_state(THREAD)).values["messages"])
    assert stamp["reason"] == "fallback"
    stage.clear()
    stage.providers.faults.next(Fault.broken("after_text"))
    with pytest.raises(Exception, match=r"connection|peer closed|incomplete|Connection"):
        await graph.ainvoke({"messages": [("user", "Hello to everybody")]}, THREAD | {"callbacks": [Streaming()]})
    assert len(stage.providers.ledger.rows) == 1


def test_an_interrupt_inside_a_tool_passes_and_the_loop_goes_on_with_its_model(build: Any, stage: Stage) -> None:
    graph = graph_of(build(), "invoke")
    state = graph.invoke({"messages": [("user", "Use the tool approve for 'Oslo'")]}, THREAD)
    assert [one.value for one in state["__interrupt__"]] == ["Oslo?"]
    state = graph.invoke(Command(resume="yes"), THREAD)
    first, second = stamps(state["messages"])
    assert (first["model"], second["reason"]) == (second["model"], "locked")
    stage.assert_sound(state["messages"])


@pytest.mark.parametrize("start", range(3))
async def test_as_the_model_of_an_agent_without_the_middleware(build: Any, stage: Stage, start: int) -> None:
    agent: Any = create_agent(build(start=start), tools=[weather], system_prompt="Be brief.", checkpointer=InMemorySaver())
    state: Any = {}
    for text in TURNS:
        state = await agent.ainvoke({"messages": [("user", text)]}, THREAD)
    messages = state["messages"]
    assert loops(messages) == 2
    assert len({stamp["model"] for stamp in stamps(messages)}) == 3
    assert {prompt.system for prompt in stage.witness.prompts} == {"Be brief."}
    stage.assert_sound(messages)


@pytest.mark.parametrize("strategy", [ProviderStrategy, ToolStrategy])
@pytest.mark.parametrize("tools", [[], [weather]])
@pytest.mark.parametrize("start", range(3))
def test_structured_answers_of_an_agent(build: Any, stage: Stage, strategy: Any, tools: list[Any], start: int) -> None:
    agent: Any = create_agent(build(start=start), tools=tools, response_format=strategy(City))
    state = agent.invoke({"messages": [HumanMessage("The name is 'Oslo'")]})
    assert state["structured_response"] == City(name="Oslo")
    answered = [message.name for message in state["messages"] if isinstance(message, ToolMessage)]
    assert ("City" in answered) == (strategy is ToolStrategy)
    stage.assert_sound()

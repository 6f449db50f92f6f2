"""However it is called: the same decisions, the same stamp, the same usage."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_tests.utils.stream_lifecycle import assert_valid_event_stream

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from session_router_langchain import SessionRouterChatModel
    from support.agents import Stage

pytestmark = pytest.mark.filterwarnings("ignore:The method .* is in beta:langchain_core._api.beta_decorator.LangChainBetaWarning")

THREAD: Any = {"configurable": {"thread_id": "one"}}
ASKED = AIMessage(
    "",
    tool_calls=[{"name": "weather", "args": {}, "id": "call_1"}],
    response_metadata={"session_router": {"model": "claude"}, "model_name": "sim-claude"},
)
HISTORIES: list[list[BaseMessage]] = [
    [HumanMessage("Hello there")],
    [HumanMessage("Hello there"), AIMessage("Hi.", response_metadata={"model_name": "sim-chat"}), HumanMessage("And now?")],
    [HumanMessage("Hello there"), ASKED, ToolMessage("sunny", tool_call_id="call_1")],
]


def weather() -> str:
    """Tell the weather."""
    return "sunny"


Way = Callable[[Any, list[BaseMessage]], Awaitable[BaseMessage]]


async def invoke(model: Any, history: list[BaseMessage]) -> BaseMessage:
    return model.invoke(history, THREAD)


async def ainvoke(model: Any, history: list[BaseMessage]) -> BaseMessage:
    return await model.ainvoke(history, THREAD)


async def stream(model: Any, history: list[BaseMessage]) -> BaseMessage:
    first, *others = model.stream(history, THREAD)
    return sum(others, first)


async def astream(model: Any, history: list[BaseMessage]) -> BaseMessage:
    first, *others = [chunk async for chunk in model.astream(history, THREAD)]
    return sum(others, first)


async def batch(model: Any, history: list[BaseMessage]) -> BaseMessage:
    return model.batch([history], THREAD)[0]


async def abatch(model: Any, history: list[BaseMessage]) -> BaseMessage:
    return (await model.abatch([history], THREAD))[0]


async def stream_events_v3(model: Any, history: list[BaseMessage]) -> BaseMessage:
    events = model.stream_events(history, THREAD, version="v3")
    assert_valid_event_stream(events)
    return events.output


async def astream_events_v3(model: Any, history: list[BaseMessage]) -> BaseMessage:
    events = await model.astream_events(history, THREAD, version="v3")
    assert_valid_event_stream([event async for event in events])
    return await events


async def astream_events_v2(model: Any, history: list[BaseMessage]) -> BaseMessage:
    events = [event async for event in model.astream_events(history, THREAD, version="v2")]
    assert [event["event"] for event in events].count("on_chat_model_start") == 1
    # What the events carry is what callbacks saw; the run's metadata has the decision.
    answer: AIMessage = events[-1]["data"]["output"]
    answer.response_metadata["session_router"] = events[-1]["metadata"]["session_router"]
    return answer


WAYS = [invoke, ainvoke, stream, astream, batch, abatch, stream_events_v3, astream_events_v3, astream_events_v2]


async def facts(model: Any, way: Way) -> list[Any]:
    answers = [await way(model, history) for history in HISTORIES]
    return [
        (
            answer.text,
            answer.usage_metadata and {key: answer.usage_metadata[key] for key in ("input_tokens", "output_tokens", "total_tokens")},
            answer.response_metadata["session_router"],
            answer.response_metadata["model_name"],
        )
        for answer in answers
        if isinstance(answer, AIMessage)
    ]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("start", [0, 1, 2])
async def test_every_way_decides_and_reports_alike(build: Any, stage: Stage, way: Way, start: int) -> None:
    expected = await facts(build(start=start).bind_tools([weather]), invoke)
    asked = stage.asked
    stage.clear()
    assert await facts(build(start=start).bind_tools([weather]), way) == expected
    assert stage.asked == asked
    assert len(expected) == len(HISTORIES)
    assert [stamp["reason"] for _, _, stamp, _ in expected][2] == "locked"
    billed = [(row.uncached_input + row.cached_input, row.output) for row in stage.providers.ledger.rows]
    assert [(usage["input_tokens"], usage["output_tokens"]) for _, usage, _, _ in expected] == billed
    stage.assert_sound()


@pytest.mark.parametrize("is_async", [False, True])
async def test_generate_asks_once_per_history(build: Any, *, is_async: bool) -> None:
    model: BaseChatModel = build()
    histories = [[HumanMessage("One")], [HumanMessage("Two")]]
    result = await model.agenerate(histories) if is_async else model.generate(histories)
    messages: list[Any] = [generation[0].message for generation in result.generations]  # type: ignore[union-attr]
    assert [message.text for message in messages] == ["You said: One", "You said: Two"]
    assert all(message.response_metadata["session_router"]["model"] for message in messages)


async def test_what_bypasses_the_public_methods_is_a_child_run(build: Any, runs: Any) -> None:
    from langchain_core.callbacks import AsyncCallbackManager, CallbackManager

    model: SessionRouterChatModel = build()
    (manager,) = CallbackManager.configure([runs]).on_chat_model_start({}, [[HumanMessage("Hi")]])
    model._generate([HumanMessage("Hi")], run_manager=manager)
    (amanager,) = await AsyncCallbackManager.configure([runs]).on_chat_model_start({}, [[HumanMessage("Hi")]])
    await model._agenerate([HumanMessage("Hi")], run_manager=amanager)
    assert [run["parent_run_id"] for run in runs.started] == [None, manager.run_id, None, amanager.run_id]

"""What goes out of a stream, chunk by chunk, and what stays when a reader leaves."""

from __future__ import annotations

import gc
from contextlib import aclosing, closing
from typing import Any

import pytest
from langchain_core.language_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage, AIMessageChunk

from session_router import Prices, Router
from session_router_langchain import SessionRouterChatModel
from support.agents import DIALECTS, Stage

pytestmark = pytest.mark.filterwarnings("ignore:The method .* is in beta:langchain_core._api.beta_decorator.LangChainBetaWarning")

STAMP = "session_router"
THREAD: Any = {"configurable": {"thread_id": "one"}}


def merged(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    first, *others = chunks
    return sum(others, first)


@pytest.mark.parametrize("name", DIALECTS)
def test_the_stamp_is_on_the_last_chunk_only(build: Any, stage: Stage, name: str) -> None:
    chunks = list(build(name).stream("Hello to everybody out there"))
    assert [STAMP in chunk.response_metadata for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert [chunk.chunk_position for chunk in chunks] == [None] * (len(chunks) - 1) + ["last"]
    whole = merged(chunks)
    assert {chunk.id for chunk in chunks if not str(chunk.id).startswith("lc_run")} <= {whole.id}
    assert whole.text == "You said: Hello to everybody out there"
    assert whole.response_metadata[STAMP]["model"] == name
    assert whole.response_metadata["model_name"].startswith(f"sim-{name}")
    (row,) = stage.providers.ledger.rows
    assert whole.usage_metadata is not None
    assert (whole.usage_metadata["input_tokens"], whole.usage_metadata["output_tokens"]) == (row.uncached_input, row.output)


def test_a_model_without_streaming_gives_one_stamped_chunk() -> None:
    call = {"name": "weather", "args": {"city": "Paris"}, "id": "1", "type": "tool_call"}
    answer = AIMessage("Whole.", id="a", tool_calls=[call], usage_metadata={"input_tokens": 2, "output_tokens": 3, "total_tokens": 5})
    router = Router({"whole": FakeMessagesListChatModel(responses=[answer])}, prices={"whole": Prices(input=1.0, output=1.0)})
    (chunk,) = SessionRouterChatModel(router=router).stream("Hi")
    assert isinstance(chunk, AIMessageChunk)
    assert (chunk.text, chunk.chunk_position, chunk.tool_calls) == ("Whole.", "last", [call])
    assert chunk.usage_metadata == answer.usage_metadata
    assert chunk.response_metadata[STAMP]["model"] == "whole"


@pytest.mark.parametrize("fields", [{"disable_streaming": True}, {"streaming": False}])
async def test_streaming_can_be_turned_off(build: Any, stage: Stage, fields: dict[str, Any]) -> None:
    model = build("chat", **fields)
    (chunk,) = model.stream("Hi")
    (achunk,) = [chunk async for chunk in model.astream("Hi")]
    assert chunk.text == achunk.text == "You said: Hi"
    assert [row.streamed for row in stage.providers.ledger.rows] == [False, False]


def test_streaming_can_be_turned_off_for_tools(build: Any, stage: Stage) -> None:
    model = build("chat", disable_streaming="tool_calling")
    assert len(list(model.stream("Hi"))) > 1
    assert len(list(model.bind_tools([{"name": "weather", "description": "", "parameters": {}}]).stream("Hi"))) == 1
    assert [row.streamed for row in stage.providers.ledger.rows] == [True, False]


@pytest.mark.parametrize("name", DIALECTS)
async def test_a_reader_who_stops_at_the_last_chunk_loses_nothing(build: Any, observed: Any, name: str) -> None:
    for chunk in build(name).stream("Hi", THREAD):
        if chunk.chunk_position == "last":
            break
    async with aclosing(build(name).astream("Hi", THREAD)) as chunks:
        async for chunk in chunks:
            if chunk.chunk_position == "last":
                break
    assert [outcome.model for outcome in observed.outcomes] == [name, name]
    assert all(outcome.usage is not None for outcome in observed.outcomes)


@pytest.mark.parametrize("name", DIALECTS)
async def test_a_reader_who_leaves_early_leaves_no_trouble(build: Any, stage: Stage, runs: Any, name: str) -> None:
    model = build(name)
    config = {**THREAD, "callbacks": [runs]}
    with closing(model.stream("Hello to everybody", config)) as chunks:
        assert any(chunk.text for chunk in chunks)
    async with aclosing(model.astream("Hello to everybody", config)) as achunks:
        async for chunk in achunks:
            if chunk.text:
                break
    events = model.stream_events("Hello to everybody", config, version="v3")
    assert next(iter(events))["event"] == "message-start"
    del events, chunks, achunks
    async with await model.astream_events("Hello to everybody", config, version="v3") as aevents:
        assert (await anext(aiter(aevents)))["event"] == "message-start"
    gc.collect()
    assert [type(error).__name__ for error in runs.errors][:2] == ["GeneratorExit", "GeneratorExit"]
    # The session goes on.
    assert model.invoke("Hi", THREAD).text == "You said: Hi"
    assert {row.status for row in stage.providers.ledger.rows} == {200}


async def test_an_event_stream_that_is_closed_before_it_began_asks_nobody(build: Any, stage: Stage) -> None:
    events = await build("chat").astream_events("Hi", version="v3")
    await events.aclose()
    assert events.done
    assert stage.asked == []


async def test_projections_of_an_event_stream_agree(build: Any) -> None:
    model = build("chat")
    assert str(model.stream_events("Hi", version="v3").text) == "You said: Hi"
    events = await model.astream_events("Hi", version="v3")
    assert [delta async for delta in events.text]
    assert await events.text == "You said: Hi"
    assert (await events.output).response_metadata[STAMP]["model"] == "chat"
    await events.aclose()


def test_versions_of_events_that_langchain_does_not_have_are_refused_as_it_refuses_them(build: Any) -> None:
    with pytest.raises(NotImplementedError):
        build("chat").stream_events("Hi", version="v2")

"""Structured output: each chosen model in its own way."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk
from pydantic import BaseModel, ValidationError

from session_router import ModelSpec, Prices, Router
from session_router.core.model import Capability
from session_router.errors import NoCapableModel
from session_router.testing.providers import Reply, ToolCall
from session_router_langchain import SessionRouterChatModel
from support.agents import DIALECTS, Stage

STAMP = "session_router"
UNFIT = Reply(tool_calls=(ToolCall(name="City", arguments={"town": 1}),))
THREAD: Any = {"configurable": {"thread_id": "one"}}

pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning")


class City(BaseModel):
    """A city."""

    name: str


@pytest.mark.parametrize("start", range(3))
async def test_every_model_structures_in_its_own_way(build: Any, stage: Stage, start: int) -> None:
    structured = build(start=start).with_structured_output(City)
    name = DIALECTS[start]
    assert structured.invoke("The city is 'Oslo'", THREAD) == City(name="Oslo")
    prompt = stage.witness.prompts[-1]
    assert prompt.model.startswith(f"sim-{name}")
    # Anthropic's client forces a tool where OpenAI's asks for a schema.
    assert (prompt.tool_choice.forced, prompt.json_schema is None) == ((True, True) if name == "claude" else (False, False))
    assert await build(start=start).with_structured_output(City).ainvoke("It is 'Bonn'") == City(name="Bonn")
    stage.assert_sound()


async def test_streams_of_values(build: Any) -> None:
    for start in range(3):
        structured = build(start=start).with_structured_output(City)
        assert list(structured.stream("The city is 'Oslo'"))[-1] == City(name="Oslo")
        assert [value async for value in build(start=start).with_structured_output(City).astream("It is 'Bonn'")][-1] == City(name="Bonn")


@pytest.mark.parametrize("start", range(3))
async def test_the_raw_message_is_stamped(build: Any, start: int) -> None:
    structured = build(start=start).with_structured_output(City, include_raw=True)
    responses = [structured.invoke("The city is 'Oslo'")]
    responses.append(await build(start=start).with_structured_output(City, include_raw=True).ainvoke("It is 'Oslo'"))
    first, *others = build(start=start).with_structured_output(City, include_raw=True).stream("It is 'Oslo'")
    for other in others:
        first += other
    responses.append(first)
    for response in responses:
        assert (response["parsed"], response["parsing_error"]) == (City(name="Oslo"), None)
        assert isinstance(response["raw"], AIMessage)
        assert response["raw"].response_metadata[STAMP]["model"] == DIALECTS[start]
        assert response["raw"].response_metadata["model_name"].startswith(f"sim-{DIALECTS[start]}")
    assert isinstance(responses[-1]["raw"], AIMessageChunk)


@pytest.mark.parametrize("is_async", [False, True])
async def test_what_does_not_parse_is_raised(build: Any, stage: Stage, observed: Any, *, is_async: bool) -> None:
    stage.witness.script = {"city": [UNFIT]}
    structured = build("claude").with_structured_output(City)
    with pytest.raises((ValidationError, OutputParserException)):
        await structured.ainvoke("a city") if is_async else structured.invoke("a city")
    assert len(stage.asked) == 1  # the model did answer: nobody else is asked
    assert [outcome.error for outcome in observed.outcomes] == [None]


@pytest.mark.parametrize("name", DIALECTS)
async def test_a_stream_of_what_does_not_parse_is_that_of_the_model_itself(build: Any, stage: Stage, name: str) -> None:
    stage.witness.script = {"city": [UNFIT if name == "claude" else Reply(text='{"town": 1}')] * 9}

    async def values(structured: Any, *, is_async: bool) -> list[Any]:
        try:
            return [value async for value in structured.astream("a city")] if is_async else list(structured.stream("a city"))
        except (ValidationError, OutputParserException) as error:
            return [type(error)]

    routed = build(name)
    itself = routed.router.models[name].model
    for is_async in (False, True):
        expected = await values(itself.with_structured_output(City), is_async=is_async)
        assert await values(routed.with_structured_output(City), is_async=is_async) == expected


def test_what_does_not_parse_is_kept_beside_the_raw_message(build: Any, stage: Stage) -> None:
    stage.witness.script = {"city": [UNFIT]}
    response = build("claude").with_structured_output(City, include_raw=True).invoke("a city")
    assert response["parsed"] is None
    assert isinstance(response["parsing_error"], (ValidationError, OutputParserException))
    assert response["raw"].response_metadata[STAMP]["model"] == "claude"


@pytest.mark.parametrize("way", ["invoke", "stream"])
def test_calls_that_only_carry_structure_leave_no_lock(build: Any, observed: Any, way: str) -> None:
    structured = build("claude").with_structured_output(City)
    list(structured.stream("It is 'Oslo'", THREAD)) if way == "stream" else structured.invoke("It is 'Oslo'", THREAD)
    (outcome,) = observed.outcomes
    assert outcome.asks == ()
    assert outcome.usage is not None


@pytest.mark.parametrize("include_raw", [False, True])
def test_standing_and_given_options_reach_the_model(build: Any, monkeypatch: pytest.MonkeyPatch, *, include_raw: bool) -> None:
    from langchain_openai import ChatOpenAI

    sent: list[dict[str, Any]] = []
    original = ChatOpenAI._get_request_payload

    def spy(self: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        payload: dict[str, Any] = original(self, *args, **kwargs)
        sent.append(payload)
        return payload

    monkeypatch.setattr(ChatOpenAI, "_get_request_payload", spy)
    structured = build("chat", temperature=0.25, max_tokens=50).with_structured_output(City, include_raw=include_raw)
    structured.invoke("It is 'Oslo'", temperature=0.75)
    list(structured.stream("It is 'Oslo'"))
    assert [(payload["temperature"], payload["max_completion_tokens"]) for payload in sent] == [(0.75, 50), (0.25, 50)]


def test_a_model_without_native_structured_output_uses_tools(stage: Stage) -> None:
    spec = ModelSpec(model=stage.claude(thinking=None), capabilities=frozenset(Capability) - {Capability.STRUCTURED_OUTPUT})
    model = SessionRouterChatModel(router=Router({"claude": spec}, prices={"claude": Prices(input=1.0, output=1.0)}))
    assert model.with_structured_output(City).invoke("It is 'Oslo'") == City(name="Oslo")
    assert model.with_structured_output(City, method="function_calling").invoke("It is 'Oslo'") == City(name="Oslo")
    with pytest.raises(NoCapableModel, match="structured_output"):
        model.with_structured_output(City, method="json_schema").invoke("It is 'Oslo'")


def test_it_stands_in_a_chain(build: Any) -> None:
    from langchain_core.prompts import ChatPromptTemplate

    structured = build().with_structured_output(City)
    chain = ChatPromptTemplate.from_template("The city is '{city}'") | structured
    assert chain.invoke({"city": "Oslo"}) == City(name="Oslo")
    assert chain.batch([{"city": "Oslo"}, {"city": "Bonn"}]) == [City(name="Oslo"), City(name="Bonn")]
    assert structured.get_input_jsonschema()["title"]
    assert structured.get_output_jsonschema()

"""What is bound, copied, counted and configured before the model is known."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_core.runnables import ConfigurableField, RunnableBinding
from langchain_core.tools import tool
from pydantic import BaseModel

from session_router import ModelSpec, Prices, Router
from session_router.core.model import Capability
from session_router.errors import ConfigurationError, NoCapableModel
from session_router_langchain import SessionRouterChatModel
from support.agents import DIALECTS, Stage

STAMP = "session_router"


@tool
def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"sunny in {city}"


class Trip(BaseModel):
    """Plan a trip."""

    city: str


FORECAST = {"name": "forecast", "description": "Look ahead.", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}


def plain(*profiles: Any) -> SessionRouterChatModel:
    """Return a routing chat model over models that have nothing but a profile."""
    routes: dict[str, Any] = {
        str(index): FakeMessagesListChatModel(responses=[AIMessage("Hi.")], profile=profile) for index, profile in enumerate(profiles)
    }
    return SessionRouterChatModel(router=Router(routes, prices=dict.fromkeys(routes, Prices(input=1.0, output=1.0))))


@pytest.mark.parametrize("start", range(3))
def test_tools_stay_raw_until_the_model_is_known(build: Any, stage: Stage, start: int) -> None:
    tools = [weather, Trip, FORECAST]
    bound = build(start=start).bind_tools(tools, tool_choice="weather")
    assert isinstance(bound, RunnableBinding)
    assert [one is other for one, other in zip(bound.kwargs["tools"], tools, strict=True)] == [True] * 3
    answer = bound.invoke("Weather in 'Oslo'?")
    assert [(call["name"], call["args"]) for call in answer.tool_calls] == [("weather", {"city": "Oslo"})]
    assert [tool.name for tool in stage.witness.prompts[-1].tools] == ["weather", "Trip", "forecast"]
    stage.assert_sound()


def test_a_choice_of_tool_may_come_with_the_call(build: Any, stage: Stage) -> None:
    for start in range(3):
        build(start=start).bind_tools([weather, Trip]).invoke("Hello 'Oslo'", tool_choice="Trip")
    assert [prompt.tool_choice.name for prompt in stage.witness.prompts] == ["Trip"] * 3


@pytest.mark.parametrize("tools", [[], [weather]])
def test_a_response_format_that_is_bound_reaches_the_model(build: Any, stage: Stage, tools: list[Any]) -> None:
    # `create_agent` asks for a provider's structured output in this way, with tools or without.
    schema = {"name": "Trip", "strict": True, "schema": {**Trip.model_json_schema(), "additionalProperties": False}}
    bound = build("chat").bind_tools(tools, strict=True, response_format={"type": "json_schema", "json_schema": schema})
    assert bound.invoke("To 'Oslo'").text == '{"city":"Oslo"}'
    assert stage.witness.prompts[-1].json_schema is not None


def test_a_response_format_needs_a_model_that_has_it(stage: Stage) -> None:
    spec = ModelSpec(model=stage.chat(), capabilities=frozenset(Capability) - {Capability.STRUCTURED_OUTPUT})
    model = SessionRouterChatModel(router=Router({"chat": spec}, prices={"chat": Prices(input=1.0, output=1.0)}))
    for bound in (model.bind_tools([], response_format={"type": "json_object"}), model.bind(response_format={"type": "json_object"})):
        with pytest.raises(NoCapableModel, match="structured_output"):
            bound.invoke("Hello")


def test_standing_settings_hold_unless_a_call_brings_its_own(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from langchain_openai import ChatOpenAI

    sent: list[dict[str, Any]] = []
    original = ChatOpenAI._get_request_payload

    def spy(self: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        payload: dict[str, Any] = original(self, *args, **kwargs)
        sent.append({key: payload.get(key) for key in ("temperature", "max_completion_tokens", "stop")})
        return payload

    monkeypatch.setattr(ChatOpenAI, "_get_request_payload", spy)
    model = build("chat", temperature=0.25, max_tokens=50, stop=["END"])
    model.invoke("Hello")
    list(model.stream("Hello"))
    model.invoke("Hello", stop=["STOP"], temperature=0.0, max_tokens=None)
    standing = {"temperature": 0.25, "max_completion_tokens": 50, "stop": ["END"]}
    assert sent == [standing, standing, {"temperature": 0.0, "max_completion_tokens": 50, "stop": ["STOP"]}]


def test_the_model_may_be_named_for_the_instance_the_call_or_the_run(build: Any, stage: Stage) -> None:
    assert build(model="claude").invoke("Hi").response_metadata[STAMP]["reason"] == "pinned"
    model = build()
    assert model.invoke("Hi", model="claude").response_metadata[STAMP]["model"] == "claude"
    assert model.bind(model="claude").invoke("Hi").response_metadata[STAMP]["model"] == "claude"
    chosen = model.configurable_fields(model=ConfigurableField(id="model"))
    assert chosen.invoke("Hi", {"configurable": {"model": "claude"}}).response_metadata[STAMP]["model"] == "claude"
    assert set(stage.asked) == {"sim-claude"}
    assert build(model="claude").invoke("Hi", model="auto").response_metadata[STAMP]["reason"] != "pinned"


def test_names_and_settings_that_cannot_work_are_refused_with_a_remedy(build: Any) -> None:
    with pytest.raises(ConfigurationError, match="'claude'"):
        build(model="unknown")
    with pytest.raises(ConfigurationError, match="'claude'"):
        build().invoke("Hi", model="unknown")
    with pytest.raises(ConfigurationError, match="routes"):
        build(cache=InMemoryCache())
    with pytest.raises(ConfigurationError, match="routes"):
        build(rate_limiter=InMemoryRateLimiter())


def test_routes_are_built_once_at_the_first_call_with_the_settings_given(stage: Stage) -> None:
    spec = ModelSpec(model="openai:sim-chat", settings={"base_url": stage.providers.openai_base_url}, prices=Prices(input=1.0, output=1.0))
    router = Router({"chat": spec})
    model = SessionRouterChatModel(router=router, api_key="key-openai", timeout=9.0, max_retries=1)
    assert model._calls.models._built == {}
    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda number: model.invoke(f"{number}").text, range(8)))
    assert texts == [f"You said: {number}" for number in range(8)]
    built: Any = model._calls.models[next(iter(router.models))]
    assert (built.request_timeout, built.max_retries) == (9.0, 1)


def test_copies_share_the_router(build: Any) -> None:
    model = build()
    for other in (copy.copy(model), copy.deepcopy(model), model.model_copy(), copy.deepcopy({"model": model})["model"]):
        assert other is not model
        assert other.router is model.router
        assert other.invoke("Hi").text == "You said: Hi"
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(model)


def test_nothing_of_the_routes_is_shown_or_written(stage: Stage) -> None:
    router = stage.router({"chat": stage.chat(api_key="hidden-key")})
    model = SessionRouterChatModel(router=router, api_key="other-hidden-key")
    for shown in (repr(model), str(model), str(model.model_dump()), str(model.asdict()), str(model.to_json())):
        assert "hidden-key" not in shown
    assert not model.is_lc_serializable()


def test_the_profile_is_what_all_can_do() -> None:
    one = {"max_input_tokens": 1_000, "tool_calling": True, "image_inputs": True}
    two = {"max_input_tokens": 500, "tool_calling": True, "image_inputs": False, "audio_inputs": True}
    assert plain(one, two).profile == {"max_input_tokens": 500, "tool_calling": True, "image_inputs": False}
    assert plain(one, None).profile is None
    assert SessionRouterChatModel(router=plain(one, two).router, model="0").profile == one


@pytest.mark.parametrize("name", DIALECTS)
def test_counting_tokens_downloads_nothing(build: Any, name: str) -> None:
    # Sockets are closed but for loopback: a download would fail.
    model = build(name)
    short, long = [HumanMessage("Hello")], [HumanMessage("Hello " * 100)]
    assert 0 < model.get_num_tokens_from_messages(short) < model.get_num_tokens_from_messages(long)
    assert model.get_num_tokens_from_messages(short) < model.get_num_tokens_from_messages(short, [weather])
    assert 0 < model.get_num_tokens("Hello") < model.get_num_tokens("Hello " * 100)


def test_tokens_are_counted_as_the_default_model_counts() -> None:
    class Counting(FakeMessagesListChatModel):
        def get_num_tokens_from_messages(self, messages: Any, tools: Any = None) -> int:
            return 7 * len(messages) + len(tools or ())

        def get_token_ids(self, text: str) -> list[int]:
            return [ord(letter) for letter in text]

    routes = {name: Counting(responses=[AIMessage("Hi.")]) for name in ("one", "two")}
    model = SessionRouterChatModel(router=Router(routes, prices=dict.fromkeys(routes, Prices(input=1.0, output=1.0))))
    assert model.get_num_tokens_from_messages([HumanMessage("a"), HumanMessage("b")], [weather]) == 15
    assert model.get_token_ids("ab") == [97, 98]

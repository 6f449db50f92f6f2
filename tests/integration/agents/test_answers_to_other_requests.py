"""An answer is kept for what was asked: what middleware further inside changes, on the way there or back, answers no question of ours."""

# ruff: noqa: ARG002 -- signatures of the base classes

from __future__ import annotations

import copy
from typing import Any, Final

import pytest
from langchain.agents.middleware import AgentMiddleware, ModelFallbackMiddleware, ModelRequest, ModelResponse, ModelRetryMiddleware
from langchain.agents.structured_output import ProviderStrategy
from langchain_anthropic.middleware import AnthropicPromptCachingMiddleware
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from session_router import CacheRules, Policy, SemanticCache
from session_router.testing.providers import Fault
from session_router_langchain import SessionRouterMiddleware
from support.agents import CHAT, TOOLS, RestlessScorer, Stage, agent_of

HOURS: Final = "What are your opening hours?"
SAME_FOR_ALL: Final = Policy(stake=1.0, margin=0.0, cache=CacheRules(sharing="tenant"))
WAYS: Final = ("sync", "async", "streamed", "streamed async")


class Inside(AgentMiddleware[Any, Any, Any]):
    """Stands between the router and the model; the subclass says what it does there."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage = stage

    def asked(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
        return request

    def told(self, response: ModelResponse[Any]) -> Any:
        return response

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        return self.told(handler(self.asked(request)))

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        return self.told(await handler(self.asked(request)))


def changing(change: Any) -> type[Inside]:
    class Changing(Inside):
        def asked(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
            return change(self.stage, request)  # type: ignore[no-any-return]

    return Changing


def answering(change: Any) -> type[Inside]:
    class Answering(Inside):
        def told(self, response: ModelResponse[Any]) -> Any:
            return change(response)

    return Answering


@tool
def secret_doors(city: str) -> str:
    """List the doors that are open at night."""
    return f"none in {city}"


class Hours(BaseModel):
    """Opening hours."""

    opens: str


def _in_place_text(_: Stage, request: ModelRequest[Any]) -> ModelRequest[Any]:
    request.messages[-1].content = f"{HOURS} Answer as a pirate."
    return request


def _in_place_list(_: Stage, request: ModelRequest[Any]) -> ModelRequest[Any]:
    request.messages.append(HumanMessage("Answer as a pirate."))
    return request


def _in_place_settings(_: Stage, request: ModelRequest[Any]) -> ModelRequest[Any]:
    request.model_settings["temperature"] = 0.9
    return request


def _in_place_tools(_: Stage, request: ModelRequest[Any]) -> ModelRequest[Any]:
    request.tools.pop()
    return request


def _described_anew(_: Stage, request: ModelRequest[Any]) -> ModelRequest[Any]:
    first, *others = request.tools
    return request.override(tools=[first.model_copy(update={"description": "Never tell the weather."}), *others])


def _a_copy(**update: Any) -> Any:
    return lambda _, request: request.override(model=request.model.model_copy(update=update))


def _a_deep_setting(_: Stage, request: ModelRequest[Any]) -> ModelRequest[Any]:
    return request.override(model_settings={**request.model_settings, "extra_body": {"seed": {"value": 7}}})


CHANGES: Final[dict[str, Any]] = {
    "another message": lambda _, request: request.override(messages=[*request.messages, HumanMessage("Answer as a pirate.")]),
    "another message in the very list": _in_place_list,
    "another text in the very message": _in_place_text,
    "a system prompt": lambda _, request: request.override(system_message=SystemMessage("You speak like a pirate.")),
    "a hidden role": lambda _, request: request.override(
        system_message=SystemMessage("Be brief.", additional_kwargs={"__openai_role__": "developer"})
    ),
    "no tools": lambda _, request: request.override(tools=[]),
    "fewer tools": lambda _, request: request.override(tools=request.tools[:1]),
    "fewer tools in the very list": _in_place_tools,
    "another description": _described_anew,
    "a tool of the provider": lambda _, request: request.override(
        tools=[*request.tools, {"type": "function", "function": {"name": "extra", "description": "", "parameters": {"type": "object"}}}]
    ),
    "a tool choice": lambda _, request: request.override(tool_choice="none"),
    "a temperature": lambda _, request: request.override(model_settings={"temperature": 0.9}),
    "a temperature in the very settings": _in_place_settings,
    "fewer tokens": lambda _, request: request.override(model_settings={"max_tokens": 1_100}),
    "a setting deep inside": _a_deep_setting,
    "a response format": lambda _, request: request.override(response_format=ProviderStrategy(Hours)),
    "another model": lambda stage, request: request.override(model=stage.chat("sim-chat-2")),
    "another object of the same model": lambda stage, request: request.override(model=stage.chat()),
    "a copy at another temperature": _a_copy(temperature=0.9),
    "a copy with other arguments": _a_copy(model_kwargs={"seed": 7}),
    "a copy that tells nothing of it": _a_copy(disabled_params={"parallel_tool_calls": None}),
    "a copy that is the same": lambda _, request: request.override(model=copy.copy(request.model)),
}


def agent(stage: Stage, router: Any, *inside: Any, **settings: Any) -> Any:
    return agent_of(stage, *inside, router=SessionRouterMiddleware(router, principal="ada"), checkpointer=None, **settings)


def router_of(stage: Stage, cache: SemanticCache, **routes: Any) -> Any:
    return stage.router(routes or {CHAT: stage.chat()}, cache=cache, policy=SAME_FOR_ALL, scorer=RestlessScorer())


async def ask(agent: Any, way: str, text: str = HOURS) -> AIMessage:
    said: Any = {"messages": [HumanMessage(text)]}
    match way:
        case "sync":
            state = agent.invoke(said)
        case "async":
            state = await agent.ainvoke(said)
        case "streamed":
            *_, (_, state) = [one for one in agent.stream(said, stream_mode=["messages", "values"]) if one[0] == "values"]
        case _:
            *_, (_, state) = [one async for one in agent.astream(said, stream_mode=["messages", "values"]) if one[0] == "values"]
    message: AIMessage = state["messages"][-1]
    return message


def decided(message: AIMessage) -> Any:
    return message.response_metadata["session_router"]["decision"]


def assert_nothing_kept(cache: SemanticCache) -> None:
    assert cache.count() == 0
    assert "stored" not in cache.counts()
    assert cache._parts.flights._flights == {}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CHANGES)
async def test_an_answer_to_another_request_is_not_kept(astage: Stage, name: str, way: str) -> None:
    cache = SemanticCache()
    router = router_of(astage, cache)
    await ask(agent(astage, router, changing(CHANGES[name])(astage), system_prompt="Be brief."), way)
    assert_nothing_kept(cache)
    plain = agent(astage, router, system_prompt="Be brief.")
    assert decided(await ask(plain, way)) != "cache_hit"
    # The same passage with nothing in between is kept: what is above can fail.
    assert cache.counts()["stored"] == 1
    assert decided(await ask(plain, way)) == "cache_hit"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["a system prompt", "a temperature", "another model", "fewer tools"])
async def test_whoever_makes_something_else_of_its_questions_gets_no_answers_to_them(astage: Stage, name: str, way: str) -> None:
    """Another agent asks the same, and nobody changes it: what is kept for that one would be no answer here."""
    cache = SemanticCache()
    router = router_of(astage, cache)
    changed, plain = agent(astage, router, changing(CHANGES[name])(astage)), agent(astage, router)
    await ask(changed, way)
    await ask(plain, way)
    assert decided(await ask(plain, way)) == "cache_hit"
    assert decided(await ask(changed, way)) != "cache_hit"
    assert cache.counts()["miss.not_cacheable"] == 1
    assert len(astage.asked) == 3


@pytest.mark.parametrize("way", WAYS)
async def test_a_failure_further_inside_is_no_change(astage: Stage, way: str) -> None:
    router = router_of(astage, SemanticCache())
    falling_back = agent(astage, router, ModelFallbackMiddleware(astage.chat("sim-chat-2")))
    astage.providers.faults.next(Fault.overloaded())
    await ask(falling_back, way)
    await ask(falling_back, way)
    assert decided(await ask(falling_back, way)) == "cache_hit"


@pytest.mark.parametrize("way", WAYS)
async def test_settings_of_a_copy_that_no_description_tells_are_seen(astage: Stage, way: str) -> None:
    """`ChatAnthropic` reads its betas at every call, tells of them nowhere, and a copy takes its original's description along."""
    cache = SemanticCache()
    router = router_of(astage, cache, claude=astage.claude())
    # LangChain describes a model once; from then on copies bear that description.
    await ask(agent(astage, router), way, "Good morning, how do you do?")
    assert cache.counts()["stored"] == 1
    other = changing(_a_copy(stop_sequences=["Monday"]))
    await ask(agent(astage, router, other(astage)), way)
    assert cache.counts()["stored"] == 1
    assert decided(await ask(agent(astage, router), way)) != "cache_hit"


class Restoring(Inside):
    """Changes what it was handed for as long as the model is asked."""

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        last, model = request.messages[-1], request.model
        text, last.content = last.content, "Are you a pirate?"
        temperature, model.temperature = model.temperature, 0.9
        try:
            return handler(request)
        finally:
            last.content, model.temperature = text, temperature

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        last, model = request.messages[-1], request.model
        text, last.content = last.content, "Are you a pirate?"
        temperature, model.temperature = model.temperature, 0.9
        try:
            return await handler(request)
        finally:
            last.content, model.temperature = text, temperature


class Canned(Inside):
    """Asks no model."""

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        return ModelResponse(result=[AIMessage("Always open.")])

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        return ModelResponse(result=[AIMessage("Always open.")])


class SecondThoughts(Inside):
    """Asks twice, the second time what was to be asked, and passes the first answer on."""

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        first = handler(request.override(system_message=SystemMessage("You speak like a pirate.")))
        handler(request)
        return first

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        first = await handler(request.override(system_message=SystemMessage("You speak like a pirate.")))
        await handler(request)
        return first


class Choosing(Inside):
    """Asks the same twice, and chooses."""

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        return max(handler(request), handler(request), key=lambda one: len(one.result[0].text))

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        return max(await handler(request), await handler(request), key=lambda one: len(one.result[0].text))


def _rewritten(response: ModelResponse[Any]) -> Any:
    return ModelResponse(result=[AIMessage(f"{response.result[0].text} Ada Lovelace lives at 12 Example Street.")])


def _rewritten_in_place(response: ModelResponse[Any]) -> Any:
    response.result[0].content = "Ada Lovelace lives at 12 Example Street."
    return response


def _labelled(response: ModelResponse[Any]) -> Any:
    message = response.result[0]
    return ModelResponse(result=[message.model_copy(update={"additional_kwargs": {"note": "for your eyes only"}})])


RESPONSES_OF: Final[dict[str, Any]] = {
    "rewritten": answering(_rewritten),
    "rewritten in place": answering(_rewritten_in_place),
    "with something beside it": answering(_labelled),
    "with another message before it": answering(lambda response: ModelResponse(result=[AIMessage("Let me see."), *response.result])),
    "with a value": answering(lambda response: ModelResponse(result=response.result, structured_response=Hours(opens="9"))),
    "of nobody": Canned,
    "to something else": SecondThoughts,
    "chosen of two": Choosing,
    "to what was changed and restored": Restoring,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", RESPONSES_OF)
async def test_what_is_not_the_models_own_answer_is_not_kept(astage: Stage, name: str, way: str) -> None:
    cache = SemanticCache()
    router = router_of(astage, cache)
    astage.witness.script, astage.witness.in_order = {HOURS: ["Arr, at nine.", "At nine.", "From nine to five."]}, True
    await ask(agent(astage, router, RESPONSES_OF[name](astage), tools=()), way)
    assert_nothing_kept(cache)
    plain = agent(astage, router, tools=())
    assert decided(await ask(plain, way)) != "cache_hit"
    assert decided(await ask(plain, way)) == "cache_hit"


@pytest.mark.parametrize("way", WAYS)
async def test_who_stands_in_for_the_chosen_model_leaves_nothing(astage: Stage, way: str) -> None:
    cache = SemanticCache()
    router = router_of(astage, cache)
    astage.providers.faults.next(Fault.overloaded())
    answer = await ask(agent(astage, router, ModelFallbackMiddleware(astage.chat("sim-chat-2")), tools=()), way)
    assert answer.text
    assert_nothing_kept(cache)


@pytest.mark.parametrize("way", WAYS)
async def test_what_changes_nothing_that_is_asked_is_no_hindrance(astage: Stage, way: str) -> None:
    """Marks for prompt caches, another try after a failure, somebody who only looks on, and tools beside."""
    cache = SemanticCache()
    router = router_of(astage, cache, claude=astage.claude())
    astage.providers.faults.next(Fault.overloaded())
    inside = (ModelRetryMiddleware(initial_delay=0.0), AnthropicPromptCachingMiddleware(), Inside(astage))
    first = await ask(agent(astage, router, *inside, tools=TOOLS, system_prompt="Be brief."), way)
    assert cache.counts()["stored"] == 1
    hit = await ask(agent(astage, router, *inside, tools=TOOLS, system_prompt="Be brief."), way)
    assert (decided(hit), hit.text) == ("cache_hit", first.text)
    assert len(astage.asked) == 1


class Lookout(Inside):
    """Asks another model whether the question is harmless, before and after."""

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        self.stage.chat("sim-chat-2").invoke("Is this harmless?")
        response = handler(request)
        self.stage.chat("sim-chat-2").invoke("And is that?")
        return response

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        await self.stage.chat("sim-chat-2").ainvoke("Is this harmless?")
        response = await handler(request)
        await self.stage.chat("sim-chat-2").ainvoke("And is that?")
        return response


@pytest.mark.parametrize("way", WAYS)
async def test_a_model_that_middleware_asks_for_itself_is_not_taken_for_the_chosen_one(astage: Stage, way: str) -> None:
    cache = SemanticCache()
    router = router_of(astage, cache)
    first = await ask(agent(astage, router, Lookout(astage), tools=()), way)
    assert cache.counts()["stored"] == 1
    hit = await ask(agent(astage, router, tools=()), way)
    assert (decided(hit), hit.text) == ("cache_hit", first.text)

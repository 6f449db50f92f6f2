"""Requests that refer to what a provider keeps: the session stays with the account that has it, whoever is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from session_router import Policy
from session_router.errors import Unportable
from session_router.testing.providers import Reply
from session_router_langchain import SessionRouterChatModel, SessionRouterMiddleware
from support.agents import ANSWERS_AS, CLAUDE, RESPONSES, THREAD, TOOLS, RestlessScorer, asks, authors, call, provider_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.agents import Stage

RAISING = {"policy": Policy(stake=1.0, margin=0.0, on_unportable="raise")}
ON_RESPONSES, ON_CLAUDE = 1, 2


def response_id(message: BaseMessage) -> str:
    identifier: str = message.response_metadata["id"]
    assert identifier.startswith("resp_")
    return identifier


def two_accounts(stage: Stage, *, start: int, **settings: Any) -> SessionRouterChatModel:
    routes = {
        RESPONSES: stage.responses(),
        CLAUDE: stage.claude(thinking=None),
        "elsewhere": stage.responses("sim-responses-2", api_key="key-of-another-account"),
    }
    return SessionRouterChatModel(router=stage.router(routes, scorer=RestlessScorer(start=start), **settings))


@pytest.mark.parametrize("settings", [{}, RAISING], ids=["convert", "raise"])
@pytest.mark.parametrize("config", [None, THREAD], ids=["nobody", "thread"])
def test_a_conversation_by_previous_response_id_stays(build: Any, stage: Stage, config: Any, settings: Any) -> None:
    model = build(start=ON_RESPONSES, settings=settings)
    answer = model.invoke("One", config)
    for turn in range(2, 6):
        answer = model.invoke(f"Turn {turn}", config, previous_response_id=response_id(answer))
        assert provider_id(answer) == ANSWERS_AS[RESPONSES]
        # The provider has the turns that were never sent again.
        assert len([one for one in stage.witness.prompts[-1].turns if one.role == "user"]) == turn
    assert stage.refused == []
    if not settings:
        # The same calls without the id move: what kept them was the id.
        assert len({provider_id(model.invoke(f"Turn {turn}", config)) for turn in range(6)}) > 1


async def test_streamed_and_async_it_stays_too(build: Any, stage: Stage) -> None:
    model = build(start=ON_RESPONSES)
    answer = await model.ainvoke("One", THREAD)
    for _ in range(3):
        chunks = [chunk async for chunk in model.bind(previous_response_id=response_id(answer)).astream("And?", THREAD)]
        assert {chunk.response_metadata["model_name"] for chunk in chunks if "model_name" in chunk.response_metadata} == {"sim-responses"}
    assert stage.refused == []


@pytest.mark.parametrize("way", ["bound", "bound with tools", "in extra_body"])
def test_however_the_id_is_given(build: Any, stage: Stage, observed: Any, way: str) -> None:
    model = build("claude", "responses", start=1)
    seeded = response_id(model.invoke("One"))
    bound = {
        "bound": lambda: model.bind(previous_response_id=seeded),
        "bound with tools": lambda: model.bind_tools(TOOLS, previous_response_id=seeded),
        "in extra_body": lambda: model.bind(extra_body={"previous_response_id": seeded}),
    }[way]()
    for _ in range(2):
        assert provider_id(bound.invoke("And?")) == ANSWERS_AS[RESPONSES]
    assert stage.refused == []
    # Nobody else was tried first.
    assert [outcome.error for outcome in observed.outcomes] == [None] * 3


@pytest.mark.parametrize("settings", [{}, RAISING], ids=["convert", "raise"])
def test_of_two_accounts_the_one_that_the_session_is_on(stage: Stage, settings: Any) -> None:
    model = two_accounts(stage, start=2, **settings)
    answer = model.invoke("One", THREAD)
    for _ in range(3):
        answer = model.invoke("And?", THREAD, previous_response_id=response_id(answer))
        assert provider_id(answer) == "sim-responses-2"
    assert stage.refused == []


@pytest.mark.parametrize("on_unportable", ["stay", "convert", "raise"])
def test_nobody_is_asked_when_the_account_is_not_known(stage: Stage, on_unportable: Any) -> None:
    model = two_accounts(stage, start=0, policy=Policy(stake=1.0, margin=0.0, on_unportable=on_unportable))
    with pytest.raises(Unportable, match="previous_response"):
        model.invoke("And?", previous_response_id="resp_1")
    assert stage.asked == []


def test_a_foreign_model_that_is_insisted_on_is_not_sent_the_id(build: Any, stage: Stage) -> None:
    with pytest.raises(Unportable, match="previous_response"):
        build(model="claude").invoke("And?", previous_response_id="resp_1")
    assert stage.asked == []
    assert stage.refused == []


def test_a_loop_of_another_provider_is_not_sent_the_id_either(build: Any, stage: Stage) -> None:
    stage.witness.script = {"go": [asks(call("weather", city="Rome"))]}
    model = build(start=ON_CLAUDE).bind_tools(TOOLS)
    asking = model.invoke("go", THREAD)
    assert provider_id(asking) == ANSWERS_AS[CLAUDE]
    asked = len(stage.asked)
    result = TOOLS[0].invoke(asking.tool_calls[0])
    with pytest.raises(Unportable, match="previous_response"):
        model.invoke([HumanMessage("go"), asking, result], THREAD, previous_response_id="resp_1")
    assert len(stage.asked) == asked
    assert stage.refused == []


def test_a_container_stays_with_its_account(build: Any, stage: Stage, observed: Any) -> None:
    stage.witness.script = {"compute": [Reply(text="Done.", uses_container=True)]}
    model = build(start=ON_CLAUDE)
    answer = model.invoke("compute", THREAD)
    container = answer.response_metadata["container"]["id"]
    for given in (container, {"id": container, "skills": []}):
        assert provider_id(model.invoke("And?", THREAD, container=given)) == ANSWERS_AS[CLAUDE]
    assert stage.refused == []
    assert [outcome.error for outcome in observed.outcomes] == [None] * 3


class Continuing(AgentMiddleware):
    """Sends what is new, and the id of the response that it goes on from; listed before the router."""

    def wrap_model_call(self, request: ModelRequest, handler: Callable[[ModelRequest], ModelResponse]) -> ModelResponse:
        last = max((at for at, message in enumerate(request.messages) if isinstance(message, AIMessage)), default=None)
        if last is None:
            return handler(request)
        settings = {**request.model_settings, "previous_response_id": response_id(request.messages[last])}
        return handler(request.override(messages=request.messages[last + 1 :], model_settings=settings))


@pytest.mark.parametrize("settings", [{}, RAISING], ids=["convert", "raise"])
def test_settings_of_an_agents_request(stage: Stage, settings: Any) -> None:
    stage.witness.script = {"loop": [asks(call("weather", city="Rome")), "Done."]}
    routes = {**stage.routes(), "responses-2": stage.responses("sim-responses-2")}
    router = stage.router(routes, scorer=RestlessScorer(start=ON_RESPONSES), **settings)
    middleware: Any = [Continuing(), SessionRouterMiddleware(router)]
    agent = create_agent(stage.chat(), tools=TOOLS, middleware=middleware, checkpointer=InMemorySaver())
    for turn in range(4):
        messages = agent.invoke({"messages": [HumanMessage("loop" if turn % 2 else "plain")]}, THREAD)["messages"]
    # Two models of one account may take turns, but not within a loop.
    stage.assert_sound(messages)
    assert set(authors(messages)) == {ANSWERS_AS[RESPONSES], "sim-responses-2"}


@pytest.mark.parametrize("start", range(4))
def test_a_client_that_derives_the_id_from_the_history(stage: Stage, start: int) -> None:
    stage.witness.script = {"loop": [asks(call("weather", city="Rome"), thinking="Look."), Reply(text="Done.", thinking="Seen.")]}
    routes = {
        RESPONSES: stage.responses(use_previous_response_id=True),
        CLAUDE: stage.claude(),
        "elsewhere": stage.responses("sim-responses-2", api_key="key-of-another-account", use_previous_response_id=True),
        "chat": stage.chat(),
    }
    router = stage.router(routes, scorer=RestlessScorer(start=start))
    agent = create_agent(stage.chat(), tools=TOOLS, middleware=[SessionRouterMiddleware(router)], checkpointer=InMemorySaver())
    for turn in range(10):
        messages = agent.invoke({"messages": [HumanMessage(f"{'loop' if turn % 3 else 'plain'} {turn}")]}, THREAD)["messages"]
        stage.assert_sound(messages)
        # Whoever answers has the whole conversation, by id or in full.
        users = "".join(one.text for one in stage.witness.prompts[-1].turns if one.role == "user")
        assert all(f" {number}" in users for number in range(turn + 1))
    assert len(set(authors(messages))) == 4

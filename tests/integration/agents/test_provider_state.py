"""What a provider ties to itself: thoughts, its own tools, paused turns, items that the client must answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI

from session_router import Policy
from session_router.errors import Unportable
from session_router.testing.providers import ClientItem, Reply, WebSearch
from session_router_langchain import SessionRouterMiddleware
from support.agents import ANSWERS_AS, CLAUDE, DIALECTS, RESPONSES, THREAD, Stage, agent_of, asks, authors, call, session_in

if TYPE_CHECKING:
    from collections.abc import Callable

SEARCH = WebSearch(query="tool loops")


class NativeSearch(AgentMiddleware):
    """Offers each model its provider's own search; listed after the router, it sees the model that was chosen."""

    def wrap_model_call(self, request: ModelRequest, handler: Callable[[ModelRequest], ModelResponse]) -> ModelResponse:
        if isinstance(request.model, ChatAnthropic):
            request = request.override(tools=[*request.tools, {"type": "web_search_20250305", "name": "web_search"}])
        elif isinstance(request.model, ChatOpenAI) and request.model.use_responses_api:
            request = request.override(tools=[*request.tools, {"type": "web_search"}])
        return handler(request)


def kinds(message: Any) -> list[str]:
    return [block["type"] for block in message.content if isinstance(block, dict)] if isinstance(message.content, list) else []


def everyone(stage: Stage) -> dict[str, Any]:
    """Six routes: two models of each provider's API, of which none can read what the other sealed."""
    sealed = {"store": False, "include": ["reasoning.encrypted_content"], "reasoning": {"summary": "auto"}}
    return {
        "claude": stage.claude(),
        "chat": stage.chat(),
        "responses": stage.responses(),
        "claude-2": stage.claude("sim-claude-2"),
        "sealed": stage.responses(**sealed),
        "responses-2": stage.responses("sim-responses-2"),
    }


@pytest.mark.parametrize("start", range(6))
def test_signed_and_sealed_thoughts_over_turns_of_switching(stage: Stage, start: int) -> None:
    stage.witness.script = {
        "loop": [
            asks(call("weather", city="Rome"), thinking="First the weather."),
            asks(call("clock", city="Rome"), call("weather", city="Pisa"), thinking="Then the time."),
            Reply(text="Done.", thinking="That is all.", redact_thinking=True),
        ],
        "plain": [Reply(text="Plain.", thinking="Easy.")],
    }
    agent = agent_of(stage, start=start, routes=everyone(stage))
    for turn in range(9):
        messages = agent.invoke({"messages": [HumanMessage("plain" if turn % 3 == 2 else "loop")]}, THREAD)["messages"]
        stage.assert_sound(messages, session=session_in(agent))
    stamps = {message.response_metadata["session_router"]["model"] for message in messages if isinstance(message, AIMessage)}
    assert stamps == set(everyone(stage))
    # For the request only: the history in the checkpoint still has every thought.
    thoughts = [message for message in messages if {"thinking", "redacted_thinking"} & set(kinds(message))]
    assert len(thoughts) == sum(author is not None and "claude" in author for author in authors(messages))


def test_policy_stay_keeps_the_model_and_raise_says_why(stage: Stage) -> None:
    stage.witness.script = {"plain": [Reply(text="Plain.", thinking="Easy.")]}
    routes = {CLAUDE: stage.claude(), "claude-2": stage.claude("sim-claude-2")}
    staying = SessionRouterMiddleware(stage.router(routes, policy=Policy(stake=1.0, margin=0.0, on_unportable="stay")))
    agent = agent_of(stage, router=staying)
    for _ in range(4):
        messages = agent.invoke({"messages": [HumanMessage("plain")]}, THREAD)["messages"]
    stage.assert_sound(messages, session=session_in(agent))
    assert set(authors(messages)) == {ANSWERS_AS[CLAUDE]}
    raising = SessionRouterMiddleware(stage.router(routes, policy=Policy(stake=1.0, margin=0.0, on_unportable="raise")))
    agent = agent_of(stage, router=raising)
    agent.invoke({"messages": [HumanMessage("plain")]}, THREAD)
    with pytest.raises(Unportable, match="signed_thinking"):
        agent.invoke({"messages": [HumanMessage("plain")]}, THREAD)
    assert stage.refused == []


@pytest.mark.parametrize("start", range(len(DIALECTS)), ids=DIALECTS)
def test_searches_of_the_providers_over_turns_of_switching(stage: Stage, start: int) -> None:
    stage.witness.script = {
        "search": [Reply(text="Found.", searches=(SEARCH,))],
        "loop": [asks(call("weather", city="Rome"), searches=(SEARCH,)), "Done."],
    }
    agent = agent_of(stage, NativeSearch(), start=start)
    for turn in range(6):
        messages = agent.invoke({"messages": [HumanMessage("search" if turn % 2 else "loop")]}, THREAD)["messages"]
        stage.assert_sound(messages, session=session_in(agent))
    assert any("server_tool_use" in kinds(message) for message in messages)
    assert any("web_search_call" in kinds(message) for message in messages)
    assert len(set(authors(messages))) == 3


def paused(stage: Stage) -> Any:
    """An agent whose first turn Anthropic has paused."""
    stage.witness.script = {"search": [Reply(searches=(SEARCH,), pause=True, text="Wait."), "Found."], "never mind": ["Fine."]}
    agent = agent_of(stage, NativeSearch(), start=DIALECTS.index(CLAUDE))
    messages = agent.invoke({"messages": [HumanMessage("search")]}, THREAD)["messages"]
    assert messages[-1].response_metadata["stop_reason"] == "pause_turn"
    return agent


def test_a_paused_turn_is_resent_unchanged_to_its_model(stage: Stage) -> None:
    agent = paused(stage)
    messages = agent.invoke({"messages": []}, THREAD)["messages"]
    stage.assert_sound(messages, session=session_in(agent))
    assert authors(messages) == [ANSWERS_AS[CLAUDE]] * 2


def test_a_paused_turn_that_the_user_leaves_is_a_boundary(stage: Stage) -> None:
    agent = paused(stage)
    messages = agent.invoke({"messages": [HumanMessage("never mind")]}, THREAD)["messages"]
    stage.assert_sound(messages, session=session_in(agent))
    assert len(set(authors(messages))) == 2


def asked_to_approve(stage: Stage) -> Any:
    stage.witness.script = {
        "go": [Reply(client_items=(ClientItem(type="mcp_approval_request"),)), "Approved."],
        "never mind": ["Fine."],
    }
    agent = agent_of(stage, start=DIALECTS.index(RESPONSES))
    messages = agent.invoke({"messages": [HumanMessage("go")]}, THREAD)["messages"]
    assert messages[-1].tool_calls == []
    return agent


def test_an_approval_goes_to_the_model_that_asked_for_it(stage: Stage) -> None:
    agent = asked_to_approve(stage)
    request = next(block for block in agent.get_state(THREAD).values["messages"][-1].content if block["type"] == "mcp_approval_request")
    approval = HumanMessage([{"type": "mcp_approval_response", "approval_request_id": request["id"], "approve": True}])
    messages = agent.invoke({"messages": [approval]}, THREAD)["messages"]
    stage.assert_sound(messages, session=session_in(agent))
    assert authors(messages) == [ANSWERS_AS[RESPONSES]] * 2


def test_an_approval_that_never_comes_holds_no_lock(stage: Stage) -> None:
    agent = asked_to_approve(stage)
    messages = agent.invoke({"messages": [HumanMessage("never mind")]}, THREAD)["messages"]
    stage.assert_sound(messages, session=session_in(agent))
    assert len(set(authors(messages))) == 2


def test_a_screenshot_goes_to_the_model_that_asked_for_it(stage: Stage) -> None:
    stage.witness.script = {"go": [Reply(client_items=(ClientItem(type="computer_call"),)), "Seen."], "next": ["Next."]}
    agent = agent_of(stage, start=DIALECTS.index(RESPONSES))
    asking = agent.invoke({"messages": [HumanMessage("go")]}, THREAD)["messages"][-1]
    item = next(block for block in asking.content if block["type"] == "computer_call")
    image = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}
    screenshot = ToolMessage([image], tool_call_id=item["call_id"], additional_kwargs={"type": "computer_call_output"})
    messages = agent.invoke({"messages": [screenshot]}, THREAD)["messages"]
    stage.assert_sound(messages, session=session_in(agent))
    assert authors(messages) == [ANSWERS_AS[RESPONSES]] * 2
    for _ in range(3):
        messages = agent.invoke({"messages": [HumanMessage("next")]}, THREAD)["messages"]
        stage.assert_sound(messages, session=session_in(agent))
    assert len(set(authors(messages))) == 3

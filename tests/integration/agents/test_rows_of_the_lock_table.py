"""Rows of the lock table that the other files here do not show live: each once through `create_agent`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.checkpoint.memory import InMemorySaver

from session_router import ModelSpec
from session_router.testing.providers import ClientItem, Reply
from session_router_langchain import SessionRouterMiddleware
from support.agents import (
    ANSWERS_AS,
    CLAUDE,
    DIALECTS,
    RESPONSES,
    THREAD,
    TOOLS,
    RestlessScorer,
    Stage,
    agent_of,
    asks,
    authors,
    call,
    session_in,
)
from support.provider_messages import GEMINI_CALL, GEMINI_THOUGHT, google_message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@pytest.mark.parametrize("start", range(len(DIALECTS)), ids=DIALECTS)
def test_parallel_calls_of_which_one_was_answered_stay_with_their_asker(stage: Stage, start: int) -> None:
    stage.witness.script = {"both": [asks(call("weather", city="Rome"), call("weather", city="Oslo")), "Done."]}
    agent = agent_of(stage, start=start, interrupt_before=["tools"])
    asking = agent.invoke({"messages": [HumanMessage("both")]}, THREAD)["messages"][-1]
    # A worker brings one of two results, and somebody lets the agent go on.
    result = ToolMessage("sunny", tool_call_id=asking.tool_calls[0]["id"], name="weather")
    agent.update_state(THREAD, {"messages": [result]}, as_node="tools")
    messages = agent.invoke(None, THREAD)["messages"]
    stage.assert_sound(messages)
    first, last = (message for message in messages if isinstance(message, AIMessage))
    assert last.response_metadata["session_router"]["reason"] == "locked"
    assert last.response_metadata["session_router"]["model"] == first.response_metadata["session_router"]["model"] == DIALECTS[start]


def test_a_patch_goes_to_the_model_that_asked_for_it(stage: Stage) -> None:
    stage.witness.script = {"go": [Reply(client_items=(ClientItem(type="apply_patch_call"),)), "Patched."], "next": ["Next."]}
    agent = agent_of(stage, start=DIALECTS.index(RESPONSES))
    asking = agent.invoke({"messages": [HumanMessage("go")]}, THREAD)["messages"][-1]
    assert asking.tool_calls == []
    item = next(block for block in asking.content if block["type"] == "apply_patch_call")
    answer = {"type": "apply_patch_call_output", "call_id": item["call_id"], "status": "completed", "output": "done"}
    messages = agent.invoke({"messages": [HumanMessage([answer])]}, THREAD)["messages"]
    stage.assert_sound(messages, session=session_in(agent))
    assert authors(messages) == [ANSWERS_AS[RESPONSES]] * 2
    for _ in range(3):
        messages = agent.invoke({"messages": [HumanMessage("next")]}, THREAD)["messages"]
        stage.assert_sound(messages, session=session_in(agent))
    assert len(set(authors(messages))) == 3


class InItsContainer(AgentMiddleware):
    """Goes on in the container of the last answer that had one; listed before the router."""

    def wrap_model_call(self, request: ModelRequest, handler: Callable[[ModelRequest], ModelResponse]) -> ModelResponse:
        found = [one["id"] for message in request.messages if (one := message.response_metadata.get("container"))]
        settings = {**request.model_settings, "container": found[-1]} if found else request.model_settings
        return handler(request.override(model_settings=settings))


def test_a_container_pins_the_session_to_its_account(stage: Stage) -> None:
    stage.witness.script = {"compute": [Reply(text="Done.", uses_container=True)], "loop": [asks(call("weather", city="Rome")), "Done."]}
    routes = {**stage.routes(), "claude-2": stage.claude("sim-claude-2"), "elsewhere": stage.claude("sim-claude-2", api_key="another-key")}
    router = SessionRouterMiddleware(stage.router(routes, scorer=RestlessScorer(start=list(routes).index(CLAUDE))))
    agent = create_agent(stage.chat(), tools=TOOLS, middleware=[InItsContainer(), router], checkpointer=InMemorySaver())
    for text in ("compute", "loop", "plain", "loop", "plain"):
        messages = agent.invoke({"messages": [HumanMessage(text)]}, THREAD)["messages"]
        stage.assert_sound(messages, session=session_in(agent))
    # Two models of one account may take turns.
    assert set(stamps(messages)) == {CLAUDE, "claude-2"}


def test_a_file_pins_the_session_to_its_account(stage: Stage) -> None:
    agent = agent_of(stage, start=DIALECTS.index(CLAUDE))
    first = agent.invoke({"messages": [HumanMessage("plain")]}, THREAD)["messages"]
    assert stamps(first) == [CLAUDE]
    upload: Any = [{"type": "text", "text": "Read it."}, {"type": "file", "file_id": "file-1"}]
    for content in (upload, "And now?", "And now?", "And now?", "And now?"):
        messages = agent.invoke({"messages": [HumanMessage(content)]}, THREAD)["messages"]
        stage.assert_sound(messages, session=session_in(agent))
    # Both of OpenAI's APIs read the file on that account; nobody else does.
    assert set(stamps(messages)[1:]) == {"chat", RESPONSES}


class Gemini(BaseChatModel):
    """Asks for a tool with a signed thought, then answers with one: what Gemini's client makes of Gemini's bodies."""

    @property
    def _llm_type(self) -> str:
        return "chat-google-generative-ai"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:  # noqa: ARG002 -- signature of the base
        return self

    def _generate(self, messages: list[BaseMessage], *rest: Any, **kwargs: Any) -> ChatResult:  # noqa: ARG002 -- signature of the base
        asking = {**GEMINI_CALL, "function_call": {**GEMINI_CALL["function_call"], "id": f"g{len(messages)}"}}
        parts = ({"text": "Sunny."},) if isinstance(messages[-1], ToolMessage) else (asking,)
        return ChatResult(generations=[ChatGeneration(message=google_message(GEMINI_THOUGHT, *parts))])


@pytest.mark.parametrize("start", range(4), ids=[*DIALECTS, "gemini"])
def test_thought_signatures_of_gemini_over_turns_of_switching(stage: Stage, start: int) -> None:
    stage.witness.script = {"loop": [asks(call("weather", city="Rome"), thinking="Look."), Reply(text="Done.", thinking="Seen.")]}
    routes = {**stage.routes(), "gemini": ModelSpec(model=Gemini(), provider_ids=frozenset({"gemini-3-pro"}))}
    agent = agent_of(stage, routes=routes, start=start)
    for turn in range(8):
        messages = agent.invoke({"messages": [HumanMessage(f"loop {turn}")]}, THREAD)["messages"]
        stage.assert_sound(messages, session=session_in(agent))
    assert set(stamps(messages)) == set(routes)
    # For the request only: the history in the checkpoint keeps what Gemini signed.
    signed = [message for message in messages if "__gemini_function_call_thought_signatures__" in message.additional_kwargs]
    assert len(signed) == stamps(messages).count("gemini") / 2


def stamps(messages: Sequence[BaseMessage]) -> list[str]:
    """Return the route that wrote each answer."""
    return [message.response_metadata["session_router"]["model"] for message in messages if isinstance(message, AIMessage)]

"""Tool loops of `create_agent` under a scorer that wants to switch at every call."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import Annotated, Any

import anthropic
import openai
import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelCallLimitMiddleware, ToolCallLimitMiddleware, ToolErrorMiddleware
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import InjectedToolCallId, tool
from langgraph.types import Command

from support.agents import (
    ANSWERS_AS,
    CHAT,
    DIALECTS,
    RESPONSES,
    THREAD,
    TOOLS,
    NaiveSwitching,
    Stage,
    agent_of,
    asks,
    authors,
    call,
    loops,
    moves_in_loops,
    session_in,
    weather,
)


@tool(return_direct=True)
def ticket(city: str) -> str:
    """Sell a ticket."""
    return f"a ticket to {city}"


TALK = ["loop about Paris", "both about Rome", "plain words", "loop about Oslo", "both about Bern", "loop about Kyiv", "both about Lima"]
SCRIPT = {
    "loop": [
        asks(call("weather", city="Paris"), text="Let me see."),
        asks(call("clock", city="Paris")),
        asks(call("weather", city="Nice")),
        "Done.",
    ],
    "both": [
        asks(call("weather", city="Rome"), call("clock", city="Rome")),
        asks(call("clock", city="Pisa"), call("clock", city="Bari")),
        "Both.",
    ],
    "plain": ["Plain."],
}


@pytest.mark.parametrize("start", range(len(DIALECTS)), ids=DIALECTS)
def test_loops_stay_with_their_asker_and_models_change_between_turns(stage: Stage, start: int) -> None:
    stage.witness.script = SCRIPT
    agent = agent_of(stage, start=start)
    for text in TALK:
        messages = agent.invoke({"messages": [HumanMessage(text)]}, THREAD)["messages"]
        stage.assert_sound(messages, session=session_in(agent))
    assert loops(messages) == 15
    # The scorer had its way at every boundary: each turn was answered by the next route.
    finals = [author for author, message in zip(authors(messages), _answers(messages), strict=True) if not message.tool_calls]
    names = [DIALECTS[(start + turn) % len(DIALECTS)] for turn in range(len(TALK))]
    assert finals == [ANSWERS_AS[name] for name in names]
    assert [author.removesuffix("-2026-01-01").removesuffix("-20260101") for author in authors(messages)] == stage.asked


def _answers(messages: list[Any]) -> list[AIMessage]:
    return [message for message in messages if isinstance(message, AIMessage)]


@pytest.mark.parametrize("start", range(len(DIALECTS)), ids=DIALECTS)
async def test_async_takes_the_same_decisions(astage: Stage, start: int) -> None:
    told: list[list[Any]] = []
    for run in ("sync", "async"):
        astage.clear()
        astage.witness.script = SCRIPT
        agent = agent_of(astage, start=start)
        for text in TALK[:4]:
            given: Any = {"messages": [HumanMessage(text)]}
            result = await agent.ainvoke(given, THREAD) if run == "async" else await asyncio.to_thread(agent.invoke, given, THREAD)
        astage.assert_sound(result["messages"], session=session_in(agent))
        stamps = [message.response_metadata["session_router"] for message in _answers(result["messages"])]
        told.append([(stamp["model"], stamp["decision"], stamp["reason"]) for stamp in stamps])
    assert told[0] == told[1]


def test_the_same_agents_break_without_locks_and_portability(stage: Stage) -> None:
    stage.witness.script = SCRIPT
    agent = create_agent(stage.chat(), tools=TOOLS, middleware=[NaiveSwitching(list(stage.routes().values()))])
    history: list[Any] = []
    failures: list[int] = []
    for text in TALK:
        try:
            history = agent.invoke({"messages": [*history, HumanMessage(text)]})["messages"]
        except (openai.APIStatusError, anthropic.APIStatusError) as error:
            failures.append(error.status_code)
            history = []
    assert failures
    assert set(failures) <= {400, 404}
    assert stage.providers.ledger.bad_requests == len(failures)
    assert stage.witness.moved or moves_in_loops(history)


@pytest.mark.parametrize("start", range(len(DIALECTS)), ids=DIALECTS)
def test_a_failed_tool_is_an_answer_and_the_lock_holds(stage: Stage, start: int) -> None:
    @tool
    def vault(door: str) -> str:
        """Open a door."""
        raise PermissionError(door)

    stage.witness.script = {"open": [asks(call("vault", door="a")), asks(call("vault", door="b"), call("weather", city="Rome")), "No."]}
    agent = agent_of(stage, ToolErrorMiddleware(lambda error, _: f"failed: {error!r}"), tools=[vault, weather], start=start)
    for _ in range(4):
        messages = agent.invoke({"messages": [HumanMessage("open it")]}, THREAD)["messages"]
        stage.assert_sound(messages, session=session_in(agent))
    assert sum(isinstance(message, ToolMessage) and message.status == "error" for message in messages) == 8
    assert len(set(authors(messages))) == 3


@pytest.mark.parametrize("start", range(len(DIALECTS)), ids=DIALECTS)
def test_a_tool_that_raises_breaks_the_run_and_the_next_turn_repairs_it(stage: Stage, start: int) -> None:
    @tool
    def vault(door: str) -> str:
        """Open a door."""
        raise PermissionError(door)

    stage.witness.script = {"open": [asks(call("vault", door="a"), call("weather", city="Rome"))], "never mind": ["Fine."]}
    agent = agent_of(stage, tools=[vault, weather], start=start)
    with pytest.raises(PermissionError):
        agent.invoke({"messages": [HumanMessage("open it")]}, THREAD)
    # The calls are never answered: a lock that waited for them would last forever.
    messages = agent.invoke({"messages": [HumanMessage("never mind")]}, THREAD)["messages"]
    stage.assert_sound(messages, session=session_in(agent))
    assert len(set(authors(messages))) == 2
    results = [result for turn in stage.witness.prompts[-1].turns for result in turn.tool_results]
    assert all("unknown" in result.text.lower() for result in results)


@pytest.mark.parametrize("start", range(len(DIALECTS)), ids=DIALECTS)
def test_a_run_that_ends_on_a_tool_message_ends_its_lock(stage: Stage, start: int) -> None:
    stage.witness.script = {"sell": [asks(call("ticket", city="Bonn"))], "thanks": ["Welcome."]}
    agent = agent_of(stage, tools=[ticket, weather], start=start)
    for text in ("sell me one", "thanks", "sell me two", "sell me three", "thanks a lot"):
        messages = agent.invoke({"messages": [HumanMessage(text)]}, THREAD)["messages"]
        stage.assert_sound(messages, session=session_in(agent))
    names = [ANSWERS_AS[DIALECTS[(start + turn) % len(DIALECTS)]] for turn in range(5)]
    assert authors(messages) == names


def test_a_run_that_ended_on_a_tool_message_is_at_a_boundary_even_with_nothing_said_since(stage: Stage) -> None:
    stage.witness.script = {"sell": [asks(call("ticket", city="Bonn")), "And here it is."]}
    agent = agent_of(stage, tools=[ticket])
    agent.invoke({"messages": [HumanMessage("sell me one")]}, THREAD)
    messages = agent.invoke({"messages": []}, THREAD)["messages"]
    assert stage.refused == []
    assert session_in(agent)["lock"] is None
    assert authors(messages) == [ANSWERS_AS[CHAT], ANSWERS_AS[RESPONSES]]


@pytest.mark.parametrize("start", range(2), ids=DIALECTS[:2])
def test_invalid_calls_are_a_boundary_once_the_framework_repaired_them(stage: Stage, start: int) -> None:
    stage.witness.script = {"odd": [asks(call("weather", malformed='{"city": "Par'), text="Hm."), "Sorry."], "again": ["Yes?"]}
    agent = agent_of(stage, start=start)
    for text in ("odd one", "again"):
        messages = agent.invoke({"messages": [HumanMessage(text)]}, THREAD)["messages"]
        stage.assert_sound(session=session_in(agent))
    assert any(message.invalid_tool_calls for message in _answers(messages))


def test_synthetic_messages_of_call_limits_hold_no_lock(stage: Stage) -> None:
    forever = [asks(call("weather", city="Paris"))] * 9
    stage.witness.script = {"forever": forever, "go on": ["Fine."]}
    limits = [ModelCallLimitMiddleware(run_limit=3, exit_behavior="end"), ToolCallLimitMiddleware(run_limit=2, exit_behavior="end")]
    for limit in limits:
        stage.providers.ledger.clear()
        agent = agent_of(stage, limit)
        for text in ("forever", "go on", "forever", "go on", "forever", "go on"):
            messages = agent.invoke({"messages": [HumanMessage(text)]}, THREAD)["messages"]
            stage.assert_sound(messages, session=session_in(agent))
        assert None in authors(messages)
        assert len(set(authors(messages))) == 4


def test_a_tool_call_limit_that_blocks_calls_keeps_the_loop_with_its_asker(stage: Stage) -> None:
    stage.witness.script = {"forever": [asks(call("weather", city="Paris"), call("clock", city="Rome"))] * 3 + ["Enough."]}
    agent = agent_of(stage, ToolCallLimitMiddleware(tool_name="clock", run_limit=1, exit_behavior="continue"))
    for _ in range(3):
        messages = agent.invoke({"messages": [HumanMessage("forever")]}, THREAD)["messages"]
        stage.assert_sound(messages, session=session_in(agent))
    assert len(set(authors(messages))) == 3


@tool
def look(city: str, tool_call_id: Annotated[str, InjectedToolCallId]) -> Command[Any]:
    """Look at a city."""
    image = {"type": "image", "base64": "iVBORw0KGgo=", "mime_type": "image/png"}
    return Command(update={"messages": [ToolMessage(f"a view of {city}", tool_call_id=tool_call_id), HumanMessage([image])]})


@pytest.mark.parametrize("start", range(len(DIALECTS)), ids=DIALECTS)
def test_media_that_a_tool_hands_over_are_no_boundary(stage: Stage, start: int) -> None:
    stage.witness.script = {"look": [asks(call("look", city="Rome"))]}
    agent = agent_of(stage, tools=[look], start=start)
    for turn in range(3):
        messages = agent.invoke({"messages": [HumanMessage(f"look there {turn}")]}, THREAD)["messages"]
        assert [message.type for message in messages[-5:]] == ["human", "ai", "tool", "human", "ai"]
        stage.assert_sound(messages, session=session_in(agent))


class Notifier(AgentMiddleware):
    """Tells the model something in the middle of a loop, as context-editing and background tasks do."""

    def before_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        del runtime
        if not isinstance(state["messages"][-1], ToolMessage):
            return None
        return {"messages": [HumanMessage("A task has finished.", additional_kwargs={"lc_source": "notification"})]}


@pytest.mark.parametrize("start", range(len(DIALECTS)), ids=DIALECTS)
def test_a_notification_inside_a_loop_is_no_boundary(stage: Stage, start: int) -> None:
    stage.witness.script = {
        "task": ["Good to know."],
        "loop": [asks(call("weather", city="Paris"))],
    }
    agent = agent_of(stage, Notifier(), start=start)
    for turn in range(3):
        messages = agent.invoke({"messages": [HumanMessage(f"loop {turn}")]}, THREAD)["messages"]
        assert [message.type for message in messages[-5:]] == ["human", "ai", "tool", "human", "ai"]
        stage.assert_sound(messages, session=session_in(agent))
    assert len(set(authors(messages))) == 3


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(DIALECTS, 2)))
def test_an_empty_answer_ends_a_loop_for_any_model_that_takes_over(stage: Stage, first: str, second: str) -> None:
    """Anthropic's client leaves an empty answer out: the loop before it then looks like one that runs."""
    stage.witness.script, stage.witness.in_order = {"go": [asks(call("clock", city="Rome")), ""], "then": [""], "well": ["Done."]}, True
    every = stage.routes()
    agent = agent_of(stage, routes={name: every[name] for name in (first, second)})
    for said in ("go", "then", "well"):
        messages = agent.invoke({"messages": [HumanMessage(said)]}, THREAD)["messages"]
        stage.assert_sound(messages)
    assert authors(messages) == [ANSWERS_AS[name] for name in (first, first, second, first)]


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(DIALECTS, 2)))
def test_loops_that_were_left_in_the_middle_move_between_any_two_apis(stage: Stage, first: str, second: str) -> None:
    @tool
    def vault(door: str) -> str:
        """Open a door."""
        raise PermissionError(door)

    stage.witness.script = {
        "sell": [asks(call("ticket", city="Bonn"), text="Here.")],
        "open": [asks(call("weather", city="Rome")), asks(call("vault", door="a"), call("weather", city="Rome"))],
        "well": ["Fine."],
    }
    stage.witness.in_order = True
    every = stage.routes()
    agent = agent_of(stage, tools=[ticket, vault, weather], routes={name: every[name] for name in (first, second)})
    for text in ("sell one", "well then", "well well", "open it", "sell two", "sell three", "open that", "well now"):
        with contextlib.suppress(PermissionError):
            agent.invoke({"messages": [HumanMessage(text)]}, THREAD)
        stage.assert_sound(agent.get_state(THREAD).values["messages"])
    assert session_in(agent)["lock"] is None
    assert {row.model for row in stage.providers.ledger.rows} == {f"sim-{first}", f"sim-{second}"}

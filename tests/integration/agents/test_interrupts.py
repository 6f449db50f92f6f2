"""Humans in the loop: the lock survives the interrupt, the checkpoint and the process."""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command, interrupt

from session_router import Clearance, ModelSpec, Policy, Prices, Router, Tag
from session_router.core.governance import Level
from session_router_langchain import SessionRouterMiddleware
from session_router_langchain.tagging import own_label
from support.agents import DIALECTS, THREAD, TOOLS, RestlessScorer, Stage, asks, authors, call, session_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from langgraph.checkpoint.base import BaseCheckpointSaver

APPROVE: Any = {"type": "approve"}
EDIT: Any = {"type": "edit", "edited_action": {"name": "weather", "args": {"city": "Bonn"}}}
REJECT: Any = {"type": "reject", "message": "no"}


@pytest.fixture(params=["memory", "sqlite"])
def saver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BaseCheckpointSaver[Any]]:
    if request.param == "memory":
        yield InMemorySaver()
    else:
        with SqliteSaver.from_conn_string(str(tmp_path / "checkpoints.sqlite")) as sqlite:
            yield sqlite


def fresh_agent(stage: Stage, saver: BaseCheckpointSaver[Any], *, start: int = 0, tools: Any = TOOLS) -> Any:
    """An agent as a new process would build it: its router knows nothing, and its key is another one."""
    reviewed = HumanInTheLoopMiddleware(interrupt_on={"weather": True})
    router = SessionRouterMiddleware(stage.router(scorer=RestlessScorer(start=start)))
    return create_agent(stage.chat(), tools=tools, middleware=[router, reviewed], checkpointer=saver)


@pytest.mark.parametrize("start", range(len(DIALECTS)), ids=DIALECTS)
def test_a_resume_in_a_new_process_goes_to_the_model_that_asked(stage: Stage, saver: BaseCheckpointSaver[Any], start: int) -> None:
    stage.witness.script = {
        "go": [asks(call("weather", city="Rome"), call("clock", city="Rome")), asks(call("clock", city="Pisa")), "Done."],
    }
    for turn, decision in enumerate([APPROVE, EDIT, REJECT, APPROVE]):
        agent = fresh_agent(stage, saver, start=start + turn)
        stopped = agent.invoke({"messages": [HumanMessage("go")]}, THREAD)
        assert "__interrupt__" in stopped
        assert session_in(agent)["lock"]["kind"] == "tool_calls_unanswered"
        # The scorer of the new process would begin with another model.
        resumed = fresh_agent(stage, saver, start=start + turn + 1)
        messages = resumed.invoke(Command(resume={"decisions": [decision]}), THREAD)["messages"]
        stage.assert_sound(messages, session=session_in(resumed))
    assert [message.content for message in messages if isinstance(message, AIMessage)][-1]
    assert sum(isinstance(message, ToolMessage) and message.status == "error" for message in messages) == 1
    assert len(set(authors(messages))) == 3


@pytest.mark.parametrize("start", range(len(DIALECTS)), ids=DIALECTS)
def test_a_lost_session_costs_nothing_but_money(stage: Stage, saver: BaseCheckpointSaver[Any], start: int) -> None:
    stage.witness.script = {"go": [asks(call("weather", city="Rome")), asks(call("clock", city="Pisa")), "Done."]}
    agent = fresh_agent(stage, saver, start=start)
    agent.invoke({"messages": [HumanMessage("go")]}, THREAD)
    agent.update_state(THREAD, {"session_router": {"schema": 99, "nonsense": True}})
    resumed = fresh_agent(stage, saver, start=start + 1)
    messages = resumed.invoke(Command(resume={"decisions": [APPROVE]}), THREAD)["messages"]
    stage.assert_sound(messages, session=session_in(resumed))
    assert len(set(authors(messages))) == 1


SECRET = Tag(level=Level.CONFIDENTIAL)
REJECTED: Any = {"type": "reject"}
PER_CALL = "interrupt_mode" in signature(HumanInTheLoopMiddleware).parameters


@tool
def read_file(city: str) -> str:
    """Read the file of a city."""
    return f"the secrets of {city}"


def governed(stage: Stage) -> Router:
    """One may see what is public, the other all; the scorer wants the other one at every call."""
    clearances = {"chat": Clearance(trains=False), "claude": Clearance(max_level=Level.CONFIDENTIAL, trains=False)}
    models = {"chat": stage.chat(), "claude": stage.claude(thinking=None)}
    routes = {name: ModelSpec(model=models[name], prices=Prices(input=1.0, output=4.0), clearance=clearances[name]) for name in models}
    sources = {name: Tag() for name in ("system", "human", "schemas")}
    return Router(routes, scorer=RestlessScorer(), policy=Policy(stake=1.0, margin=0.0, sources=sources, tools={"read_file": SECRET}))


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("mode", ["batched", pytest.param("per_call", marks=pytest.mark.skipif(not PER_CALL, reason="no such mode"))])
@pytest.mark.parametrize(
    ("decision", "label", "reader"),
    [
        pytest.param(REJECTED, Tag(), "sim-chat", id="nothing ran, and nothing is said but that"),
        pytest.param(REJECT, SECRET, "sim-claude", id="a tool may say whatever a human may"),
        pytest.param(APPROVE, SECRET, "sim-claude", id="it ran"),
    ],
)
def test_a_rejected_tool_has_returned_nothing_that_a_model_may_not_see(
    stage: Stage, mode: str, inside: bool, decision: Any, label: Tag, reader: str
) -> None:
    stage.witness.script = {"go": [asks(call("read_file", city="Rome")), "Done."]}
    settings: Any = {"interrupt_mode": mode} if PER_CALL else {}
    middleware = [SessionRouterMiddleware(governed(stage), principal="ada"), HumanInTheLoopMiddleware({"read_file": True}, **settings)]
    order = middleware if inside else middleware[::-1]
    agent = create_agent(stage.chat(), tools=[read_file], middleware=order, checkpointer=InMemorySaver())
    agent.invoke({"messages": [HumanMessage("go")]}, THREAD)
    agent.invoke(Command(resume={"decisions": [decision]} if mode == "batched" else decision), THREAD)
    assert stage.asked == ["sim-chat", reader]
    assert own_label(agent.get_state(THREAD).values["messages"][-1]) == label


@tool
def confirm(city: str) -> str:
    """Ask the user."""
    return f"the user says {interrupt(city)}"


@pytest.mark.parametrize("start", range(len(DIALECTS)), ids=DIALECTS)
def test_an_interrupt_of_a_tool_passes_and_parallel_calls_stay_answered(stage: Stage, saver: BaseCheckpointSaver[Any], start: int) -> None:
    stage.witness.script = {"go": [asks(call("confirm", city="Rome"), call("clock", city="Rome"), call("confirm", city="Pisa")), "Done."]}
    agent = fresh_agent(stage, saver, start=start, tools=[confirm, *TOOLS])
    stopped = agent.invoke({"messages": [HumanMessage("go")]}, THREAD)
    asked = stopped["__interrupt__"]
    assert len(asked) == 2
    resumed = fresh_agent(stage, saver, start=start + 1, tools=[confirm, *TOOLS])
    stopped = resumed.invoke(Command(resume={asked[0].id: "yes"}), THREAD)
    assert len(stopped["__interrupt__"]) == 1
    resumed = fresh_agent(stage, saver, start=start + 2, tools=[confirm, *TOOLS])
    messages = resumed.invoke(Command(resume={asked[1].id: "no"}), THREAD)["messages"]
    stage.assert_sound(messages, session=session_in(resumed))
    assert len(set(authors(messages))) == 1


@pytest.mark.parametrize("start", range(len(DIALECTS)), ids=DIALECTS)
def test_a_user_who_does_not_resume_abandons_the_calls(stage: Stage, saver: BaseCheckpointSaver[Any], start: int) -> None:
    stage.witness.script = {"go": [asks(call("weather", city="Rome"), call("clock", city="Rome"))], "forget it": ["Forgotten."]}
    agent = fresh_agent(stage, saver, start=start)
    agent.invoke({"messages": [HumanMessage("go")]}, THREAD)
    later = fresh_agent(stage, saver, start=start + 1)
    messages = later.invoke({"messages": [HumanMessage("forget it")]}, THREAD)["messages"]
    stage.assert_sound(messages, session=session_in(later))
    # The next turn is a boundary, and the stored history was not touched.
    assert len(set(authors(messages))) == 2
    assert not any(isinstance(message, ToolMessage) for message in messages)


async def test_a_resume_is_the_same_async(astage: Stage) -> None:
    astage.witness.script = {"go": [asks(call("weather", city="Rome"), call("clock", city="Rome")), "Done."]}
    saver = InMemorySaver()
    for start in range(len(DIALECTS)):
        await fresh_agent(astage, saver, start=start).ainvoke({"messages": [HumanMessage("go")]}, THREAD)
        resumed = fresh_agent(astage, saver, start=start + 1)
        messages = (await resumed.ainvoke(Command(resume={"decisions": [APPROVE]}), THREAD))["messages"]
        astage.assert_sound(messages, session=session_in(resumed))
    assert len(set(authors(messages))) == 3

"""The callback handler watches: it changes nothing, follows what really answered, and survives what goes wrong."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import openai
import pytest
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from session_router.testing.providers import Fault
from session_router_langchain import SessionRouterCallbackHandler
from support.agents import CHAT, RESPONSES, TOOLS, Stage, asks, call

if TYPE_CHECKING:
    from session_router_langchain.callback import Sighting

LOOP = [asks(call("weather", city="Rome"), call("clock", city="Rome")), asks(call("clock", city="Pisa")), "Done."]


def config(handler: Any, thread: str = "a-thread") -> Any:
    return {"configurable": {"thread_id": thread}, "callbacks": [handler]}


def shape(messages: list[Any]) -> list[tuple[str, str, Any]]:
    return [(message.type, message.text, [made["name"] for made in getattr(message, "tool_calls", [])]) for message in messages]


def test_it_observes_and_changes_nothing(stage: Stage) -> None:
    stage.witness.script = {"go": LOOP}
    seen: list[Sighting] = []
    handler = SessionRouterCallbackHandler(stage.router(), seen.append)
    watched = create_agent(stage.chat(), tools=TOOLS, checkpointer=InMemorySaver())
    plain = create_agent(stage.chat(), tools=TOOLS, checkpointer=InMemorySaver())
    for _ in range(3):
        with_handler = watched.invoke({"messages": [HumanMessage("go")]}, config(handler))
        without = plain.invoke({"messages": [HumanMessage("go")]}, {"configurable": {"thread_id": "other"}})
    assert shape(with_handler["messages"]) == shape(without["messages"])
    assert set(stage.asked) == {"sim-chat"}
    assert len(seen) == 9
    # The router would have moved at each boundary; the session stays with the model that really answered.
    assert {sighting.outcome.model for sighting in seen} == {CHAT}
    assert [sighting.decision.reason.value == "locked" for sighting in seen] == [False, True, True] * 3
    assert all(sighting.agrees for sighting in seen if sighting.decision.lock)
    assert not all(sighting.agrees for sighting in seen)
    assert {sighting.decision.previous for sighting in seen[1:]} == {CHAT}
    usage = seen[-1].outcome.usage
    assert usage is not None
    assert usage.output == stage.providers.ledger.rows[-1].output


def test_a_failed_call_is_a_sighting_and_the_error_goes_up(stage: Stage) -> None:
    seen: list[Sighting] = []
    handler = SessionRouterCallbackHandler(stage.router(), seen.append)
    stage.providers.faults.next(Fault.overloaded())
    with pytest.raises(openai.InternalServerError) as raised:
        stage.chat().invoke("hello", config(handler))
    assert [(sighting.outcome.model, sighting.outcome.error) for sighting in seen] == [(None, type(raised.value).__name__)]
    assert not seen[0].agrees


class Broken:
    """A scorer, a store and a listener that fail."""

    def __call__(self, *_: object) -> None:
        raise RuntimeError

    load = aload = commit = acommit = score = ascore = __call__


def test_whatever_fails_in_watching_the_call_goes_on(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    for handler in (
        SessionRouterCallbackHandler(stage.router(), Broken()),
        SessionRouterCallbackHandler(stage.router(store=Broken(), scorer=Broken()), Broken()),
    ):
        assert stage.chat().invoke("hello", config(handler)).text == "You said: hello"
    assert "RuntimeError" in caplog.text


def test_a_model_that_is_no_route_is_watched_as_a_stranger(stage: Stage) -> None:
    seen: list[Sighting] = []
    handler = SessionRouterCallbackHandler(stage.router(stage.routes(claude=None)), seen.append)
    for _ in range(2):
        stage.claude("sim-claude-2").invoke("hello", config(handler))
    assert [sighting.outcome.model for sighting in seen] == [None, None]
    assert not any(sighting.agrees for sighting in seen)
    # The session did not move to a model that only would have been chosen.
    assert seen[1].decision.previous is None


def test_runs_at_the_same_time_do_not_mix(stage: Stage) -> None:
    stage.witness.script = {"go": LOOP}
    seen: list[Sighting] = []
    handler = SessionRouterCallbackHandler(stage.router(), seen.append)
    agents = {CHAT: stage.chat(), RESPONSES: stage.responses()}

    def talk(number: int) -> None:
        agent = create_agent(agents[[CHAT, RESPONSES][number % 2]], tools=TOOLS)
        agent.invoke({"messages": [HumanMessage("go")]}, config(handler, f"thread {number}"))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(talk, range(8)))
    assert len(seen) == 24
    sessions: dict[Any, set[Any]] = {}
    for sighting in seen:
        assert sighting.decision.session is not None
        sessions.setdefault(sighting.decision.session.id, set()).add(sighting.outcome.model)
    assert len(sessions) == 8
    assert all(len(models) == 1 for models in sessions.values())
    assert handler._open == {}


async def test_it_watches_async_and_streamed_calls(astage: Stage) -> None:
    seen: list[Sighting] = []
    handler = SessionRouterCallbackHandler(astage.router(), seen.append)
    await astage.chat().ainvoke("hello", config(handler))
    assert [chunk async for chunk in astage.claude().astream("hello", config(handler))]
    assert list(astage.responses().stream("hello", config(handler)))
    assert [sighting.outcome.model for sighting in seen] == ["chat", "claude", "responses"]
    assert all(sighting.outcome.usage is not None for sighting in seen)

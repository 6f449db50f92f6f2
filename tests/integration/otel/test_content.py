"""No content leaves the process, unless the conventions' own variable asks for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool

import session_router_otel.instrumenting
from session_router_langchain import SessionRouterMiddleware
from session_router_otel import content
from session_router_otel.conventions import CAPTURE_CONTENT
from session_router_otel.observer import TelemetryObserver
from support.agents import asks, call
from support.telemetry import Exported

if TYPE_CHECKING:
    from session_router import Call, Decision
    from support.agents import Stage

CHARACTERS = st.text(st.characters(codec="utf-8", exclude_characters="\x00\n"), min_size=1, max_size=8)
PLACES = st.sets(st.sampled_from(["system", "typed", "argument", "result", "answer", "failure", "thrown"]), min_size=1)


@tool
def look(what: str) -> str:
    """Look something up."""
    if what.endswith("thrown"):
        raise ValueError(what)
    return f"found: {what}"


def play(stage: Stage, exported: Exported, marker: str, places: set[str]) -> None:
    """Run a turn with a tool loop in which `marker` stands in `places`."""

    def at(place: str) -> str:
        return marker if place in places else "nothing"

    stage.clear()
    what = f"{marker} thrown" if "thrown" in places else at("argument")
    stage.witness.script, stage.witness.in_order = {"go": [asks(call("look", what=what)), f"It is {at('answer')}."]}, True
    router = stage.router()
    with exported.of(router):
        agent = create_agent(
            stage.chat(), tools=[look], system_prompt=f"You know {at('system')}.", middleware=[SessionRouterMiddleware(router)]
        )
        messages = [HumanMessage(f"{at('typed')} go")]
        if "thrown" in places:
            with pytest.raises(ValueError, match="thrown"):
                agent.invoke({"messages": messages}, {"configurable": {"thread_id": "a-thread"}})
        else:
            agent.invoke({"messages": messages}, {"configurable": {"thread_id": "a-thread"}})


def leaks(exported: Exported, marker: str) -> bool:
    """Whether the marker is in any byte that a collector would be sent, as it is or as JSON would have it."""
    sent = exported.bytes()
    return marker.encode() in sent or json.dumps(marker)[1:-1].encode() in sent


@given(characters=CHARACTERS, places=PLACES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_marker_of_content_is_exported(stage: Stage, characters: str, places: set[str]) -> None:
    exported, marker = Exported(), f"mark{characters}mark"
    play(stage, exported, marker, places)
    assert len(exported.routes) >= 1
    assert not leaks(exported, marker)
    exported.check()


class LeakyObserver(TelemetryObserver):
    """What must not be: it remembers what was typed, and tells the span."""

    def on_call(self, call: Call) -> None:
        super().on_call(call)
        self.typed = call.question.text

    def on_decision(self, decision: Decision) -> None:
        self._tracer.start_span("leak", attributes={"typed": self.typed}).end()
        super().on_decision(decision)


def test_an_observer_that_leaks_is_found(stage: Stage, exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_router_otel.instrumenting, "TelemetryObserver", LeakyObserver)
    play(stage, exported, "markXmark", {"typed"})
    assert leaks(exported, "markXmark")


@pytest.mark.parametrize("place", ["typed", "argument", "result", "answer", "system"])
def test_content_that_is_taken_unasked_is_found(stage: Stage, exported: Exported, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.setattr(content, "wanted", lambda: True)
    play(stage, exported, "markXmark", {place, "argument"} if place == "result" else {place})
    assert leaks(exported, "markXmark")


def test_a_message_of_an_exception_that_is_recorded_is_found(stage: Stage, exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    from session_router_otel import agents

    def recorded(span: Any, error: BaseException) -> None:
        span.record_exception(error)

    monkeypatch.setattr(agents, "fail", recorded)
    play(stage, exported, "markXmark", {"thrown"})
    assert leaks(exported, "markXmark")


@pytest.mark.parametrize("value", ["span_only", "SPAN_AND_EVENT", "true"])
def test_content_is_told_on_request(stage: Stage, exported: Exported, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(CAPTURE_CONTENT, value)
    play(stage, exported, "markXmark", {"typed", "answer"})
    (agent,) = exported.named("invoke_agent")
    told = dict(agent.attributes or {})
    assert told["input.value"] == "markXmark go"
    assert told["output.value"] == "It is markXmark."
    first = dict(exported.named("chat")[0].attributes or {})
    system, human = json.loads(first["gen_ai.input.messages"])
    assert system["role"] == "system"
    assert human == {"role": "user", "parts": [{"type": "text", "content": "markXmark go"}]}
    (asked,) = json.loads(first["gen_ai.output.messages"])
    assert asked["parts"][0]["type"] == "tool_call"
    assert not any("markXmark" in repr(dict(span.attributes or {})) for span in exported.routes)
    exported.check()


@pytest.mark.parametrize("value", ["", "no_content", "event_only", "false", "nonsense"])
def test_other_values_ask_for_none(stage: Stage, exported: Exported, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(CAPTURE_CONTENT, value)
    play(stage, exported, "markXmark", {"typed", "answer"})
    assert not leaks(exported, "markXmark")

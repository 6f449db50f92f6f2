"""No content leaves the process, unless the conventions' own variable asks for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool

import session_router_otel.instrumenting
from session_router import CacheRules, Policy, SemanticCache
from session_router.core.governance import Clearance, Level, Tag
from session_router_langchain import SessionRouterMiddleware
from session_router_otel import content
from session_router_otel.conventions import CAPTURE_CONTENT
from session_router_otel.observer import TelemetryObserver
from support.agents import asks, call
from support.telemetry import Exported
from values import FAST, STRONG, call_of, human, router, spec

if TYPE_CHECKING:
    from collections.abc import Callable

    from session_router import Call, Decision
    from support.agents import Stage

CHARACTERS = st.text(st.characters(codec="utf-8", exclude_characters="\x00\n"), min_size=1, max_size=8)
PLACES = st.sets(st.sampled_from(["system", "typed", "argument", "result", "answer", "failure", "thrown", "cached"]), min_size=1)


@tool
def look(what: str) -> str:
    """Look something up."""
    if what.endswith("thrown"):
        raise ValueError(what)
    return f"found: {what}"


class Failing(AgentMiddleware):
    """Fails the first call of a model, with `message`."""

    def __init__(self, message: str) -> None:
        super().__init__()
        self.left = [message]

    def wrap_model_call(self, request: Any, handler: Callable[[Any], Any]) -> Any:
        if self.left:
            raise ConnectionError(self.left.pop())
        return handler(request)


def play(stage: Stage, exported: Exported, marker: str, places: set[str]) -> None:
    """Run a turn with a tool loop in which `marker` stands in `places`, and a question twice, the second time for the cache."""

    def at(place: str) -> str:
        return marker if place in places else "nothing"

    stage.clear()
    what = f"{marker} thrown" if "thrown" in places else at("argument")
    stage.witness.script, stage.witness.in_order = {"go": [asks(call("look", what=what)), f"It is {at('answer')}."]}, True
    router = stage.router(policy=Policy(cache=CacheRules(sharing="tenant")), cache=SemanticCache())
    middleware = [SessionRouterMiddleware(router), *([Failing(marker)] if "failure" in places else [])]
    with exported.of(router):
        agent = create_agent(stage.chat(), tools=[look], system_prompt=f"You know {at('system')}.", middleware=middleware)
        messages = [HumanMessage(f"{at('typed')} go")]
        if "thrown" in places:
            with pytest.raises(ValueError, match="thrown"):
                agent.invoke({"messages": messages}, {"configurable": {"thread_id": "a-thread"}})
        else:
            agent.invoke({"messages": messages}, {"configurable": {"thread_id": "a-thread"}})
        stage.witness.script = {"hours": [f"From eight, {at('cached')}."] * 2}
        for thread in ("first", "second"):
            agent.invoke({"messages": [HumanMessage(f"{at('cached')} hours")]}, {"configurable": {"thread_id": thread}})


def leaks(exported: Exported, marker: str) -> bool:
    """Whether the marker is in any byte that a collector would be sent, as it is or as JSON would have it."""
    sent = exported.bytes()
    return marker.encode() in sent or json.dumps(marker)[1:-1].encode() in sent


@given(characters=CHARACTERS, places=PLACES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_marker_of_content_is_exported(stage: Stage, characters: str, places: set[str]) -> None:
    exported, marker = Exported(), f"mark{characters}mark"
    play(stage, exported, marker, places)
    told = [dict(route.attributes or {}) for route in exported.routes]
    assert [one["session_router.decision"] for one in told][-2:] == ["keep", "cache_hit"]
    assert ("fallback" in {one["session_router.reason"] for one in told}) == ("failure" in places)
    assert not leaks(exported, marker)
    exported.check()


NAMES = st.frozensets(
    st.lists(
        st.sampled_from(["marker", "no_train", "zero_retention", "3 subjects", "tenant x", "regions y", "pii"]), min_size=1, max_size=4
    ).map(", ".join),
    max_size=2,
)


@given(tenants=NAMES, subjects=NAMES, regions=NAMES, purposes=NAMES, no_train=st.booleans(), zero_retention=st.booleans())
@settings(deadline=None)
def test_whose_data_it_is_is_never_exported(
    tenants: frozenset[str], subjects: frozenset[str], regions: frozenset[str], purposes: frozenset[str], **flags: bool
) -> None:
    exported = Exported()
    tag = Tag(
        level=Level.RESTRICTED,
        categories=frozenset({"a_kind"}),
        tenants=tenants,
        subjects=subjects,
        regions=regions,
        purposes=purposes,
        **flags,
    )
    one = router({FAST: spec(clearance=Clearance()), STRONG: spec(clearance=Clearance())})
    with exported.of(one):
        decision = one.route(call_of(human("a", tag=tag), tag=Tag()))
    assert decision.refused
    labels = list((exported.routes[0].attributes or {})["session_router.governance.tags"])  # type: ignore[arg-type]
    assert labels[:2] == ["restricted", "a_kind"]
    assert {name for name, holds in flags.items() if holds} <= set(labels) <= {"restricted", "a_kind", "no_train", "zero_retention"}
    assert not leaks(exported, "marker")
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


@pytest.mark.parametrize("place", ["typed", "argument", "result", "answer", "system", "cached"])
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
    told, *others = [dict(agent.attributes or {}) for agent in exported.named("invoke_agent")]
    assert told["input.value"] == "markXmark go"
    assert told["output.value"] == "It is markXmark."
    assert {(one["input.value"], one["output.value"]) for one in others} == {("nothing hours", "From eight, nothing.")}
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

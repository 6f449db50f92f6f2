"""Under each instrumentation of LangChain, and under none: where route spans hang, and whose session every span belongs to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from support import telemetry_scenes
from support.telemetry import ROUTE, assert_conforms
from support.telemetry_scenes import SCENES, TRACEPARENT

INSTRUMENTATIONS: Final = ("none", "openinference", "genai", "traceloop")
AGENTS: Final = ("invoke", "ainvoke", "stream", "astream")
IN_TWO: Final = ("threads", "tasks", "cache_hit")
"""Scenes with two sessions."""
DECISIONS: Final = {
    "switch": ["keep", "keep", "switch", "keep"],
    "cache_hit": ["keep", "cache_hit"],
    "forced_switch": ["keep", "forced_switch"],
    "refuse": ["refuse"],
}
SCRIPT: Final = Path(telemetry_scenes.__file__)
Span = dict[str, Any]

pytestmark = [pytest.mark.xdist_group("telemetry_scenes"), pytest.mark.timeout(300)]


@dataclass(frozen=True)
class Played:
    """What one process exported."""

    name: str
    scenes: dict[str, list[Span]]
    metrics: list[tuple[str, str]]
    labels: list[str]
    sent: list[dict[str, str]]

    def routes(self, scene: str) -> list[Span]:
        return [span for span in self.scenes[scene] if span["name"] == ROUTE]

    def chats(self, scene: str) -> list[Span]:
        return [span for span in self.scenes[scene] if is_chat(span)]

    def above(self, scene: str, span: Span) -> list[Span]:
        """Return the spans that `span` is in, the nearest first."""
        by_id = {one["id"]: one for one in self.scenes[scene]}
        found: list[Span] = []
        while (span := by_id.get(span["parent"], {})) != {}:
            found.append(span)
        return found


def is_chat(span: Span) -> bool:
    told = span["attributes"]
    return told.get("gen_ai.operation.name") == "chat" or told.get("openinference.span.kind") == "LLM"


@pytest.fixture(scope="module", params=INSTRUMENTATIONS)
def played(request: pytest.FixtureRequest) -> Played:
    return played_under(request.param)


@cache
def played_under(instrumentation: str) -> Played:
    """Play the scenes, once: fixtures with parameters are set up again when tests come in another order."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", None)
    command = [sys.executable, str(SCRIPT), instrumentation]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=280)
    assert ran.returncode == 0, ran.stderr
    return Played(instrumentation, **json.loads(ran.stdout.splitlines()[-1]))


@pytest.mark.parametrize("scene", AGENTS)
def test_every_call_has_a_route_span_beside_and_before_it(played: Played, scene: str) -> None:
    routes, chats = played.routes(scene), played.chats(scene)
    assert len(routes) == len(chats) == 2
    for route, chat in zip(routes, chats, strict=True):
        assert route["parent"] == chat["parent"] is not None
        assert route["trace"] == chat["trace"]
        assert route["end"] <= chat["end"]
    assert [one["attributes"]["session_router.lock.state"] for one in routes] == ["boundary", "tool_results_unread"]
    assert [one["events"] for one in routes] == [[], ["lock.acquired"]]


@pytest.mark.parametrize("scene", sorted({*SCENES} - {"model", "named"}))
def test_a_run_is_one_trace_with_one_root(played: Played, scene: str) -> None:
    spans = played.scenes[scene]
    traces = {span["trace"] for span in spans}
    assert len(traces) == (2 if scene in {*IN_TWO, "switch"} else 1)
    ids = {span["id"] for span in spans}
    roots = [span for span in spans if span["parent"] not in ids]
    assert len(roots) == len(traces)
    assert all(route not in roots for route in played.routes(scene))


@pytest.mark.parametrize("scene", [scene for scene in SCENES if scene != "model"])
def test_every_span_is_in_its_session(played: Played, scene: str) -> None:
    told = [span["attributes"] for span in played.scenes[scene]]
    sessions = {f"{scene}-1", f"{scene}-2"} if scene in IN_TWO else {scene}
    assert {one.get("session.id") for one in told} == {one.get("gen_ai.conversation.id") for one in told} == sessions


@pytest.mark.parametrize("scene", DECISIONS)
def test_each_kind_of_decision_hangs_where_its_call_does(played: Played, scene: str) -> None:
    routes, chats = played.routes(scene), played.chats(scene)
    assert [one["attributes"]["session_router.decision"] for one in routes] == DECISIONS[scene]
    answered = [one for one in routes if "session_router.model.selected" in one["attributes"]]
    assert [one["parent"] for one in answered] == [chat["parent"] for chat in chats]
    for route in routes:
        assert route["parent"] is not None
        # Whatever is decided, it hangs at the same place in a run.
        assert [one["name"] for one in played.above(scene, route)] == [
            one["name"] for one in played.above("invoke", played.routes("invoke")[0])
        ]


def test_for_a_stored_answer_the_route_span_is_the_record(played: Played) -> None:
    asked, hit = played.routes("cache_hit")
    (chat,) = played.chats("cache_hit")
    assert chat["trace"] == asked["trace"] != hit["trace"]
    assert hit["events"] == ["cache.lookup"]
    assert hit["attributes"]["session_router.cache.result"] == "hit"
    assert hit["attributes"]["session_router.cost.saved"] > 0


@pytest.mark.parametrize("scene", ["threads", "tasks"])
def test_sessions_that_run_at_once_do_not_mix(played: Played, scene: str) -> None:
    spans = played.scenes[scene]
    assert len({(span["trace"], span["attributes"]["session.id"]) for span in spans}) == 2
    assert len(played.routes(scene)) == len(played.chats(scene)) == 4


def test_a_chat_model_names_the_thread_that_it_is_given(played: Played) -> None:
    (route,) = played.routes("model")
    assert route["attributes"]["session.id"] == "model"


def test_a_router_node_routes_in_the_run_of_its_graph(played: Played) -> None:
    routes, chats = played.routes("node"), played.chats("node")
    assert len(routes) == len(chats) == 2
    for route, chat in zip(routes, chats, strict=True):
        assert played.above("node", route)[-1] == played.above("node", chat)[-1]
        assert route["end"] <= chat["start"]


def test_an_inner_agent_routes_in_its_own_run(played: Played) -> None:
    for route in played.routes("subgraph"):
        above = [span["name"] for span in played.above("subgraph", route)]
        assert any("inner" in name for name in above)
        assert "outer" in above[-1]


def test_a_fallback_is_a_second_decision_beside_the_first(played: Played) -> None:
    first, second, _ = played.routes("fallback")
    assert first["parent"] == second["parent"]
    assert (second["events"], second["attributes"]["session_router.reason"]) == (["fallback"], "fallback")
    assert second["attributes"]["session_router.model.selected"] != first["attributes"]["session_router.model.selected"]
    failed, answered, _ = played.chats("fallback")
    assert (failed["status"], answered["status"] != "ERROR") == ("ERROR", True)


def test_when_all_fail_the_last_decision_is_a_refusal(played: Played) -> None:
    told = [route["attributes"] for route in played.routes("error")]
    assert [one["session_router.decision"] for one in told][-1] == "refuse"
    assert [chat["status"] for chat in played.chats("error")] == ["ERROR"] * 3


def test_a_cancelled_call_leaves_its_route_span(played: Played) -> None:
    (route,) = played.routes("cancellation")
    assert route["status"] == "UNSET"
    if played.name == "none":
        (chat,) = played.chats("cancellation")
        (agent,) = played.above("cancellation", chat)
        assert chat["attributes"]["error.type"] == agent["attributes"]["error.type"] == "CancelledError"


def test_the_callers_trace_goes_on_inside_and_out(played: Played) -> None:
    trace, parent = TRACEPARENT.split("-")[1:3]
    assert {span["trace"] for span in played.scenes["w3c"]} == {trace}
    ids = {span["id"] for span in played.scenes["w3c"]}
    assert {f"{span['parent']:016x}" for span in played.scenes["w3c"] if span["parent"] not in ids} == {parent}
    (carrier,) = played.sent
    assert carrier["traceparent"].split("-")[1] == trace


def test_our_own_spans_are_there_only_under_none(played: Played) -> None:
    ours = [span for spans in played.scenes.values() for span in spans if span["scope"] == "session_router_otel"]
    names = {span["name"].split()[0] for span in ours}
    assert names == ({ROUTE, "invoke_agent", "chat"} if played.name == "none" else {ROUTE})
    for span in ours:
        assert_conforms("spans", span["name"].split()[0], span["attributes"])


def test_no_metric_is_by_session(played: Played) -> None:
    sessions = {span["attributes"].get("session.id") for spans in played.scenes.values() for span in spans} - {None}
    # Some scenes are named after what is a label by itself.
    assert {"threads-1", "tasks-2", "node"} <= sessions
    assert "chat" in played.labels
    assert not (sessions - {*DECISIONS, "fallback"}) & set(played.labels)


def test_metrics_of_model_calls_are_recorded_once(played: Played) -> None:
    makers = {maker for maker, name in played.metrics if name == "gen_ai.client.token.usage"}
    assert len(makers) == 1
    assert (makers == {"session_router_otel"}) == (played.name not in {"genai", "traceloop"})

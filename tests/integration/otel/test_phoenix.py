"""A real Phoenix: what it shows of sessions is what happened."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest

from session_router_demo.sessions import SESSIONS
from session_router_otel import exporting
from session_router_otel.conventions import CAPTURE_CONTENT
from support.agents import staged
from support.telemetry_sessions import Happened, happen
from trace_demo.__main__ import PROJECT as PROJECT_OF_THE_DEMO
from trace_demo.__main__ import pages, play
from trace_demo.server import PHOENIX, phoenix

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.backend, pytest.mark.timeout(600), pytest.mark.xdist_group("phoenix")]

PROJECT: Final = "telemetry test"
SAVED: Final = json.loads((files("session_router_otel") / "dashboards" / "phoenix.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Seen:
    """What happened, and where Phoenix says it."""

    client: httpx.Client
    project: str
    happened: Happened

    def spans(self, **attributes: str) -> list[dict[str, Any]]:
        wanted = [("attribute", f"{key.replace('_', '.')}:{value}") for key, value in attributes.items()]
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            page: list[tuple[str, str | int]] = [("limit", 500), *([("cursor", cursor)] if cursor else [])]
            told = self.client.get(f"/v1/projects/{self.project}/spans", params=[*wanted, *page]).raise_for_status().json()
            found += told["data"]
            cursor = told.get("next_cursor")
            if not cursor:
                return sorted(found, key=lambda span: str(span["start_time"]))

    def decisions(self, session: str) -> list[dict[str, Any]]:
        return [span["attributes"] for span in self.spans(session_id=session) if span["name"] == "session_router.route"]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    if not PHOENIX.exists():
        pytest.skip("Phoenix is not installed; `make backends` installs it")
    with phoenix(tmp_path_factory.mktemp("phoenix")) as address, staged() as stage, httpx.Client(base_url=address, timeout=60) as client:
        happened = happen(stage, exporting(address, resource={"openinference.project.name": PROJECT}, with_metrics=False))
        yield Seen(client, _project(client, turns=happened.turns), happened)


def _project(client: httpx.Client, *, turns: dict[str, int]) -> str:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for project in client.get("/v1/projects").raise_for_status().json()["data"]:
            if project["name"] == PROJECT:
                found = client.get(f"/v1/projects/{project['id']}/sessions").raise_for_status().json()["data"]
                if len(found) == len(turns) and sum(len(one["traces"]) for one in found) == sum(turns.values()):
                    return str(project["id"])
        time.sleep(0.5)
    pytest.fail("the sessions did not arrive")


def test_there_are_the_sessions_with_their_turns(seen: Seen) -> None:
    found = seen.client.get(f"/v1/projects/{seen.project}/sessions").json()["data"]
    assert {one["session_id"]: len(one["traces"]) for one in found} == seen.happened.turns


def test_each_session_shows_its_decisions_in_order(seen: Seen) -> None:
    for name in seen.happened.sound:
        expected = seen.happened.decisions(name)
        assert [{key: one[key] for key in expected[0]} for one in seen.decisions(name)] == expected


def test_an_answer_from_the_cache_shows_what_it_saved(seen: Seen) -> None:
    asked, repeated = seen.decisions(seen.happened.asked), seen.decisions(seen.happened.repeated)
    assert [one["session_router.decision"] for one in asked] == ["keep", "keep"]
    first, hit = repeated
    assert (first["session_router.decision"], first["session_router.cache.result"]) == ("keep", "miss")
    assert (hit["session_router.decision"], hit["session_router.reason"]) == ("cache_hit", "answered_before")
    assert (hit["session_router.cache.result"], hit["session_router.cache.reason"]) == ("hit", "exact")
    assert hit["session_router.cost.saved"] == pytest.approx(seen.happened.saved)
    assert hit["session_router.decision_id"] == seen.happened.stamps(seen.happened.repeated)[-1]["decision_id"]
    assert "session_router.model.selected" not in hit
    # The route span is the record: nobody was asked, and no call is made up.
    assert [span["span_kind"] for span in seen.spans(session_id=seen.happened.repeated)] == ["AGENT", "CHAIN", "LLM", "AGENT", "CHAIN"]


def test_tokens_are_those_that_the_providers_accounted(seen: Seen) -> None:
    def sums(spans: list[dict[str, Any]]) -> dict[str, int]:
        return {kind: sum(span["attributes"].get(f"gen_ai.usage.{kind}_tokens", 0) for span in spans) for kind in ("input", "output")}

    for name in (*seen.happened.sound, seen.happened.asked):
        assert sums(seen.spans(session_id=name)) == seen.happened.counted(name)
    assert sums(seen.spans()) == seen.happened.tokens


def graphql(seen: Seen, condition: str) -> list[str]:
    query = """query ($id: ID!, $condition: String) {
      node(id: $id) { ... on Project { spans(first: 1000, filterCondition: $condition) { edges { node { spanId name } } } } } }"""
    asked = {"query": query, "variables": {"id": seen.project, "condition": condition}}
    told = seen.client.post("/graphql", json=asked).raise_for_status().json()
    assert "errors" not in told, told
    return [edge["node"]["name"] for edge in told["data"]["node"]["spans"]["edges"]]


@pytest.mark.parametrize("saved", SAVED, ids=lambda one: one["name"])
def test_a_saved_query_finds_something(seen: Seen, saved: dict[str, str]) -> None:
    found, everything = graphql(seen, saved["filter"]), graphql(seen, "")
    assert 0 < len(found) < len(everything)


def test_a_query_of_what_is_not_there_finds_nothing(seen: Seen) -> None:
    assert graphql(seen, "attributes['session_router']['decision'] == 'cache_miss'") == []


def test_the_demo_finds_its_sessions_again(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CAPTURE_CONTENT, "")
    address = str(seen.client.base_url).rstrip("/")
    play(address)
    found = pages(address)
    assert sorted(found) == sorted(session.id for session in SESSIONS)
    assert {seen.client.get(page).status_code for page in found.values()} == {200}
    sessions = seen.client.get(f"/v1/projects/{PROJECT_OF_THE_DEMO}/sessions").json()["data"]
    assert sorted(len(one["traces"]) for one in sessions) == [1, 1, 3, 4, 4]

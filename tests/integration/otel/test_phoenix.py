"""A real Phoenix: what it shows of sessions is what happened."""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from session_router.testing.providers import Fault
from session_router_demo.sessions import SESSIONS
from session_router_langchain import SessionRouterMiddleware
from session_router_otel import exporting, instrument, uninstrument
from session_router_otel.conventions import CAPTURE_CONTENT
from support.agents import TOOLS, RestlessScorer, Stage, asks, call, staged

sys.path.append(str(Path(__file__).parents[3] / "tools"))
from trace_demo.__main__ import PROJECT as PROJECT_OF_THE_DEMO
from trace_demo.__main__ import pages, play
from trace_demo.server import PROGRAM, phoenix

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.backend, pytest.mark.timeout(600), pytest.mark.xdist_group("phoenix")]

PROJECT: Final = "telemetry test"
TURNS: Final = 3
SAVED: Final = json.loads((files("session_router_otel") / "dashboards" / "phoenix.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Seen:
    """What happened, and where Phoenix says it."""

    client: httpx.Client
    project: str
    messages: dict[str, list[AIMessage]]
    ledger: dict[str, int]

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


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    if not PROGRAM.exists():
        pytest.skip("Phoenix is not installed; `make backends` installs it")
    with phoenix(tmp_path_factory.mktemp("phoenix")) as address, staged() as stage, httpx.Client(base_url=address, timeout=60) as client:
        yield _played(address, stage, client)


def _played(address: str, stage: Stage, client: httpx.Client) -> Seen:
    stage.witness.script = {"go": [asks(call("weather", city="Rome"), call("clock", city="Rome")), "Done."]}
    here = stage.on_a_loop_of_its_own()
    router = here.router(scorer=RestlessScorer())
    providers = exporting(address, resource={"openinference.project.name": PROJECT}, with_metrics=False)
    instrument(router, tracer_provider=providers.tracers)
    agent = create_agent(here.chat(), tools=list(TOOLS), middleware=[SessionRouterMiddleware(router)], checkpointer=InMemorySaver())

    def config(name: str) -> Any:
        return {"configurable": {"thread_id": name}}

    def given(turn: int) -> Any:
        return {"messages": [HumanMessage(f"go {turn}")]}

    def play(name: str) -> Any:
        return [agent.invoke(given(turn), config(name)) for turn in range(TURNS)][-1]

    async def aplay(name: str) -> Any:
        for turn in range(TURNS - 1):
            await agent.ainvoke(given(turn), config(name))
        return await agent.ainvoke(given(TURNS - 1), config(name))

    async def all_at_once(names: list[str]) -> list[Any]:
        found = await asyncio.gather(*map(aplay, names))
        await here.aclose()
        return found

    threads, tasks, failing = [[str(uuid.uuid4()) for _ in range(number)] for number in (2, 2, 1)]
    with ThreadPoolExecutor(2) as pool:
        results = dict(zip(threads, pool.map(play, threads), strict=True))
    results |= dict(zip(tasks, asyncio.run(all_at_once(tasks)), strict=True))
    stage.providers.faults.next(Fault.overloaded())
    results[failing[0]] = play(failing[0])
    stage.providers.faults.next(Fault.overloaded(), times=20)
    with pytest.raises(Exception, match=r"overloaded|Overloaded|503|529"):
        agent.invoke(given(9), config(failing[0]))
    uninstrument(router)
    providers.shutdown()
    totals = stage.providers.ledger.totals()
    ledger = {"input": totals.uncached_input + totals.cached_input + totals.cache_written, "output": totals.output}
    messages = {name: [one for one in result["messages"] if isinstance(one, AIMessage)] for name, result in results.items()}
    return Seen(client, _project(client, sessions=len(results)), messages, ledger)


def _project(client: httpx.Client, *, sessions: int) -> str:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for project in client.get("/v1/projects").raise_for_status().json()["data"]:
            if project["name"] == PROJECT:
                found = client.get(f"/v1/projects/{project['id']}/sessions").raise_for_status().json()["data"]
                if len(found) == sessions and sum(len(one["traces"]) for one in found) == sessions * TURNS + 1:
                    return str(project["id"])
        time.sleep(0.5)
    pytest.fail("the sessions did not arrive")


def test_there_are_the_sessions_with_their_turns(seen: Seen) -> None:
    found = seen.client.get(f"/v1/projects/{seen.project}/sessions").json()["data"]
    assert {one["session_id"] for one in found} == set(seen.messages)
    *whole, failed = sorted(len(one["traces"]) for one in found)
    assert (whole, failed) == ([TURNS] * 4, TURNS + 1)


def test_each_session_shows_its_decisions_in_order(seen: Seen) -> None:
    for name, messages in list(seen.messages.items())[:4]:
        routes = [span for span in seen.spans(session_id=name) if span["name"] == "session_router.route"]
        told = [span["attributes"] for span in routes]
        assert [one["session_router.turn.index"] for one in told] == [turn for turn in range(1, TURNS + 1) for _ in range(2)]
        assert [one["session_router.lock.state"] for one in told] == ["boundary", "tool_results_unread"] * TURNS
        stamps = [message.response_metadata["session_router"] for message in messages]
        assert [one["session_router.model.selected"] for one in told] == [stamp["model"] for stamp in stamps]
        assert [one["session_router.decision"] for one in told] == [stamp["decision"] for stamp in stamps]
        assert [one["session_router.decision_id"] for one in told] == [stamp["decision_id"] for stamp in stamps]


def test_tokens_are_those_that_the_providers_accounted(seen: Seen) -> None:
    def sums(spans: list[dict[str, Any]], kind: str) -> int:
        return sum(span["attributes"].get(f"gen_ai.usage.{kind}_tokens", 0) for span in spans)

    for name, messages in list(seen.messages.items())[:4]:
        spans = seen.spans(session_id=name)
        for kind in ("input", "output"):
            assert sums(spans, kind) == sum(message.usage_metadata[f"{kind}_tokens"] for message in messages)  # type: ignore[index,literal-required]
    everything = seen.spans()
    assert {kind: sums(everything, kind) for kind in ("input", "output")} == seen.ledger


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


def test_the_demo_finds_its_sessions_again(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CAPTURE_CONTENT, "")
    address = str(seen.client.base_url).rstrip("/")
    play(address)
    found = pages(address)
    assert sorted(found) == sorted(session.id for session in SESSIONS)
    assert {seen.client.get(page).status_code for page in found.values()} == {200}
    sessions = seen.client.get(f"/v1/projects/{PROJECT_OF_THE_DEMO}/sessions").json()["data"]
    assert sorted(len(one["traces"]) for one in sessions) == [1, 1, 3, 4, 4]

"""A real tracking server of MLflow: what it shows of sessions is what happened."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import pytest

from session_router_otel import exporting
from support.agents import staged
from support.telemetry_sessions import Happened, happen
from trace_demo.server import MLFLOW, asked, mlflow

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.backend, pytest.mark.timeout(600), pytest.mark.xdist_group("mlflow")]

SAVED: Final = json.loads((files("session_router_otel") / "dashboards" / "mlflow.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Seen:
    """What happened, and where MLflow says it."""

    address: str
    experiment: str
    happened: Happened

    def traces(self, matching: str = "") -> list[dict[str, Any]]:
        """Return the traces that a search finds, the oldest first."""
        locations = [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": self.experiment}}]
        wanted = {"locations": locations, "filter": matching, "max_results": 500, "order_by": ["timestamp_ms ASC"]}
        return list(asked(f"{self.address}/api/3.0/mlflow/traces/search", wanted).get("traces", []))

    @cached_property
    def sessions(self) -> dict[str, list[dict[str, Any]]]:
        """Return the traces of each session, as MLflow groups them."""
        found: dict[str, list[dict[str, Any]]] = {}
        for trace in self.traces():
            found.setdefault(trace["trace_metadata"]["mlflow.trace.session"], []).append(trace)
        return found

    def spans(self, session: str) -> list[dict[str, Any]]:
        """Return the spans of a session, by their beginning."""
        found: list[dict[str, Any]] = []
        for trace in self.sessions[session]:
            whole = asked(f"{self.address}/api/3.0/mlflow/traces/get?trace_id={trace['trace_id']}")["trace"]
            found += whole["spans"]
        return sorted(found, key=lambda span: int(span["start_time_unix_nano"]))

    def decisions(self, session: str) -> list[dict[str, Any]]:
        return [facts(span) for span in self.spans(session) if span["name"] == "session_router.route"]


def facts(span: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of a span, each as OTLP has values: under the name of its kind, whole numbers as text."""
    told = {one["key"]: next(iter(one["value"].items())) for one in span["attributes"]}
    return {key: int(value) if kind == "int_value" else value for key, (kind, value) in told.items()}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    if not MLFLOW.exists():
        pytest.skip("MLflow is not installed; `make backends` installs it")
    with mlflow(tmp_path_factory.mktemp("mlflow")) as address, staged() as stage:
        experiment = asked(f"{address}/api/2.0/mlflow/experiments/create", {"name": "telemetry test"})["experiment_id"]
        happened = happen(stage, exporting(address, headers={"x-mlflow-experiment-id": experiment}, with_metrics=False))
        here = Seen(address, experiment, happened)
        deadline = time.monotonic() + 120
        while len(here.traces()) < sum(happened.turns.values()) and time.monotonic() < deadline:
            time.sleep(0.5)
        yield here


def test_there_are_the_sessions_with_their_turns(seen: Seen) -> None:
    assert {name: len(traces) for name, traces in seen.sessions.items()} == seen.happened.turns
    states = Counter(trace["state"] for trace in seen.traces())
    assert states == {"OK": sum(seen.happened.turns.values()) - 1, "ERROR": 1}


def test_each_session_shows_its_decisions_in_order(seen: Seen) -> None:
    for name in seen.happened.sound:
        expected = seen.happened.decisions(name)
        assert [{key: one[key] for key in expected[0]} for one in seen.decisions(name)] == expected


def test_an_answer_from_the_cache_shows_what_it_saved(seen: Seen) -> None:
    first, hit = seen.decisions(seen.happened.repeated)
    assert (first["session_router.decision"], hit["session_router.decision"]) == ("keep", "cache_hit")
    assert hit["session_router.cost.saved"] == pytest.approx(seen.happened.saved)
    without = seen.sessions[seen.happened.repeated][-1]
    assert "mlflow.trace.tokenUsage" not in without["trace_metadata"]


def test_tokens_are_those_that_the_providers_accounted(seen: Seen) -> None:
    def sums(traces: list[dict[str, Any]]) -> dict[str, int]:
        usages = [json.loads(trace["trace_metadata"].get("mlflow.trace.tokenUsage", "{}")) for trace in traces]
        return {kind: sum(usage.get(f"{kind}_tokens", 0) for usage in usages) for kind in ("input", "output")}

    for name in (*seen.happened.sound, seen.happened.asked):
        assert sums(seen.sessions[name]) == seen.happened.counted(name)
    assert sums(seen.traces()) == seen.happened.tokens


@pytest.mark.parametrize("saved", SAVED, ids=lambda one: one["name"])
def test_a_saved_query_finds_something(seen: Seen, saved: dict[str, str]) -> None:
    found, everything = seen.traces(saved["filter"]), seen.traces()
    assert found
    # Every turn has a decision; whatever else is asked for holds for some.
    assert (len(found) == len(everything)) == (saved["name"] == "Decisions")


def test_a_query_of_what_is_not_there_finds_nothing(seen: Seen) -> None:
    assert seen.traces("span.attributes.session_router.decision LIKE '%cache_miss%'") == []

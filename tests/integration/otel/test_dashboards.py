"""Every query of the dashboards, answered with data by a real Prometheus that scrapes our metrics."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from dataclasses import replace
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import start_http_server

from make_dashboards.console import console
from make_dashboards.grafana import grafana
from make_dashboards.questions import PANELS
from session_router import Policy
from session_router.core.cached import CachedAnswer, CacheHit, CacheMiss, MissReason, Tier
from session_router.core.call import Outcome
from session_router.core.decision import Action, Decision, Evidence
from session_router.core.governance import Clearance, Level, Tag
from session_router.core.pricing import USD, Usage
from session_router.core.wager import Stratum, Target, Wager
from session_router_otel import instrument, uninstrument
from support.telemetry import schema
from support.telemetry_cache import Strata
from values import FAST, STRONG, Prefers, ai, call_of, failed, human, router, spec, tool

DASHBOARDS: Final = files("session_router_otel") / "dashboards"

if TYPE_CHECKING:
    from collections.abc import Iterator

    from session_router import Router

pytestmark = pytest.mark.xdist_group("prometheus")

QUERIES: Final = [query.expression for panel in PANELS for query in panel.queries]


def test_the_dashboards_are_those_of_the_questions() -> None:
    assert (DASHBOARDS / "grafana.json").read_text(encoding="utf-8") == grafana(PANELS)
    assert (DASHBOARDS / "prometheus-console.html").read_text(encoding="utf-8") == console(PANELS)


def test_grafana_asks_for_a_data_source_of_the_right_kind() -> None:
    board = json.loads((DASHBOARDS / "grafana.json").read_text(encoding="utf-8"))
    assert [one["type"] for one in board["templating"]["list"]] == ["datasource"]
    assert {panel["datasource"]["type"] for panel in board["panels"]} == {"prometheus"}
    assert sorted(target["expr"] for panel in board["panels"] for target in panel["targets"]) == sorted(QUERIES)


def test_the_console_page_asks_nobody_else() -> None:
    page = (DASHBOARDS / "prometheus-console.html").read_text(encoding="utf-8")
    assert not [word for word in ("http://", "https://", "src=", "<link") if word in page]


def served(one: Router) -> None:
    """Let everything happen that a panel shows."""
    scorer = one.scorer
    assert isinstance(scorer, Prefers)
    scorer.wants = FAST
    first = one.route(call_of(human("a")))
    one.observe(first, Outcome(at=1_001.5, model=FAST, usage=Usage(input=900, output=40)))
    one.observe(one.route(call_of(human("a"), ai("c"), tool("c"), now=1_002.0)), Outcome(at=1_002.4, model=FAST))
    scorer.wants = STRONG
    switched = one.route(call_of(human("a"), ai("c"), tool("c"), ai(), human("b"), now=1_003.0))
    one.observe(switched, failed(at=1_004.0))
    secret = Tag(level=Level.RESTRICTED, categories=frozenset({"pii"}))
    one.route(call_of(human("a", tag=secret), tag=Tag(), session=None))
    answer = CachedAnswer(content="x", model=FAST, at=1.0, cost=USD(0.01))
    hit = CacheHit(entry="e", tier=Tier.EXACT, answer=answer, age_seconds=1.0)
    for found, changes in ((CacheMiss(reason=MissReason.NOTHING), {}), (hit, {"action": Action.CACHE_HIT, "model": None})):
        decision: Decision = replace(first, evidence=Evidence(cache=found), **changes)  # type: ignore[arg-type]
        one._tell("on_decision", decision)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Run a Prometheus that has scraped a router at work, again and again."""
    binary = shutil.which("prometheus")
    if binary is None:
        pytest.skip("prometheus is not installed")
    home = tmp_path_factory.mktemp("prometheus")
    meters = MeterProvider(metric_readers=[PrometheusMetricReader()])
    cleared = {FAST: spec(clearance=Clearance()), STRONG: spec(10.0, clearance=Clearance())}
    one = router(cleared, scorer=Prefers(FAST), policy=Policy(stake=1.0, unlabelled=Tag()))
    stratum = Stratum(category="general", verifier="v", score_bin=0)
    one.cache = Strata({stratum: Wager(target=Target(wrong=0.01, strata=1), certified=True)})  # type: ignore[assignment]
    instrument(one, meter_provider=meters, agent_spans=False)
    served(one)
    server, thread = start_http_server(0, addr="127.0.0.1")
    port, own = server.server_port, free_port()
    (home / "prometheus.yml").write_text(
        json.dumps(
            {
                "global": {"scrape_interval": "1s"},
                "scrape_configs": [{"job_name": "session-router", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}],
            }
        )
    )
    consoles = home / "consoles"
    consoles.mkdir()
    (consoles / "session-router.html").write_text((DASHBOARDS / "prometheus-console.html").read_text(encoding="utf-8"), encoding="utf-8")
    command = [
        binary,
        f"--config.file={home}/prometheus.yml",
        f"--storage.tsdb.path={home}/data",
        f"--web.listen-address=127.0.0.1:{own}",
        f"--web.console.templates={consoles}",
        "--log.level=error",
    ]
    process = subprocess.Popen(command)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{own}") as client:
            _scraped(client, at_least=1)
            for scrapes in (3, 5):
                served(one)
                _scraped(client, at_least=scrapes)
            yield client
    finally:
        process.terminate()
        process.wait(20)
        server.shutdown()
        thread.join(10)
        server.server_close()
        uninstrument(one)
        meters.shutdown()


def _scraped(client: httpx.Client, *, at_least: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            result = answer(client, "count_over_time(session_router_decisions_total[5m])")
        except httpx.TransportError:
            result = []
        if result and all(float(one["value"][1]) >= at_least for one in result):
            return
        time.sleep(0.2)
    pytest.fail("Prometheus did not scrape in time")


def answer(client: httpx.Client, query: str) -> list[Any]:
    told = client.get("/api/v1/query", params={"query": query})
    assert told.status_code in {200, 503}, told.text
    return list(told.json()["data"]["result"]) if told.status_code == 200 else []


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_is_answered_with_data(prometheus: httpx.Client, query: str) -> None:
    result = answer(prometheus, query)
    assert [one for one in result if one["value"][1] not in {"NaN", "0", "+Inf", "-Inf"}], f"{query}: {result}"


def test_series_are_named_by_labels_that_are_there(prometheus: httpx.Client) -> None:
    for panel in PANELS:
        for query in panel.queries:
            for one in answer(prometheus, query.expression):
                assert set(query.legend) >= set(one["metric"]) - {"__name__"}, query


def test_a_query_of_a_metric_that_is_not_there_has_no_answer(prometheus: httpx.Client) -> None:
    assert answer(prometheus, "sum(rate(session_router_decision_total[5m]))") == []


def test_the_console_page_shows_every_panel(prometheus: httpx.Client) -> None:
    page = prometheus.get("/consoles/session-router.html")
    assert page.status_code == 200, page.text
    assert page.text.count("<section") == len(PANELS)
    assert page.text.count("<tr>") >= len(QUERIES)
    assert "{{" not in page.text.partition("<script>")[0]
    assert "work_function" in page.text


@pytest.mark.parametrize("backend", ["phoenix", "mlflow"])
def test_saved_queries_ask_for_what_is_exported(backend: str) -> None:
    saved = json.loads((DASHBOARDS / f"{backend}.json").read_text(encoding="utf-8"))
    known = {name for span in schema()["spans"].values() for name in span["properties"]} | {"session_router.route"}
    for one in saved:
        assert one.keys() == {"name", "about", "filter"}
        asked = one["filter"].replace("']['", ".")
        assert [name for name in known if name in asked] or "span_kind" in asked, one

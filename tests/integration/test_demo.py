"""The demo: what it prints is what the simulated providers billed, and what it shows is true."""

from __future__ import annotations

import importlib.util
import io
import json
import logging
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from session_router import Router
from session_router.errors import MissingExtra
from session_router.testing.providers import Fault, ServedProviders, serve
from session_router_demo import run_configured
from session_router_demo.calls import CallRow, LedgerMeter, Recorder
from session_router_demo.demo import KEY, compare_simulated
from session_router_demo.models import POLICY, clients_of, routes_of, simulated_models
from session_router_demo.playing import Player
from session_router_demo.report import Report
from session_router_demo.routings import RouterRouting
from session_router_demo.sessions import SESSIONS, AgentKind
from session_router_demo.summary import ALWAYS_STRONG, ROUTER, SINGLE_TURN, print_comparison
from session_router_demo.totals import Totals

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WIDTH = 100


@pytest.fixture(scope="module")
def played() -> tuple[dict[str, Totals], str, str]:
    console, log = Console(file=io.StringIO(), width=WIDTH), io.StringIO()
    handler = logging.StreamHandler(log)
    logging.getLogger("session_router").addHandler(handler)
    try:
        runs = compare_simulated(console)
    finally:
        logging.getLogger("session_router").removeHandler(handler)
    assert isinstance(console.file, io.StringIO)
    return runs, console.file.getvalue(), log.getvalue()


@pytest.fixture(scope="module")
def runs(played: tuple[dict[str, Totals], str, str]) -> dict[str, Totals]:
    return played[0]


@pytest.fixture(scope="module")
def report(played: tuple[dict[str, Totals], str, str]) -> str:
    return played[1]


class Listening:
    """Keeps the rows."""

    def __init__(self) -> None:
        self.rows: list[CallRow] = []

    def on_row(self, row: CallRow) -> None:
        self.rows.append(row)

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


# What it shows


def test_the_sessions_show_what_the_demo_promises(runs: dict[str, Totals]) -> None:
    rows = runs[ROUTER].rows
    assert {session.agent for session in SESSIONS} == set(AgentKind)
    assert any(len(row.tools) > 1 for row in rows), "parallel calls"
    assert any(typed.approval_after for session in SESSIONS for typed in session.turns), "an interrupt"
    assert any("issue_refund" in row.tools for row in rows), "the tool that a person approves"
    actions = [row.decision.action.value for row in rows if row.decision]
    assert {"keep", "switch"} <= set(actions)
    assert max(row.bill.cached for row in rows) >= 1_024


def test_the_router_answers_every_turn_and_keeps_its_model_in_tool_loops(runs: dict[str, Totals]) -> None:
    ours = runs[ROUTER]
    assert ours.answered == len(ours.turns) == sum(len(session.turns) for session in SESSIONS)
    assert not ours.refused
    assert ours.changes_inside_loops == 0
    assert {len({row.model for row in turn.rows}) for turn in ours.turns} == {1}
    for row in ours.rows:
        assert row.decision is not None
        assert (row.decision.lock is not None) == (row.call > 1)


def test_a_hard_turn_moves_the_session_and_a_warm_prefix_keeps_it_there(runs: dict[str, Totals]) -> None:
    decided = [row for row in runs[ROUTER].rows if row.decision is not None and row.decision.lock is None]
    switched = [row for row in decided if row.decision is not None and row.decision.switched]
    assert [(row.session, row.turn, row.model) for row in switched if row.model == "strong"] == [
        ("order-and-fault", 2, "strong"),
    ]
    # The last session begins there: by now it is known what usually comes.
    assert {row.model for row in decided if row.session == "race-condition"} == {"strong"}
    next_turns = [row for row in decided if (row.session, row.turn - 1) in {(one.session, one.turn) for one in switched}]
    assert {row.model for row in next_turns} == {"strong"}
    assert all(row.bill.cached > row.bill.uncached for row in next_turns)


def test_predictions_are_not_trusted_before_there_is_experience(runs: dict[str, Totals]) -> None:
    chosen = [row for row in runs[ROUTER].rows if row.decision is not None and row.decision.lock is None]
    trusted = {(row.session, row.turn): row.decision.evidence.trusted for row in chosen if row.decision is not None}
    assert [trusted["order-and-fault", turn] for turn in (1, 2)] == [False, False]
    assert trusted["race-condition", 4] is True


def test_what_was_asked_before_is_answered_from_the_cache(runs: dict[str, Totals], report: str) -> None:
    (hit,) = runs[ROUTER].replayed
    *_, first, again = runs[ROUTER].rows
    assert (first.session, again.session) == ("hours", "hours-again")
    assert hit.answer.cost > 0
    assert first.bill.dollars == pytest.approx(hit.answer.cost)
    assert again.bill.dollars == 0
    assert runs[SINGLE_TURN].replayed == runs[ALWAYS_STRONG].replayed == ()
    assert f"answered from the cache: ${hit.answer.cost:.5f} and 4,000 ms" in " ".join(report.split())


def test_the_demo_warns_of_nothing(played: tuple[dict[str, Totals], str, str]) -> None:
    assert not played[2]


def test_without_locks_the_same_sessions_meet_provider_errors(runs: dict[str, Totals]) -> None:
    single = runs[SINGLE_TURN]
    assert single.changes_inside_loops > 0
    assert {row.bill.status for row in single.refused} == {400}
    assert single.answered == len(single.turns) - len(single.refused)


def test_always_strong_answers_everything_and_pays_more(runs: dict[str, Totals]) -> None:
    strong = runs[ALWAYS_STRONG]
    assert strong.answered == len(strong.turns)
    assert {row.model for row in strong.rows} == {"strong"}
    assert strong.dollars() > runs[ROUTER].dollars()
    assert strong.risk < runs[ROUTER].risk


# What it bills


def test_every_row_is_one_request_of_the_ledger_in_order() -> None:
    listening = Listening()
    with serve(simulated_models()) as providers:
        clients = clients_of(providers)
        recorder = Recorder(LedgerMeter(providers.ledger))
        router = Router(routes_of(clients), policy=POLICY, clock=providers.clock, key=KEY, observers=[recorder])
        Player(recorder, [listening], wait=providers.clock.advance).play(SESSIONS, RouterRouting(router), clients)
        booked = providers.ledger.rows
    assert [f"sim-{row.model}" for row in listening.rows] == [row.model for row in booked]
    assert [row.bill.dollars for row in listening.rows] == [row.dollars for row in booked]
    assert [row.bill.cached for row in listening.rows] == [row.cached_input for row in booked]
    assert [row.bill.uncached for row in listening.rows] == [row.uncached_input + row.cache_written for row in booked]


# What it prints


def test_the_report_is_plain_and_fits(report: str) -> None:
    assert report.isascii()
    assert "\x1b" not in report
    assert max(map(len, report.splitlines())) <= WIDTH


def test_the_report_has_one_line_a_call_and_the_figures_of_the_runs(report: str, runs: dict[str, Totals]) -> None:
    lines = [line for line in report.splitlines() if line[:9].replace(" ", "").isdigit() and line[:4].strip()]
    assert [line.split()[-1] for line in lines] == [f"{row.bill.dollars:.5f}" for row in runs[ROUTER].rows]
    figures = {line.split("|")[0].strip(): [cell.strip() for cell in line.split("|")[1:]] for line in report.splitlines() if "|" in line}
    totals = [runs[way] for way in (ROUTER, SINGLE_TURN, ALWAYS_STRONG)]
    assert figures["dollars, all calls"] == [f"{one.dollars():.4f}" for one in totals]
    assert figures["provider errors (HTTP 4xx)"] == [str(len(one.refused)) for one in totals]
    assert figures["model changes inside tool loops"] == [str(one.changes_inside_loops) for one in totals]


def test_beneath_every_choice_stand_its_dollars_and_what_was_assumed(report: str, runs: dict[str, Totals]) -> None:
    lines = [line.strip() for line in report.splitlines()]
    decisions = [row.decision for row in runs[ROUTER].rows if row.decision is not None]
    choices = [decision for decision in decisions if decision.lock is None and decision.hit is None]
    shown = [line for line in lines if " = ingest " in line and "beneath" not in line]
    offers = [one for decision in choices for one in decision.evidence.candidates]
    assert len(shown) == len(offers) == 2 * len(choices)
    for line, one in zip(shown, offers, strict=True):
        amounts = [float(word) for word in line.split() if word.replace(".", "").isdigit()]
        assert one.expected is not None
        assert line.split()[0] == one.model
        assert amounts[0] == pytest.approx(one.expected, abs=6e-5)
        assert sum(amounts[1:]) == pytest.approx(amounts[0], abs=3e-4)
    predicted = [line for line in lines if line.startswith("predicted, ")]
    assert [line.startswith("predicted, trusted") for line in predicted] == [one.evidence.trusted for one in choices]


def test_colour_is_for_terminals_only(runs: dict[str, Totals], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for terminal in (True, False):
        console = Console(file=io.StringIO(), width=WIDTH, force_terminal=terminal)
        for row in runs[ROUTER].rows:
            Report(console, simulated=True).on_row(row)
        print_comparison(console, runs, SESSIONS, stake=POLICY.stake)
        assert isinstance(console.file, io.StringIO)
        assert ("\x1b[" in console.file.getvalue()) == terminal


# The command


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from session_router.cli import run; run()", "demo", *arguments]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def test_interrupting_ends_with_130_and_one_line() -> None:
    with subprocess.Popen(
        _command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1, env={**_environment(), "PYTHONUNBUFFERED": "1"}
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("session-router demo")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert process.returncode == 130
    assert errors == "interrupted\n"


STUCK = """
import sys, threading
from session_router.cli import demo, run

def stuck(*rest, **named):
    threading.Thread(target=threading.Event().wait).start()
    print("a row")
    raise KeyboardInterrupt

demo._run = stuck
sys.argv = ["session-router", "demo"]
run()
"""


def test_interrupting_waits_for_no_thread() -> None:
    ended = subprocess.run([sys.executable, "-c", STUCK], capture_output=True, text=True, timeout=60, check=False, env=_environment())
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "a row\n", "interrupted\n")


def test_json_is_one_row_a_call_the_same_every_time_and_explain_reads_it(tmp_path: Path, runs: dict[str, Totals]) -> None:
    from session_router.cli.app import app

    printed = CliRunner().invoke(app, ["demo", "--json"])
    assert printed.exit_code == 0
    rows = [json.loads(line) for line in printed.stdout.splitlines()]
    expected = [row.to_plain() for row in runs[ROUTER].rows]
    for row in (*rows, *expected):
        # Ids of entries are random: nobody can guess what to veto.
        row["evidence"].get("cache", {}).pop("entry", None)
    assert rows == expected
    file = tmp_path / "rows.jsonl"
    file.write_text(printed.stdout, encoding="utf-8")
    story = CliRunner().invoke(app, ["explain", str(file), "--session", "refund"])
    assert story.exit_code == 0
    assert "a lock holds" in story.stdout


@pytest.mark.parametrize("missing", ["langchain", "langchain_openai", "langchain_anthropic", "starlette", "uvicorn"])
def test_a_missing_package_names_the_extra(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from session_router.cli.app import app

    known = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == missing else known(name, *rest))
    result = CliRunner().invoke(app, ["demo"])
    assert isinstance(result.exception, MissingExtra)
    assert result.exception.extra == "demo"
    assert "session-router[demo]" in str(result.exception)


# Real providers, as far as they can be had here: provider strings that point at the simulators


@pytest.fixture
def providers() -> Iterator[ServedProviders]:
    with serve(simulated_models()) as served:
        yield served


@pytest.fixture
def config(providers: ServedProviders, tmp_path: Path) -> Path:
    path = tmp_path / "router.toml"
    path.write_text(
        f"""
        [policy]
        stake = 0.10
        output_tokens = 120

        [models.quick]
        model = "openai:sim-fast"
        skill = 0.5
        prices = {{ input = 1.10, cached_input = 0.275, output = 4.40 }}
        settings = {{ base_url = "{providers.openai_base_url}", api_key = "key", max_retries = 0 }}

        [models.deep]
        model = "anthropic:sim-strong"
        skill = 0.9
        prices = {{ input = 3.0, cached_input = 0.3, cache_write = 3.75, output = 15.0 }}

        [models.deep.settings]
        base_url = "{providers.anthropic_base_url}"
        api_key = "key"
        max_retries = 0
        max_tokens = 4096
        thinking = {{ type = "enabled", budget_tokens = 1024 }}
        """,
        encoding="utf-8",
    )
    return path


def test_a_configuration_is_routed_and_priced_as_the_provider_bills(config: Path, providers: ServedProviders) -> None:
    lines: list[str] = []
    assert run_configured(Console(file=io.StringIO()), config, write_line=lines.append)
    rows = [json.loads(line) for line in lines]
    assert {row["model"] for row in rows} == {"quick", "deep"}
    assert [row["dollars"] for row in rows] == pytest.approx([row.dollars for row in providers.ledger.rows])
    assert providers.ledger.client_errors == 0


def test_a_configuration_leaves_the_comparison_out_and_says_so(config: Path) -> None:
    console = Console(file=io.StringIO(), width=WIDTH)
    assert run_configured(console, config)
    assert isinstance(console.file, io.StringIO)
    printed = console.file.getvalue()
    assert "were not played" in printed
    assert "provider errors" not in printed
    assert "later)" not in printed, "pauses are not waited for"


def test_a_provider_that_fails_ends_a_configured_demo_with_exit_code_1(config: Path, providers: ServedProviders) -> None:
    from session_router.cli.app import app

    providers.faults.next(Fault.overloaded(), times=50)
    result = CliRunner().invoke(app, ["demo", "--config", str(config)])
    assert result.exit_code == 1
    assert "the turn ends without an answer" in result.stdout
    assert "503" in result.stdout
    assert "2. " not in result.stdout, "it stops there"


def test_a_wrong_configuration_is_an_error_of_ours(tmp_path: Path) -> None:
    from session_router.cli.app import app
    from session_router.errors import ConfigurationError

    result = CliRunner().invoke(app, ["demo", "--config", str(tmp_path / "absent.toml")])
    assert isinstance(result.exception, ConfigurationError)

"""`session-router regret`."""

from __future__ import annotations

import gzip
import json
import shlex
import sys
import types
from typing import TYPE_CHECKING, Any

import pytest

from session_router.regret import Evaluation
from support.pages import ROOT, run_command
from support.shared_data import shared_data

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONFIG = ROOT / "examples" / "router.toml"
TAU2 = shared_data("sessions_tau2_retail_telecom.jsonl.gz")


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def regret(*arguments: object) -> tuple[int, str]:
    return run_command(shlex.join(["session-router", "regret", *map(str, arguments)]))


def rows_of(path: Path) -> list[dict[str, Any]]:
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in raw.splitlines()]


def cells(output: str, first: str) -> list[str]:
    line = next(line for line in output.splitlines() if line.startswith("│") and line.split("│")[1].strip() == first)
    return [cell.strip() for cell in line.split("│")[1:-1]]


def sessions(path: Path, *names: str, source: str = "", text: str = "Compare the trade-offs, and explain why.") -> Path:
    messages = [
        {"role": "user", "content": text},
        {"role": "assistant", "content": "Well."},
        {"role": "user", "content": "thanks"},
        {"role": "assistant", "content": "You are welcome."},
    ]
    rows = [json.dumps({"session_id": name, "source": source or name, "messages": messages}) for name in names]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_it_shows_every_routing_beside_the_optimum(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl.gz"
    code, output = regret(TAU2, "--config", CONFIG, "--limit", 12, "--stake", 0.3, "--json", rows)
    assert code == 0
    *own, report = rows_of(rows)
    assert [row["kind"] for row in own] == ["session"] * 12
    assert report["kind"] == "report"
    assert report["stake"] == 0.3
    total = report["total"]
    assert total["calls"] == sum(row["calls"] for row in own)
    assert total["optimum"]["total"] == pytest.approx(sum(row["optimum"]["total"] for row in own))
    assert cells(output, "optimum")[3] == f"{total['optimum']['total']:,.4f}"
    for name, bill in total["routings"].items():
        shown = cells(output, name)
        assert shown[3:6] == [f"{bill['total']:,.4f}", f"{bill['ratio']:,.4f}", f"{bill['regret']:,.4f}"]
        assert bill["total"] == pytest.approx(sum(row["routings"][name]["total"] for row in own))
    farthest = max(own, key=lambda row: row["routings"]["session-router"]["regret"])
    assert report["session"]["session_id"] == farthest["session_id"]
    assert f"Session {farthest['session_id']} (line {farthest['line']})" in output
    assert "predicted, not measured" in output


def test_sources_are_told_apart(tmp_path: Path) -> None:
    path = sessions(tmp_path / "sessions.jsonl", "tau[bold]", "two", "two")
    _, output = regret(path, "--config", CONFIG)
    assert cells(output, "tau[bold]")[1:3] == ["1", "2"]
    assert cells(output, "two")[1:3] == ["2", "4"]
    assert "By source" not in regret(sessions(path, "one", "two", source="same"), "--config", CONFIG)[1]


def test_the_stake_is_the_routers_too(tmp_path: Path) -> None:
    path = sessions(tmp_path / "sessions.jsonl", "one")
    chosen: dict[float, set[str]] = {}
    for stake in (0.0, 100.0):
        regret(path, "--config", CONFIG, "--stake", stake, "--json", tmp_path / "rows.jsonl")
        told = rows_of(tmp_path / "rows.jsonl")[-1]["session"]["timeline"]
        chosen[stake] = {call["routings"][name]["model"] for call in told for name in ("optimum", "session-router")}
    assert chosen == {0.0: {"fast"}, 100.0: {"strong"}}


def test_a_session_that_is_asked_for_is_told_or_is_an_error(tmp_path: Path) -> None:
    path, rows = sessions(tmp_path / "sessions.jsonl", "one", "two"), tmp_path / "rows.jsonl"
    code, output = regret(path, "--config", CONFIG, "--session", "two", "--json", rows)
    assert (code, rows_of(rows)[-1]["session"]["line"]) == (0, 2)
    assert "Session two (line 2)" in output
    code, output = regret(path, "--config", CONFIG, "--session", "three")
    assert code == 2
    assert "optimum" in output
    assert "`--session` is 'three'" in output


def test_rows_on_standard_output_are_nothing_but_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = sessions(tmp_path / "sessions.jsonl", "one")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "argv", ["session-router", "regret", str(path), "--config", str(CONFIG), "--json", "-"])
        from session_router.cli.command import main

        with pytest.raises(SystemExit) as stopped:
            main()
    assert not stopped.value.code
    written = capsys.readouterr()
    assert [json.loads(line)["kind"] for line in written.out.splitlines()] == ["session", "report"]
    assert "optimum" in written.err


def test_bad_sessions_are_counted_and_the_rest_is_evaluated(tmp_path: Path) -> None:
    path = sessions(tmp_path / "sessions.jsonl", "one")
    path.write_text("nonsense\n" + path.read_text(encoding="utf-8") + "{}\n" * 30, encoding="utf-8")
    code, output = regret(path, "--config", CONFIG)
    assert code == 1
    assert "line 1" in output
    assert "and 11 more sessions" in output
    assert "31 sessions could not be replayed" in output
    assert "1 session, 2 segments, 2 calls" in output
    rows = tmp_path / "rows.jsonl"
    assert regret(path, "--config", CONFIG, "--lenient", "--json", rows)[0] == 0
    assert rows_of(rows)[-1]["left_out"] == {"interrupted": None, "unread_sessions": 31}


def test_an_interrupt_keeps_what_was_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, rows, page = sessions(tmp_path / "sessions.jsonl", "one", "two", "three"), tmp_path / "rows.jsonl", tmp_path / "page.html"
    add = Evaluation.add

    def interrupted(self: Evaluation, calls: Any) -> Any:
        if calls[0].recording.session_id == "three":
            raise KeyboardInterrupt
        return add(self, calls)

    monkeypatch.setattr(Evaluation, "add", interrupted)
    code, output = regret(path, "--config", CONFIG, "--json", rows, "--html", page)
    assert code == 130
    assert "interrupted in the session of line 3" in output
    assert [row["kind"] for row in rows_of(rows)] == ["session", "session", "report"]
    assert rows_of(rows)[-1]["total"]["sessions"] == 2
    # Whoever is sent the report has not seen the terminal.
    assert rows_of(rows)[-1]["left_out"] == {"interrupted": "in the session of line 3", "unread_sessions": 0}
    assert "this was interrupted in the session of line 3" in page.read_text(encoding="utf-8")


def test_a_file_without_calls_says_so(tmp_path: Path) -> None:
    path = tmp_path / "sessions.jsonl"
    path.write_text(json.dumps({"session_id": "s", "messages": [{"role": "user", "content": "hi"}]}), encoding="utf-8")
    code, output = regret(path, "--config", CONFIG)
    assert (code, output) == (0, "no calls were replayed.\n")


def test_the_page_is_made_from_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def render(report: Mapping[str, Any]) -> str:
        return json.dumps(report)

    module = types.ModuleType("session_router.regret.page")
    vars(module)["render"] = render
    monkeypatch.setitem(sys.modules, module.__name__, module)
    path, page, rows = sessions(tmp_path / "sessions.jsonl", "one"), tmp_path / "page.html", tmp_path / "rows.jsonl"
    assert regret(path, "--config", CONFIG, "--html", page, "--json", rows)[0] == 0
    assert {"kind": "report", **json.loads(page.read_text(encoding="utf-8"))} == rows_of(rows)[-1]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere.jsonl", "--config", CONFIG], "no such file"),
        ([TAU2, "--config", "nowhere.toml"], "nowhere.toml"),
        ([TAU2, "--config", CONFIG, "--json", "/nowhere/rows"], "--json"),
        ([TAU2, "--config", CONFIG, "--html", "/nowhere/page"], "--html"),
        ([TAU2, "--config", CONFIG, "--html", ROOT], "--html"),
        ([TAU2, "--config", CONFIG, "--html", TAU2], "it is the file of the sessions"),
        ([TAU2, "--config", CONFIG, "--stake", "-1"], "--stake"),
        ([TAU2, "--config", CONFIG, "--stake", "1e300"], "--stake"),
        ([TAU2, "--config", CONFIG, "--stake", "inf"], "--stake"),
        ([TAU2, "--config", CONFIG, "--limit", "0"], "--limit"),
    ],
)
def test_wrong_use_is_one_error(arguments: list[object], told: str) -> None:
    code, output = regret(*arguments)
    assert code == 2
    assert told in output
    assert "Traceback" not in output

"""`session-router regret --feedback`: a policy valued by what another one logged."""

from __future__ import annotations

import json
import random
import shlex
from typing import TYPE_CHECKING, Any

import pytest

from session_router.cli.off_policy_table import LEFT_OUT
from session_router.regret.off_policy import LeftOut
from support.pages import run_command

if TYPE_CHECKING:
    from pathlib import Path

MODELS = """
[models.fast]
model = "openai:gpt-5-mini"
prices = { input = 0.25, cached_input = 0.025, output = 2.0 }

[models.strong]
model = "anthropic:claude-sonnet-4-6"
prices = { input = 3.0, cached_input = 0.3, cache_write = 3.75, output = 15.0 }
"""
EXPLORING = "[policy]\nstake = 0.3\nexplore = 0.3\nexplore_dollars = 0.05\n"


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def command(*words: object) -> tuple[int, str]:
    return run_command(shlex.join(["session-router", *map(str, words)]))


def configured(path: Path, policy: str) -> Path:
    path.write_text(policy + MODELS, encoding="utf-8")
    return path


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def decisions(directory: Path, policy: str = EXPLORING, *, sessions: int = 40) -> Path:
    """Decisions of a replay under `policy`."""
    texts = ["Where is my order?", "Compare the trade-offs: prove, step by step, and explain why.", "thanks", "and now?"]
    recorded = [
        {
            "session_id": f"session {number}",
            "messages": [
                {"role": role, "content": text}
                for text in texts
                for role, text in (("user", f"{text} ({number})"), ("assistant", "Well. " * 20))
            ],
        }
        for number in range(sessions)
    ]
    recordings = written(directory / "sessions.jsonl", recorded)
    config = configured(directory / "logging.toml", policy)
    code, output = command("replay", recordings, "--config", config, "--json", directory / "decisions.jsonl", "--start", "2026-01-01")
    assert code == 0, output
    return directory / "decisions.jsonl"


def feedback(decisions: Path, path: Path) -> Path:
    generator = random.Random(3)
    rows = [
        {"decision_id": row["decision_id"], "success": generator.random() < (0.9 if row["model"] == "strong" else 0.5)}
        for row in rows_of(decisions)
    ]
    return written(path, rows)


def cells(output: str, name: str) -> list[str]:
    line = next(line for line in output.splitlines() if line.startswith("│") and line.split("│")[2].strip() == name)
    return [cell.strip() for cell in line.split("│")[1:-1]]


def test_it_values_a_policy_by_what_another_one_logged(tmp_path: Path) -> None:
    log = decisions(tmp_path)
    told = feedback(log, tmp_path / "feedback.jsonl")
    new = configured(tmp_path / "new.toml", "[policy]\nstake = 0.3\ncap = 'none'\nmargin = 0.0\n")
    code, output = command("regret", log, "--feedback", told, "--config", new, "--json", tmp_path / "rows.jsonl")
    assert code == 0, output
    *boundaries, report = rows_of(tmp_path / "rows.jsonl")
    assert {row["kind"] for row in boundaries} == {"boundary"}
    explored = [row for row in rows_of(log) if row["reason"] == "explored"]
    assert len(explored) > 10
    assert {row["evidence"]["propensity"] for row in explored} == {0.3}
    assert report["used"] == len(boundaries) == len(rows_of(log))
    assert report["sessions"] == 40
    for name, kind in (("IPS", "ips"), ("SNIPS", "snips"), ("DR", "dr")):
        share, dollars = report["success"][kind], report["dollars"][kind]
        shown = [
            f"{share['value']:.1%}",
            f"{share['low']:.1%} and {share['high']:.1%}",
            f"{dollars['value']:.5f}",
            f"{dollars['low']:.5f} and {dollars['high']:.5f}",
        ]
        if name != "DR":
            assert cells(output, name)[2:] == shown
        assert shown[0] in output
    assert "effective sample size" in output
    assert report["effective_boundaries"] < len(boundaries)


def test_decisions_and_feedback_may_be_in_one_file(tmp_path: Path) -> None:
    log = decisions(tmp_path)
    told = feedback(log, tmp_path / "feedback.jsonl")
    both = written(tmp_path / "both.jsonl", [*rows_of(log), *rows_of(told)])
    config = tmp_path / "logging.toml"
    one, other = (
        command("regret", log, "--feedback", told, "--config", config),
        command("regret", both, "--feedback", both, "--config", config),
    )
    assert one == other
    assert one[0] == 0


def test_a_log_without_exploration_says_what_to_turn_on(tmp_path: Path) -> None:
    log = decisions(tmp_path, "[policy]\nstake = 0.3\n")
    told = feedback(log, tmp_path / "feedback.jsonl")
    new = configured(tmp_path / "new.toml", "[policy]\nstake = 0.001\n")
    code, output = command("regret", log, "--feedback", told, "--config", new)
    assert code == 2
    assert "the log says nothing about the new policy" in output
    assert "`policy.explore`" in output
    # Of the policy that logged, it does.
    assert command("regret", log, "--feedback", told, "--config", tmp_path / "logging.toml")[0] == 0


def test_lines_that_cannot_be_read_are_told_and_left_out(tmp_path: Path) -> None:
    log = decisions(tmp_path)
    told = feedback(log, tmp_path / "feedback.jsonl")
    with told.open("a", encoding="utf-8") as file:
        file.write('{"decision_id": "d", "success": 3}\n{"thumbs": "up"}\nnot json\n{"decision_id": "of another log", "success": 1}\n')
    arguments = ("regret", log, "--feedback", told, "--config", tmp_path / "logging.toml")
    code, output = command(*arguments)
    assert code == 1
    assert "3 lines could not be read" in output
    assert "line 161, `success`: expected a number in [0, 1]" in output
    assert "neither a decision" in output
    assert "1 row of feedback on decisions that are not in the log" in output
    assert command(*arguments, "--lenient")[0] == 0


def test_what_is_left_out_is_counted_and_explained(tmp_path: Path) -> None:
    log = decisions(tmp_path)
    told = written(tmp_path / "feedback.jsonl", rows_of(feedback(log, tmp_path / "all.jsonl"))[:100])
    arguments = ("regret", log, "--feedback", told, "--config", tmp_path / "logging.toml")
    code, output = command(*arguments)
    assert code == 0
    assert f"60 boundaries: {LEFT_OUT[LeftOut.NO_OUTCOME]}" in output
    code, output = command(*arguments, "--stake", 0.5)
    assert code == 0
    assert "$0.5 for as far as a segment was served badly" in output
    code, output = command("regret", log, "--feedback", log, "--config", tmp_path / "logging.toml")
    assert code == 2
    assert "no boundary can be used" in output
    assert set(LEFT_OUT) == set(LeftOut)


@pytest.mark.parametrize(("option", "value"), [("--html", "page.html"), ("--session", "s"), ("--limit", 3), ("--start", "2026-01-01")])
def test_options_of_recorded_sessions_are_refused(tmp_path: Path, option: str, value: object) -> None:
    log = decisions(tmp_path, sessions=2)
    code, output = command("regret", log, "--feedback", log, "--config", tmp_path / "logging.toml", option, value)
    assert code == 2
    assert f"`{option}`" in output


def test_no_input_is_written_over_and_a_missing_one_is_told(tmp_path: Path) -> None:
    log = decisions(tmp_path, sessions=2)
    told = feedback(log, tmp_path / "feedback.jsonl")
    for path in (log, told, tmp_path / "logging.toml"):
        before = path.read_bytes()
        code, _ = command("regret", log, "--feedback", told, "--config", tmp_path / "logging.toml", "--json", path)
        assert (code, path.read_bytes()) == (2, before)
    code, output = command("regret", log, "--feedback", tmp_path / "nowhere.jsonl", "--config", tmp_path / "logging.toml")
    assert code == 2
    assert "there is no such file" in output


def test_exploration_is_told_by_explain(tmp_path: Path) -> None:
    log = decisions(tmp_path)
    explored = next(row for row in rows_of(log) if row["reason"] == "explored")
    code, output = command("explain", log, "--session", explored["session_id"])
    assert code == 0
    assert "this model was tried, to learn what it is worth (exploration)" in output
    assert "30.0% to be taken here (exploration)" in output
    assert "70.0% to be taken here (exploration)" in output


def test_exploration_without_a_budget_is_refused(tmp_path: Path) -> None:
    config = configured(tmp_path / "router.toml", "[policy]\nexplore = 0.1\n")
    code, output = command("regret", config, "--feedback", config, "--config", config)
    assert code == 2
    assert "`policy.explore` is 0.1; give `policy.explore_dollars` as well" in output

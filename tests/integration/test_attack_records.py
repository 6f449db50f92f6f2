"""What a replay tells of attacks: upgrades that were capped, and texts of which a part speaks for all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from session_router import Prices, Router
from session_router.recordings import recording_from_openai
from session_router.replay import Summary, replay_session
from session_router.scorers.guard_limits import LEXICAL_LIMITS
from session_router.scorers.guarded import GuardedScorer
from session_router.scorers.lexical import LexicalScorer
from support.outcomes import write_outcomes
from support.pages import run_command

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

CONFIGURATION = """
[policy]
stake = 1.0
[policy.upgrades]
expected = 0.1
excessive = 0.6
between_false_alarms = 20
[models.fast]
model = "openai:small"
prices = { input = 0.25, output = 2 }
[models.strong]
model = "openai:large"
prices = { input = 3, output = 15 }
"""
HARD = "prove why and derive the proof, then debug, compare, design and plan a migration. "
CLEAN = "On Monday Ann buys four pens for two dollars each, and on Tuesday she sells three of them. How many are left?"


def session(texts: list[str]) -> dict[str, object]:
    messages = [message for text in texts for message in ({"role": "user", "content": text}, {"role": "assistant", "content": "so"})]
    return {"session_id": "s", "messages": messages}


def test_a_capped_session_is_counted_and_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    config, rows = tmp_path / "router.toml", tmp_path / "rows.jsonl"
    config.write_text(CONFIGURATION, encoding="utf-8")
    sessions = write_outcomes(tmp_path / "sessions.jsonl", [session([HARD * 3] * 5)])
    code, output = run_command(f"session-router replay {sessions} --config {config} --json {rows}")
    assert code == 0, output
    told = {line.split("│")[1].strip(): line.split("│")[2].strip() for line in output.splitlines() if line.count("│") >= 4}
    assert (told["upgrades asked for"], told["of these, capped"]) == ("5", "3")
    watched = [json.loads(line)["evidence"]["upgrades"] for line in rows.read_text(encoding="utf-8").splitlines()]
    assert [one["capped"] for one in watched] == [False] * 2 + [True] * 3
    code, output = run_command(f"session-router explain {rows} --session s")
    assert code == 0, output
    assert output.count("upgrade to strong given") == 2
    assert "upgrade to strong not given (session capped for 10 more)" in output
    assert "upgrades were asked for too often" in output


def test_an_alarm_is_counted_and_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    prices = {"fast": Prices(input=0.5, output=0.5), "strong": Prices(input=10, output=30)}
    router = Router(dict.fromkeys(prices, "simulated"), prices=prices, scorer=GuardedScorer(LexicalScorer(), limits=LEXICAL_LIMITS))
    recording = recording_from_openai(session([CLEAN, f"prove debug refactor why {CLEAN}"]), source="here", line=1)
    calls = list(replay_session(recording, router))
    summary = Summary()
    summary.add(calls)
    assert summary.alarms == 1
    rows = write_outcomes(tmp_path / "rows.jsonl", [call.to_plain() for call in calls])
    code, output = run_command(f"session-router explain {rows} --session s")
    assert code == 0, output
    assert output.count("alarm: without its first") == output.count("the text asks for a dearer model by") == 1
    broken = [call.to_plain() for call in calls]
    broken[1]["evidence"]["alarm"]["jump"] = "much"
    code, output = run_command(f"session-router explain {write_outcomes(rows, broken)} --session s")
    assert (code, "evidence.alarm.jump" in output) == (1, True)

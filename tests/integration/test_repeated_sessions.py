"""Lines with one session_id are sessions of their own, and whoever reads what came of them is told so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from session_router.cli import reading
from support.pages import run_command

MODELS = '[models.fast]\nmodel = "openai:small"\nprices = {input = 0.25, output = 2}\n'
COMMANDS = ["replay {file}", "replay {file} --json -", "regret {file}", "learn {file} --out experience.json"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    Path("router.toml").write_text(MODELS, encoding="utf-8")


def recorded(*names: str) -> str:
    messages = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "Hello."}]
    lines = [json.dumps({"session_id": name, "messages": messages}) + "\n" for name in names]
    Path("sessions.jsonl").write_text("".join(lines), encoding="utf-8")
    return "sessions.jsonl"


def run(command: str) -> tuple[int, str]:
    code, output = run_command(f"session-router {command} --config router.toml")
    return code, " ".join(output.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_a_session_id_that_comes_again_is_told_of(command: str) -> None:
    code, output = run(command.format(file=recorded("a", "b", "a", "b", "a", "c")))
    assert code == 0
    told = "3 sessions have the session_id of an earlier one, the first of them 'a' in lines 1 and 3: each counts as a session of its own."
    assert told in output
    assert "session_id of" not in run(command.format(file=recorded("a", "b", "c")))[1]


def test_one_is_told_of_as_one() -> None:
    assert (
        "1 session has the session_id of an earlier one: 'a' in lines 1 and 2; it counts as a session of its own."
        in run(f"replay {recorded('a', 'a')}")[1]
    )


def test_their_rows_are_told_apart_by_the_line() -> None:
    assert run(f"replay {recorded('a', 'a')} --json rows.jsonl")[0] == 0
    rows = [json.loads(line) for line in Path("rows.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["session_id"], row["line"]) for row in rows] == [("a", 1), ("a", 2)]
    assert rows[0]["session"] != rows[1]["session"]


def test_the_memory_for_names_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "REMEMBERED_SESSIONS", 1)
    assert "1 session has" in run(f"replay {recorded('a', 'b', 'b', 'a')}")[1]


def test_a_name_of_any_length_is_told_in_a_line() -> None:
    output = run(f"replay {recorded('a' * 5_000, 'a' * 5_000)}")[1]
    assert f"'{'a' * 100}...' in lines 1 and 2" in output
    assert "a" * 101 not in output

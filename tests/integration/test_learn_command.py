"""`session-router learn`: from recordings to a policy that knows what follows."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import pytest

from session_router import load_router
from support.pages import ROOT, run_command
from support.shared_data import shared_data

if TYPE_CHECKING:
    from pathlib import Path

TAU2 = shared_data("sessions_tau2_retail_telecom.jsonl.gz")


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def learn(*arguments: object) -> tuple[int, str]:
    return run_command(shlex.join(["session-router", "learn", *map(str, arguments)]))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return a configuration that names an experience which is not there yet."""
    text = (ROOT / "examples" / "router.toml").read_text(encoding="utf-8")
    path = tmp_path / "router.toml"
    path.write_text(text.replace("[policy]", '[policy]\nexperience = "experience.json"', 1), encoding="utf-8")
    assert "experience.json" in path.read_text(encoding="utf-8")
    return path


def test_the_file_it_writes_is_the_one_that_the_configuration_reads(tmp_path: Path, config: Path) -> None:
    out = tmp_path / "experience.json"
    code, output = learn(TAU2, "--config", config, "--out", out, "--kept", 20)
    assert code == 0, output
    assert 'experience = "experience.json"' in output
    assert "[policy]" in output
    plain = json.loads(out.read_text(encoding="utf-8"))
    router = load_router(config, environment={})
    assert router.policy.experience is not None
    assert len(router.policy.experience.marks) == len(plain["marks"])
    assert not list(tmp_path.glob("*.part"))
    # Again, over what is there: the same sessions teach the same.
    assert learn(TAU2, "--config", config, "--out", out, "--kept", 20)[0] == 0
    assert json.loads(out.read_text(encoding="utf-8")) == plain
    code, output = run_command(shlex.join(["session-router", "replay", str(TAU2), "--config", str(config), "--limit", "10"]))
    assert code == 0, output


def test_an_experience_that_is_not_there_or_broken_is_named(tmp_path: Path, config: Path) -> None:
    for content, words in (
        (None, "cannot be read"),
        ("{", "JSONDecodeError"),
        ("{}", "no experience of schema"),
        ("[" * 100_000, "RecursionError"),
    ):
        if content is not None:
            (tmp_path / "experience.json").write_text(content, encoding="utf-8")
        code, output = run_command(shlex.join(["session-router", "replay", str(TAU2), "--config", str(config)]))
        assert code == 2
        assert "policy.experience" in output
        assert words in output
        assert "session-router learn" in output


def test_what_cannot_be_written_is_said_and_bad_lines_are_counted(tmp_path: Path, config: Path) -> None:
    sessions = tmp_path / "sessions.jsonl"
    good = {"session_id": "a", "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]}
    sessions.write_text(json.dumps(good) + "\n{broken\n", encoding="utf-8")
    out = tmp_path / "experience.json"
    assert learn(sessions, "--config", config, "--out", out)[0] == 1
    assert out.exists()
    assert learn(sessions, "--config", config, "--out", out, "--lenient")[0] == 0
    code, output = learn(sessions, "--config", config, "--out", tmp_path / "nowhere" / "experience.json")
    assert code == 2
    assert "--out" in output
    sessions.write_text("{broken\n", encoding="utf-8")
    code, output = learn(sessions, "--config", config, "--out", out)
    assert code == 2
    assert "nothing to learn" in output

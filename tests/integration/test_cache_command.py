"""`session-router cache`, and what `replay` tells of stored answers."""

from __future__ import annotations

import json
import os
import shlex
import sqlite3
import time
from typing import TYPE_CHECKING

import pytest

from session_router import load_router
from session_router.config import load_cache
from session_router.core.cached import CacheHit
from session_router.core.governance import Level, Tag
from session_router.errors import ConfigurationError
from session_router.replay import StoredAnswers
from session_router.testing.cached import a_question, an_answer
from support.pages import run_command

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MODELS = """
[models.fast]
model = "openai:gpt-5-mini"
prices = { input = 0.25, output = 2.0 }
"""


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return configured(tmp_path / "router.toml", '[cache]\npath = "answers.sqlite"\n')


def configured(path: Path, text: str) -> Path:
    path.write_text(text + MODELS, encoding="utf-8")
    return path


def command(*words: object) -> tuple[int, str]:
    return run_command(shlex.join(["session-router", *map(str, words)]))


def recorded(path: Path, talks: Sequence[tuple[str, str]]) -> Path:
    rows = [
        {"session_id": f"s{number}", "messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]}
        for number, (asked, said) in enumerate(talks)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


TALKS = [
    ("Do you ship to Norway?", "Yes."),
    ("do you ship to norway", "Yes."),
    ("Do you ship to Sweden?", "No."),
    ("Do you ship to Norway?", "No."),
]


def test_replay_tells_what_would_have_hit_and_what_of_it_was_wrong(tmp_path: Path, config: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    code, output = command("replay", recorded(tmp_path / "sessions.jsonl", TALKS), "--config", config, "--json", rows)
    assert code == 0, output
    told = {line.split("│")[1].strip(): line.split("│")[2].strip() for line in output.splitlines() if line.count("│") == 4}
    assert told["calls at which it would be asked"] == "4"
    assert told["of these, hits"] == told["the same text"] == "2"
    assert (told["of the hits, wrong"], told["of the hits, right"], told["of the hits, not judged"]) == ("1", "1", "0")
    stored = [json.loads(line).get("stored") for line in rows.read_text(encoding="utf-8").splitlines()]
    assert [one and one["hit"] for one in stored] == [None, "exact", None, "exact"]
    # The cache of the configuration was not touched.
    assert command("cache", "status", "--config", config)[1].startswith("0 entries kept")


def test_without_a_cache_replay_tells_nothing_of_one(tmp_path: Path) -> None:
    code, output = command("replay", recorded(tmp_path / "sessions.jsonl", TALKS), "--config", configured(tmp_path / "a.toml", ""))
    assert code == 0
    assert "cache would have" not in output


def test_certify_counts_a_file_once_and_keeps_no_answer(tmp_path: Path, config: Path) -> None:
    talks = [(f"Please tell me whether you would ship {what} to {place}", "Yes.") for what in ("a lamp", "the lamp") for place in PLACES]
    sessions = recorded(tmp_path / "sessions.jsonl", talks)
    code, output = command("cache", "certify", sessions, "--config", config)
    assert code == 0, output
    assert "has counted the audits" in output
    _, status = command("cache", "status", "--config", config)
    assert status.startswith("0 entries kept")
    code, output = command("cache", "certify", sessions, "--config", config)
    assert code == 2
    assert "evidence counts once" in output
    assert command("cache", "status", "--config", config)[1] == status


def test_certify_counts_no_pipe(tmp_path: Path, config: Path) -> None:
    reading, writing = os.pipe()
    sessions = recorded(tmp_path / "sessions.jsonl", TALKS)
    os.write(writing, sessions.read_bytes())
    os.close(writing)
    code, output = command("cache", "certify", f"/dev/fd/{reading}", "--config", config)
    os.close(reading)
    assert code == 2
    assert "it can be read only once" in output
    # What was refused was not counted.
    assert command("cache", "certify", sessions, "--config", config)[0] == 0


def test_certify_says_that_it_was_interrupted(tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(StoredAnswers, "show", interrupted)
    code, output = command("cache", "certify", recorded(tmp_path / "sessions.jsonl", TALKS), "--config", config)
    assert code == 130
    assert "interrupted in the session of line 1" in output


PLACES = ("Oslo", "Rome", "Bern", "Graz", "Nice", "Kiel")


def test_purge_and_erase(config: Path) -> None:
    now = time.time()
    with load_cache(config) as cache:  # type: ignore[union-attr]
        for number, tag in enumerate([Tag(), Tag(level=Level.PUBLIC, subjects=frozenset({"s1"})), Tag()]):
            answer = an_answer("Yes.", at=now, expires_at=now + 1e-9 if number == 2 else None)
            assert cache.store(a_question(f"question {number}", now=now - 1e-3, tag=tag), answer) is None
    assert command("cache", "status", "--config", config)[1].startswith("3 entries kept")
    assert command("cache", "purge", "--config", config) == (0, "1 entry removed, 2 kept\n")
    assert command("cache", "erase", "s1", "--config", config) == (0, "1 entry removed\n")
    code, output = command("cache", "erase", " ", "--config", config)
    assert (code, "nobody is named" in output) == (2, True)
    assert command("cache", "purge", "--all", "--config", config) == (0, "1 entry removed, 0 kept\n")


def test_a_model_of_the_configuration_judges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    judged = load_router(configured(tmp_path / "a.toml", '[cache]\njudge = "fast"\n')).cache
    plain = load_router(configured(tmp_path / "b.toml", "[cache]\n")).cache
    assert [type(cache._foundations.judge).__name__ for cache in (judged, plain)] == ["ChatModelJudge", "ClosedAnswerJudge"]  # type: ignore[union-attr]


@pytest.mark.parametrize("text", ["", "[cache]\n"])
def test_without_a_cache_that_outlives_the_process_it_says_what_to_do(tmp_path: Path, text: str) -> None:
    code, output = command("cache", "status", "--config", configured(tmp_path / "a.toml", text))
    assert code == 2
    assert "`[cache]` table with a `path`" in output


def test_a_file_that_is_none_of_ours_is_an_error_that_names_it(tmp_path: Path, config: Path) -> None:
    connection = sqlite3.connect(tmp_path / "answers.sqlite")
    connection.execute("CREATE TABLE songs (name TEXT)")
    connection.commit()
    connection.close()
    code, output = command("cache", "status", "--config", config)
    assert code == 2
    assert "answers.sqlite" in output
    assert "another application" in output


def test_a_configured_cache_serves_two_routers_on_one_file(config: Path) -> None:
    first, second = (load_router(config) for _ in range(2))
    assert first.cache is not None
    assert second.cache is not None
    question = a_question("Do you ship to Norway?")
    assert first.cache.store(question, an_answer("Yes.")) is None
    assert isinstance(second.cache.look_up(question), CacheHit)
    assert load_router(config, cached=False).cache is None


@pytest.mark.parametrize(
    ("text", "key", "rule"),
    [
        ('[cache]\npath = "nowhere/answers.sqlite"\n', "cache.path", "must exist"),
        ("[cache]\nwrong = 1.5\n", "cache.wrong", ""),
        ('[cache]\nsharing = "world"\n', "cache.sharing", ""),
        ("[cache.categories]\nprices = 0\n", "cache.categories.prices", ""),
        ("[cache]\nttl = 5\n", "cache.ttl", ""),
        ('[cache]\njudge = "fats"\n', "cache.judge", "fast"),
    ],
)
def test_a_wrong_setting_names_the_file_the_key_and_the_rule(tmp_path: Path, text: str, key: str, rule: str) -> None:
    path = configured(tmp_path / "router.toml", text)
    with pytest.raises(ConfigurationError) as caught:
        load_router(path)
    assert caught.value.key == key
    assert str(path) in str(caught.value)
    assert rule in str(caught.value)

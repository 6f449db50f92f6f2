"""`session-router fit`: from outcomes to a router that is scored by them."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

import pytest

from session_router import load_router
from session_router.core.need import Question
from session_router.errors import ConfigurationError
from session_router.scorers.fitted import FittedScorer
from session_router.scorers.lexical import LexicalScorer
from support.outcomes import made_up, write_outcomes
from support.pages import ROOT, run_command

if TYPE_CHECKING:
    from pathlib import Path

KEY = "ab" * 32
CONFIGURATION = (ROOT / "examples" / "router.toml").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("SESSION_ROUTER_KEY", raising=False)


def run(*arguments: object) -> tuple[int, str]:
    return run_command(shlex.join(["session-router", *map(str, arguments)]))


@pytest.fixture
def outcomes(tmp_path: Path) -> Path:
    return write_outcomes(tmp_path / "outcomes.jsonl", made_up(450))


def configured(tmp_path: Path, scorer: str = '[scorer]\npath = "scorer.json"\n') -> Path:
    path = tmp_path / "router.toml"
    path.write_text(f"{CONFIGURATION}\n{scorer}", encoding="utf-8")
    return path


def test_the_file_it_writes_is_the_one_that_the_configuration_reads(tmp_path: Path, outcomes: Path) -> None:
    out = tmp_path / "scorer.json"
    code, output = run("fit", outcomes, "--out", out, "--json", tmp_path / "report.json")
    assert code == 0, output
    for words in ("AUC", "Brier", "calibration error", "With fewer outcomes", "What it would save", "cheapest certified", "oracle"):
        assert words in output
    assert 'path = "scorer.json"' in output
    router = load_router(configured(tmp_path), environment={})
    assert isinstance(router.scorer, FittedScorer)
    easy, hard = (
        router.scorer.score(Question(text=text), router.models) for text in ("greet lamp thank garden", "integrate lamp prove garden")
    )
    assert easy["fast"].p_success > hard["fast"].p_success  # type: ignore[index]
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["kind"] == "fit"
    assert report["reference"] == "strong"
    assert {model["model"] for model in report["models"]} == {"fast", "strong"}
    assert report["savings"]["certified"]["dollars"] <= report["savings"]["reference"]["dollars"]
    # Again, over what is there, in another order of options: the same, byte for byte.
    before = out.read_bytes()
    assert run("fit", outcomes, "--seed", 0, "--config", configured(tmp_path), "--out", out)[0] == 0
    assert out.read_bytes() == before
    # A replay is scored by it too.
    session = {"session_id": "s", "messages": [{"role": "user", "content": "greet lamp"}, {"role": "assistant", "content": "hello"}]}
    sessions = write_outcomes(tmp_path / "sessions.jsonl", [session])
    code, output = run("replay", sessions, "--config", tmp_path / "router.toml", "--json", out)
    assert (code, "`scorer.path` of the configuration" in output) == (2, True)
    code, output = run("replay", sessions, "--config", tmp_path / "router.toml", "--json", tmp_path / "rows.jsonl")
    assert code == 0, output
    row = json.loads((tmp_path / "rows.jsonl").read_text(encoding="utf-8"))
    chances = {one["model"]: one["p_success"] for one in row["evidence"]["candidates"]}
    assert chances["fast"] == router.scorer.score(Question(text="greet lamp", turn=1), router.models)["fast"].p_success  # type: ignore[index]


def test_with_prompts_enough_the_scorer_guards_itself_and_the_file_says_so(tmp_path: Path) -> None:
    lines = [{**line, "prompt": f"{line['prompt']} " + " ".join(line["prompt"].split()[:6] * 2)} for line in made_up(2_200)]
    outcomes = write_outcomes(tmp_path / "outcomes.jsonl", lines)
    quick = ("fit", outcomes, "--out", tmp_path / "scorer.json", "--embedder", "static")
    code, output = run(*quick, "--json", tmp_path / "report.json")
    assert code == 0, output
    assert "held-out prompts set limits" in output
    guard = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["guard"]
    assert guard["texts"] >= 200
    assert guard["questions"] >= 2 * guard["texts"] - 2
    easy = Question(text=next(line["prompt"] for line in lines if "greet" in line["prompt"] and "thank" in line["prompt"]))
    attacked = Question(text=f"prove reconcile integrate optimise schedule prove {easy.text}")
    kept: dict[str, list[bool]] = {}
    for setting in ("true", "false"):
        router = load_router(configured(tmp_path, f'[scorer]\npath = "scorer.json"\nguard = {setting}\n'), environment={})
        needs = [router.scorer.score(question, router.models)["fast"] for question in (easy, attacked)]  # type: ignore[index]
        kept[setting] = [need.certificate is not None for need in needs]
    assert kept == {"true": [True, True], "false": [False, False]}
    # One that was never guarded has its own certificates, and says that it has no guard.
    code, output = run(*quick, "--no-guard")
    assert (code, "No guard" in output) == (0, True)
    router = load_router(configured(tmp_path, '[scorer]\npath = "scorer.json"\n'), environment={})
    assert router.scorer.score(easy, router.models)["fast"].certificate is not None  # type: ignore[index]


def test_rows_may_own_standard_output(tmp_path: Path, outcomes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import sys
    from unittest import mock

    from session_router.cli.command import main

    words = [
        "session-router",
        "fit",
        str(outcomes),
        "--out",
        str(tmp_path / "s.json"),
        "--method",
        "logistic",
        "--embedder",
        "hash",
        "--json",
        "-",
    ]
    with mock.patch.object(sys, "argv", words), pytest.raises(SystemExit) as stop:
        main()
    captured = capsys.readouterr()
    assert stop.value.code == 0
    assert json.loads(captured.out)["method"] == "logistic"
    assert "cheapest certified" in captured.err


def test_outcomes_are_not_written_over(outcomes: Path) -> None:
    code, output = run("fit", outcomes, "--out", outcomes)
    assert code == 2
    assert "it is the file of the outcomes; name another file." in " ".join(output.split())


def test_bad_lines_are_counted_and_the_others_are_fitted_to(tmp_path: Path, outcomes: Path) -> None:
    outcomes.write_text(
        outcomes.read_text(encoding="utf-8") + '{"prompt": "x", "outcomes": {"fast": {"score": 2}}}\n{broken\n', encoding="utf-8"
    )
    out = tmp_path / "scorer.json"
    code, output = run("fit", outcomes, "--out", out, "--embedder", "hash", "--method", "logistic")
    assert code == 1
    assert "line 451, `outcomes.fast.score`: expected a number in [0, 1], found 2.0." in output
    assert "2 lines could not be read" in output
    assert out.exists()
    assert run("fit", outcomes, "--out", out, "--embedder", "hash", "--method", "logistic", "--lenient")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--reference", "stronk"), "choose one of `fast`, `strong`"),
        (("--alpha", "1"), "share in [0, 1)"),
        (("--delta", "0"), "chance in (0, 1)"),
        (("--key-file", "nowhere"), "--key-file"),
        (("--config", "nowhere.toml"), "no such file"),
    ],
)
def test_what_cannot_be_fitted_ends_before_anything_is_written(
    tmp_path: Path, outcomes: Path, arguments: tuple[str, ...], words: str
) -> None:
    out = tmp_path / "scorer.json"
    code, output = run("fit", outcomes, "--out", out, "--embedder", "hash", "--method", "logistic", *arguments)
    assert code == 2, output
    assert words in output
    assert "Traceback" not in output
    assert not out.exists()


@pytest.mark.parametrize("method", ["logistic", "blend"])
def test_outcomes_of_which_none_is_held_out(tmp_path: Path, outcomes: Path, method: str) -> None:
    line, out = json.loads(outcomes.read_text(encoding="utf-8").splitlines()[0]), tmp_path / "scorer.json"
    same = tmp_path / "same.jsonl"
    same.write_text(f"{json.dumps(line)}\n" * 100, encoding="utf-8")
    code, output = run("fit", same, "--out", out, "--embedder", "hash", "--method", method)
    assert (code, "none of them is held out" in output) == (2, True), output
    assert not out.exists()


def test_nothing_that_is_read_is_written_over(tmp_path: Path, outcomes: Path) -> None:
    before = outcomes.read_bytes()
    key = tmp_path / "key"
    key.write_text(f"{KEY}\n", encoding="ascii")
    for arguments in (
        ("--out", outcomes),
        ("--out", key, "--key-file", key),
        ("--out", tmp_path / "s.json", "--json", key, "--key-file", key),
        ("--out", tmp_path / "s.json", "--json", tmp_path / "s.json"),
        ("--out", tmp_path / "a" / "s.json"),
    ):
        assert run("fit", outcomes, *arguments)[0] == 2
    assert outcomes.read_bytes() == before
    assert key.read_text(encoding="ascii") == f"{KEY}\n"
    outcomes.write_text("", encoding="utf-8")
    code, output = run("fit", outcomes, "--out", tmp_path / "s.json")
    assert (code, "nothing to fit" in output) == (2, True)


def test_a_configuration_with_a_key_takes_what_was_signed_with_it(tmp_path: Path, outcomes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, keys = tmp_path / "scorer.json", tmp_path / "key"
    keys.write_text(f"{KEY}\n", encoding="ascii")
    quick = ("fit", outcomes, "--out", out, "--embedder", "hash", "--method", "logistic")
    config = configured(tmp_path)
    assert run(*quick)[0] == 0
    assert isinstance(load_router(config, environment={}).scorer, FittedScorer)
    with pytest.raises(ConfigurationError, match="not signed") as caught:
        load_router(config, environment={"SESSION_ROUTER_KEY": KEY})
    assert (caught.value.key, caught.value.source) == ("scorer.path", str(config))
    code, output = run(*quick, "--key-file", keys)
    assert (code, "signed" in output) == (0, True)
    assert isinstance(load_router(config, environment={"SESSION_ROUTER_KEY": KEY}).scorer, FittedScorer)
    with pytest.raises(ConfigurationError, match="another key"):
        load_router(config, environment={"SESSION_ROUTER_KEY": "cd" * 32})
    signed = out.read_bytes()
    # The key of the environment signs as well.
    monkeypatch.setenv("SESSION_ROUTER_KEY", KEY)
    assert run(*quick)[0] == 0
    assert out.read_bytes() == signed


def test_a_scorer_that_does_not_fit_the_configuration_is_named(tmp_path: Path, outcomes: Path) -> None:
    out = tmp_path / "scorer.json"
    renamed: list[dict[str, Any]] = [
        {**line, "outcomes": {"small": line["outcomes"]["fast"], "strong": line["outcomes"]["strong"]}} for line in made_up(450)
    ]
    assert run("fit", write_outcomes(outcomes, renamed), "--out", out, "--embedder", "hash", "--method", "logistic")[0] == 0
    for scorer, key, words in (
        ('[scorer]\npath = "nowhere.json"\n', "scorer.path", "cannot be read"),
        ('[scorer]\npath = "scorer.json"\n', "scorer.models.fast", "say which of `small`, `strong`"),
        ('[scorer]\npath = "scorer.json"\nmodels = {fast = "smal"}\n', "scorer.models.fast", "choose one of `small`, `strong`"),
        ('[scorer]\npath = "scorer.json"\nmodels = {fast = "small", tiny = "small"}\n', "scorer.models.tiny", "no model of this name"),
        ('[scorer]\nmodels = {fast = "small"}\n', "scorer.path", "`scorer.models` needs it"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            load_router(configured(tmp_path, scorer), environment={})
        assert caught.value.key == key
        assert words in caught.value.rule
    right = configured(tmp_path, '[scorer]\npath = "scorer.json"\nmodels = {fast = "small"}\n')
    assert isinstance(load_router(right, environment={}).scorer, FittedScorer)
    # What Python brings goes before the file, which is then not read.
    bring = LexicalScorer()
    assert load_router(configured(tmp_path, '[scorer]\npath = "nowhere.json"\n'), scorer=bring, environment={}).scorer is bring

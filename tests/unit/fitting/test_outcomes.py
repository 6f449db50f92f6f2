"""Outcomes are read line by line; what cannot be used is named and costs its line only."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest

from session_router.core.need import Question
from session_router.errors import RecordingError
from session_router.fitting import Grade, Graded, OutcomeFile
from support.shared_data import shared_data

if TYPE_CHECKING:
    from pathlib import Path

GOOD: dict[str, Any] = {"prompt": "prove it", "outcomes": {"fast": {"score": 0.25, "cost": None}, "strong": {"score": 1, "cost": 0.02}}}


def read(path: Path, *lines: Any) -> list[Graded | RecordingError]:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines), encoding="utf-8")
    return list(OutcomeFile(path))


def test_a_line_is_a_question_and_its_grades(tmp_path: Path) -> None:
    context = {
        "recent": ["hi"], "turn": 2, "structured": True, "tools": [{}, {}], "tool_errors": 1, "segment_calls": 2.5,
        "turns_since_switch": 0, "dataset": "left alone",
    }  # fmt: skip
    plain, full = read(tmp_path / "o.jsonl", GOOD, {**GOOD, **context})
    assert plain == Graded(question=Question(text="prove it"), grades={"fast": Grade(score=0.25), "strong": Grade(score=1.0, dollars=0.02)})
    assert isinstance(full, Graded)
    assert full.question == Question(
        text="prove it", recent=("hi",), turn=2, structured=True, tools=2, tool_errors=1, segment_calls=2.5,
        turns_since_switch=0,
    )  # fmt: skip
    assert (full.grades["fast"].served, full.grades["strong"].served) == (False, True)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": ["a"]}, "prompt"),
        ({"outcomes": None}, "outcomes"),
        ({"outcomes": {}}, "outcomes"),
        ({"outcomes": []}, "outcomes"),
        ({"outcomes": {"fast": 1}}, "outcomes.fast"),
        ({"outcomes": {"": {"score": 1}}}, "outcomes."),
        ({"outcomes": {"fast": {}}}, "outcomes.fast.score"),
        ({"outcomes": {"fast": {"score": True}}}, "outcomes.fast.score"),
        ({"outcomes": {"fast": {"score": 1.1}}}, "outcomes.fast.score"),
        ({"outcomes": {"fast": {"score": -0.1}}}, "outcomes.fast.score"),
        ({"outcomes": {"fast": {"score": float("nan")}}}, "outcomes.fast.score"),
        ({"outcomes": {"fast": {"score": 1, "cost": -1}}}, "outcomes.fast.cost"),
        ({"outcomes": {"fast": {"score": 1, "cost": 10**400}}}, "outcomes.fast.cost"),
        ({"outcomes": {"fast": {"score": 1, "prompt_tokens": 1.5}}}, "outcomes.fast.prompt_tokens"),
        ({"outcomes": {"fast": {"score": 1, "completion_tokens": "many"}}}, "outcomes.fast.completion_tokens"),
        ({"recent": "hi"}, "recent"),
        ({"recent": [1]}, "recent"),
        ({"structured": 1}, "structured"),
        ({"tools": "many"}, "tools"),
        ({"turn": -1}, "turn"),
        ({"segment_calls": float("inf")}, "segment_calls"),
        ({"turns_since_switch": 1.5}, "turns_since_switch"),
    ],
)
def test_a_bad_line_is_named_and_the_others_are_read(tmp_path: Path, change: dict[str, Any], place: str) -> None:
    before, bad, after = read(tmp_path / "o.jsonl", GOOD, {**GOOD, **change}, GOOD)
    assert isinstance(bad, RecordingError)
    assert (bad.line, bad.place) == (2, place)
    assert "expected" in bad.rule
    assert before == after
    assert isinstance(after, Graded)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"prompt": ""}, "text that is empty"),
        ({"prompt": ["a secret"]}, "a list"),
        ({"turn": -1}, "-1"),
        ({"structured": "yes"}, "text"),
        ({"recent": {"text": "a secret"}}, "an object"),
        ({"outcomes": {"fast": {"score": True}}}, "true"),
        ({"outcomes": None}, "nothing"),
    ],
)
def test_what_was_found_is_told_in_the_words_of_json_and_never_what_a_text_says(tmp_path: Path, change: dict[str, Any], found: str) -> None:
    (bad,) = read(tmp_path / "o.jsonl", {**GOOD, **change})
    assert isinstance(bad, RecordingError)
    assert bad.rule.endswith(f", found {found}.")


def test_lines_that_are_no_json_are_bad_too(tmp_path: Path) -> None:
    items = read(tmp_path / "o.jsonl", "{broken", "[1]", GOOD)
    assert [isinstance(item, RecordingError) for item in items] == [True, True, False]


def test_a_compressed_file_is_read_alike(tmp_path: Path) -> None:
    path = tmp_path / "o.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(GOOD).encode()))
    assert list(OutcomeFile(path)) == read(tmp_path / "o.jsonl", GOOD)


@pytest.mark.parametrize("name", ["routing_mtbench", "routing_mint_gsm8k_mmlu_mbpp_alfworld", "routing_tau2_retail_telecom"])
def test_public_outcomes_are_read_to_the_last_line(name: str) -> None:
    items = list(OutcomeFile(shared_data(f"{name}.jsonl.gz")))
    assert len(items) > 100
    assert not [item for item in items if isinstance(item, RecordingError)]

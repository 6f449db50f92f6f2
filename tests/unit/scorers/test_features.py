"""What a question shows: bounded, finite, and nothing but the question."""

from __future__ import annotations

import math
import sys
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_router.core.need import Question
from session_router.scorers.canonical import MAXIMUM_CHARACTERS, READ_BEGINNING, READ_END
from session_router.scorers.corrections import READ_CHARACTERS, is_correction
from session_router.scorers.features import FEATURES, LONGEST_RECENT, READ_TEXTS, features_of
from session_router.scorers.inputs import canonical_question, inputs_of
from support.nasty_texts import NASTY

TEXTS = st.text() | st.sampled_from(NASTY)
QUESTIONS = st.builds(
    Question,
    text=TEXTS,
    recent=st.lists(TEXTS, max_size=12).map(tuple),
    turn=st.integers(),
    structured=st.booleans(),
    tools=st.integers(),
    tool_errors=st.integers(),
    segment_calls=st.floats(),
    turns_since_switch=st.none() | st.integers(),
)


def feature(name: str, text: str = "hello", **context: Any) -> float:
    return float(features_of([Question(text=text, **context)])[0, FEATURES.index(name)])


@given(QUESTIONS)
def test_whatever_is_asked_every_feature_is_a_share(question: Question) -> None:
    (found,) = features_of([question])
    assert found.shape == (len(FEATURES),)
    assert np.isfinite(found).all()
    assert ((found >= 0) & (found <= 1)).all()


@given(QUESTIONS)
def test_equal_questions_have_equal_features(question: Question) -> None:
    assert features_of([question]).tobytes() == features_of([replace(question)]).tobytes()
    assert inputs_of([question, question]).features[1].tobytes() == inputs_of([question]).features[0].tobytes()


@given(st.lists(QUESTIONS, min_size=1, max_size=4), st.lists(TEXTS, max_size=3))
def test_who_else_is_asked_about_changes_nothing(questions: list[Question], texts: list[str]) -> None:
    every = [*questions, *(replace(questions[0], text=text) for text in texts)]
    found = inputs_of(every)
    for place, question in enumerate(every):
        alone = inputs_of([question])
        assert alone.texts[0] == found.texts[place]
        assert alone.features[0].tobytes() == found.features[place].tobytes()


def test_huge_numbers_are_bounded_too() -> None:
    huge = Question(text="x", turn=10**400, tools=10**400, tool_errors=10**400, turns_since_switch=10**400)
    assert ((features_of([huge]) >= 0) & (features_of([huge]) <= 1)).all()
    assert np.isfinite(features_of([Question(text="x", segment_calls=math.inf)])).all()


def test_every_field_of_the_question_counts() -> None:
    """So that no field is forgotten; and that the test of features that stay the same could fail."""
    plain = Question(text="hello")
    others: dict[str, Any] = {
        "text": "prove it", "recent": ("no, that's wrong",), "turn": 3, "structured": True, "tools": 4,
        "tool_errors": 2, "segment_calls": 5.0, "turns_since_switch": 1,
    }  # fmt: skip
    assert set(others) == {field.name for field in fields(Question)}
    for name, value in others.items():
        assert features_of([plain]).tobytes() != features_of([replace(plain, **{name: value})]).tobytes(), name


@pytest.mark.parametrize(
    ("name", "more", "less"),
    [
        ("characters", "a longer text", "short"),
        ("words", "one two three", "one"),
        ("word_length", "incomprehensibilities", "a b"),
        ("lines", "a\nb\nc", "a"),
        ("digits", "12345", "a 1"),
        ("numbers", "1 2 3", "123"),
        ("capitals", "SHOUT", "say"),
        ("code", "def go(x): return x", "go there"),
        ("symbols", "a[0] = {b}", "a is b"),
        ("mathematics", "3 + 4 = 7", "three and four"),
        ("question_marks", "so? why?", "so"),
        ("question_form", "How is it done", "Do it like this"),
        ("question_form", "Qué es esto?", "Es esto"),
        ("list_items", "- a\n- b\n3. c", "a - b"),
        ("steps", "first this, then that, finally this", "this and that"),
        ("hard_words", "debug and refactor", "open and close"),
        ("beyond_ascii", "où ça", "where"),
        ("beyond_latin", "где это", "où ça"),
        ("correction", "No, that's wrong", "Yes, that's right"),
    ],
)
def test_a_feature_tells_texts_apart(name: str, more: str, less: str) -> None:
    assert feature(name, more) > feature(name, less)


@pytest.mark.parametrize(
    ("name", "more", "less"),
    [
        ("recent_characters", {"recent": ("a long text",)}, {"recent": ("a",)}),
        ("recent_corrections", {"recent": ("hi", "still not")}, {"recent": ("hi", "thanks")}),
        ("structured", {"structured": True}, {}),
        ("tools", {"tools": 3}, {"tools": 1}),
        ("turn", {"turn": 3}, {"turn": 1}),
        ("tool_errors", {"tool_errors": 1}, {}),
        ("segment_calls", {"segment_calls": 7.5}, {"segment_calls": 2.0}),
        ("recent_switch", {"turns_since_switch": 1}, {"turns_since_switch": 4}),
        ("recent_switch", {"turns_since_switch": 4}, {"turns_since_switch": None}),
    ],
)
def test_a_feature_tells_sessions_apart(name: str, more: dict[str, Any], less: dict[str, Any]) -> None:
    assert feature(name, **more) > feature(name, **less)


def test_every_feature_is_tested_above() -> None:
    module = sys.modules[__name__]
    marks = [mark for test in vars(module).values() for mark in getattr(test, "pytestmark", ())]
    assert {case[0] for mark in marks if mark.args[0] == ("name", "more", "less") for case in mark.args[1]} == set(FEATURES)


@pytest.mark.parametrize(
    "text",
    [
        "No, that's wrong.", "no! again", "That is not what I asked", "that\u2019s incorrect", "It still doesn't work", "Try again",
        "You misunderstood me", "Nein, das stimmt nicht", "immer noch falsch", "Non, c'est faux", "toujours pas", "Eso no es correcto",
        "sigue sin funcionar", "não, está errado", "non funziona", "werkt niet", "nadal nie", "hay\u0131r, yanl\u0131\u015f",
        "нет, это неверно",
        "всё ещё не работает", "不对", "还是不行", "違います", "아니요", "هذا خطأ",
    ],
)  # fmt: skip
def test_a_correction_is_recognised(text: str) -> None:
    assert is_correction(text)
    assert is_correction(f"Hm. {text}")


@pytest.mark.parametrize(
    "text", ["", "Thanks!", "I know nothing about it", "notes", "What is still water?", "Danke, das passt", "merci", "好的", "noon, then"]
)
def test_what_is_no_correction_is_left_alone(text: str) -> None:
    assert not is_correction(text)


def test_of_a_long_text_the_beginning_and_the_end_are_read() -> None:
    filler = "x" * MAXIMUM_CHARACTERS

    def hard_words(text: str) -> float:
        return float(inputs_of([Question(text=text)]).features[0][FEATURES.index("hard_words")])

    assert hard_words(f"debug {filler}") > 0
    assert hard_words(f"{filler} debug") > 0
    assert hard_words(f"{'x' * READ_BEGINNING} debug {'x' * READ_END}") == 0


def test_who_leaves_out_the_canonical_form_is_bounded_too() -> None:
    assert feature("characters", "x" * 9) < feature("characters", "x" * 99) < feature("characters", "x" * 999)
    assert feature("characters", "x" * MAXIMUM_CHARACTERS) == feature("characters", "x" * MAXIMUM_CHARACTERS * 2) == 1.0
    assert feature("recent_characters", recent=("x" * LONGEST_RECENT,) * 9) == 1.0


def test_what_nobody_sees_does_not_count() -> None:
    plain, hidden = Question(text="debug this", recent=("still not",)), Question(text="de\u200bbug\u202e this", recent=("st\u200bill not",))
    assert canonical_question(plain) == canonical_question(hidden)
    assert inputs_of([plain]).features.tobytes() == inputs_of([hidden]).features.tobytes()
    assert features_of([plain]).tobytes() != features_of([hidden]).tobytes()


@pytest.mark.parametrize("character", ["a", "é", "漢", "\ufdfa", "😀", "a\u0301", "a ", "क\u093c"])
def test_of_a_long_text_no_more_is_looked_at_than_is_read(character: str) -> None:
    long = character * 65_536
    asked = [Question(text=long, recent=(long,) * 20), Question(text="short")]
    inputs = inputs_of(asked)
    assert READ_BEGINNING // 2 < len(inputs.texts[0]) <= MAXIMUM_CHARACTERS
    assert inputs.texts[1] == "short"
    recent = canonical_question(asked[0]).recent
    assert len(recent) == READ_TEXTS
    assert all(len(text) <= READ_CHARACTERS for text in recent)
